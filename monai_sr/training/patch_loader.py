"""Cut training patches on the training device; a batch is a pure function of (seed, iteration).

Images are decoded once and kept as whole images on the device, each with its low-resolution
versions, which are made once per whole image, by default exactly as benchmarks make them. A folder
that does not fit in memory is split into groups that take turns; the next one loads in the
background.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, PathLike, get_logger, rank, world_size
from monai_sr.training.choices import positive_count
from monai_sr.training.degradations import BicubicDegradation, Degradation
from monai_sr.training.distillation import TeacherResults
from monai_sr.training.measured_pairs import TrainingPair
from monai_sr.training.training_arrays import Loaded, of_one_depth
from monai_sr.training.training_images import Source, first_file, try_read
from monai_sr.training.training_rasters import Area

logger = get_logger(__name__)

_ESTIMATED = 8
"""How many images tell how large the others are."""
Load = Callable[[Source], Loaded | list[Loaded]]


@dataclass
class _Pool:
    """Whole images of one group, flattened into one buffer for each resolution.

    ``buffers[s]`` holds the images shrunk by s (1: the originals; -s: what a teacher made of those
    shrunk by s) one after the other, each (C, H / s, W / s); ``starts[s]`` says where; ``sizes``
    are (H, W) of the originals, cropped to a multiple of every scale. Volumes have a third axis.
    """

    buffers: dict[int, Tensor]
    starts: dict[int, Tensor]
    sizes: Tensor


class PatchLoader:
    """Endless stream of aligned LR/HR patches, as ignite engines take it.

    Each batch is {"image": (N, C, P, P), "label": (N, C, s * P, s * P)}, float32 in [0, 1], on the
    device, and where a teacher has results at s, "taught" as "label". The scale s of a batch is
    drawn from ``scales`` by ``scale_weights``; images are drawn by area; every patch is flipped and
    turned at random. Of several processes each gets its part of the batch.

    Args:
        files: image files, or tuples of the files of a series.
        load: reads one as (C, H, W), uint8 or floating point in [0, 1], or as a list of such
            slices; or as pairs of it with its measured small image.
        scales: factors to train.
        scale_weights: how often each is drawn; equal where None.
        patch_size: P, side of an LR patch in pixels.
        batch_size: N.
        epoch_length: batches in what the engine calls an epoch.
        seed: with the iteration it decides everything.
        device: where images are kept and patches are cut.
        cache_gib: memory for images; a larger folder streams through it.
        group_batches: batches drawn from one group before the next, when streaming.
        degradation: how small images are made and spoiled; bicubic, as benchmarks, if None.
        single_band_share: share of patches of which one band is learned, repeated in every
            channel: so are the bands fed that inference enlarges one by one.
        permute_channels: whether the channels of each patch change places at random, for large
            networks and few photos (Yoo et al., 2020, arXiv:2004.00448).
        targets: a teacher's results, made beforehand.

    Raises:
        OptionError: if there are no files, or an option does not fit.
        BadImageError: if an image cannot be read, or none is as large as a patch.
    """

    symmetries = 8
    """Ways to turn and mirror a patch."""

    def __init__(
        self,
        files: Sequence[Source | PathLike],
        load: Load,
        *,
        scales: Sequence[int] = (4, 2),
        scale_weights: Sequence[float] | None = None,
        patch_size: int = 48,
        batch_size: int = 16,
        epoch_length: int = 500,
        seed: int = 0,
        device: torch.device | str = "cpu",
        cache_gib: float = 8.0,
        group_batches: int = 500,
        degradation: Degradation | None = None,
        single_band_share: float = 0.0,
        permute_channels: bool = False,
        targets: TeacherResults | None = None,
    ) -> None:
        if not files:
            raise OptionError(
                "dataset_dir: holds no training images; point it to a folder of images"
            )
        if not scales or min(scales) < 1:
            raise OptionError(f"scales: needs positive whole numbers, got {list(scales)}")
        if batch_size < 1 or batch_size % world_size():
            raise OptionError(
                f"batch_size: must be a multiple of the {world_size()} processes, got {batch_size}"
            )
        if scale_weights and (len(scale_weights) != len(scales) or min(scale_weights) < 0):
            raise OptionError(
                f"scale_weights: needs a weight for each of {list(scales)}, got {scale_weights}"
            )
        if not (isinstance(patch_size, int) and isinstance(seed, int) and patch_size > 0 <= seed):
            raise OptionError(
                "patch_size, seed: must be whole numbers of at least 1 and 0, got "
                f"{patch_size} and {seed}"
            )
        positive_count(epoch_length, "epoch_length")
        if not 0 <= single_band_share <= 1:
            raise OptionError(f"single_band_share: must be in [0, 1], got {single_band_share}")
        self.single_band_share = single_band_share
        self.permute_channels = permute_channels
        self.files = [f if isinstance(f, tuple | Area) else Path(f) for f in files]
        self.load = load
        self.scales = tuple(scales)
        weights = torch.tensor(scale_weights or [1.0] * len(self.scales), dtype=torch.float64)
        self.scale_weights = weights / weights.sum()
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.epoch_length = epoch_length
        self.seed = seed
        self.device = torch.device(device)
        self.cache_bytes = int(cache_gib * 2**30)
        self.group_batches = group_batches
        self.degradation = degradation or BicubicDegradation()
        self.targets = targets
        self.iteration = 0
        self.seconds = 0.0
        self._groups = self._split()
        self._empty: set[int] = set()  # groups without an image to learn from
        self._pool: tuple[int, _Pool] | None = None
        self._next: tuple[int, Future[_Pool | None]] | None = None
        self._executor = ThreadPoolExecutor(1)

    def __len__(self) -> int:
        """Return the batches of an epoch, which only sets the rhythm of handlers."""
        return self.epoch_length

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batch of ``self.iteration``, which the training engine keeps up to date."""
        # Decoding happens once for all steps; it is not in the time of any of them.
        self._group(self.iteration // self.group_batches)
        while True:
            started = time.perf_counter()
            batch = self.batch(self.iteration)
            self.seconds += time.perf_counter() - started
            self.iteration += 1
            yield batch

    def batch(self, iteration: int) -> dict[str, Tensor]:
        """Cut the batch of one iteration; always the same for the same seed and files."""
        # torch's generator looks at 32 bits of its seed only: mix both numbers into those.
        mixed = np.random.SeedSequence((self.seed, iteration)).generate_state(1)
        random = torch.Generator().manual_seed(int(mixed[0]))
        pool = self._group(iteration // self.group_batches)
        choice = int(torch.multinomial(self.scale_weights, 1, generator=random))
        scale = self.scales[choice]
        n, lr_size = self.batch_size, self.patch_size
        area = pool.sizes.prod(dim=1).double()
        which = torch.multinomial(area, n, replacement=True, generator=random)
        room = pool.sizes[which] // scale - lr_size + 1
        corner = (torch.rand(room.shape, generator=random, dtype=torch.float64) * room).long()
        turn = torch.randint(0, self.symmetries, (n,), generator=random)
        # One for each patch: what a process with a part of the batch draws, all would draw.
        seeds = torch.randint(0, 2**32, (n,), generator=random)
        is_single = torch.rand(n, generator=random) < self.single_band_share
        band = torch.randint(0, self.channels, (n,), generator=random)
        order = torch.rand(n, self.channels, generator=random).argsort(dim=1)
        first, last = (n * r // world_size() for r in (rank(), rank() + 1))
        which, corner, turn, seeds, order = (
            t[first:last] for t in (which, corner, turn, seeds, order)
        )
        image = self._cut(pool, scale, which, corner, turn, lr_size)
        large = {"label": 1, "taught": -scale} if -scale in pool.buffers else {"label": 1}
        versions = [image] + [
            self._cut(pool, key, which, corner * scale, turn, lr_size * scale)
            for key in large.values()
        ]
        if self.permute_channels:
            places = torch.arange(len(order)).unsqueeze(1), order
            versions = [patches[places] for patches in versions]
        versions = self.degradation.vary(versions, seeds)
        versions[0] = self.degradation.corrupt(versions[0], seeds)
        batch = dict(zip(("image", *large), versions, strict=True))
        for i in is_single[first:last].nonzero().flatten().tolist():
            for patches in batch.values():
                patches[i] = patches[i, int(band[first + i])].clone()
        return batch

    def _cut(
        self, pool: _Pool, shrink: int, which: Tensor, corner: Tensor, turn: Tensor, size: int
    ) -> Tensor:
        """Gather turned square patches (N, C, size, size) from the images shrunk by ``shrink``."""
        # Only a few numbers for each patch travel to the device; indices are made there.
        height, width = (pool.sizes[which] // max(shrink, 1)).to(self.device).unbind(1)
        start, corner = pool.starts[shrink][which].to(self.device), corner.to(self.device)
        line = torch.arange(size, device=self.device)
        rows, cols = line.view(1, -1, 1), line.view(1, 1, -1)
        turn = turn.to(self.device).view(-1, 1, 1)
        rows, cols = (
            torch.where(turn & 1 > 0, size - 1 - rows, rows),
            torch.where(turn & 2 > 0, size - 1 - cols, cols),
        )
        swap = turn & 4 > 0
        shape = (len(which), size, size)
        rows, cols = rows.expand(shape), cols.expand(shape)
        rows, cols = (
            torch.where(swap, rows.transpose(1, 2), rows),
            torch.where(swap, cols.transpose(1, 2), cols),
        )
        plane = (rows + corner[:, 0].view(-1, 1, 1)) * width.view(-1, 1, 1)
        pixel = start.view(-1, 1, 1) + plane + cols + corner[:, 1].view(-1, 1, 1)
        buffer = pool.buffers[shrink]
        band = torch.arange(self.channels, device=self.device).view(1, -1, 1, 1)
        values = buffer[pixel.unsqueeze(1) + band * (height * width).view(-1, 1, 1, 1)]
        return values.float().div_(255) if buffer.dtype == torch.uint8 else values

    def _split(self) -> list[list[Source]]:
        """Divide the files into groups that fit the cache, by the size of the first images."""
        first: list[list[TrainingPair]] = []
        for number, file in enumerate(self.files):
            if number >= _ESTIMATED and first:  # a folder of label maps may come before the images
                break
            if images := self._try_read(file):
                first.append(images)
        if not first:
            raise BadImageError(
                f"{first_file(self.files[0]).parent}: none of {len(self.files)} images can be "
                "read; each is named above"
            )
        self.channels = int(first[0][0].hr.shape[0])
        per_file = sum(image.hr.nbytes for images in first for image in images) / len(first)
        # The low-resolution versions come on top; two groups live at once while one is loading.
        per_file *= 1 + sum(1 / s ** (first[0][0].hr.ndim - 1) for s in self.scales)
        per_file *= 1 + len(self.targets.scales if self.targets else ())
        if per_file * len(self.files) <= self.cache_bytes:
            return [self.files]
        count = max(1, int(self.cache_bytes / 2 / per_file))
        order = torch.randperm(
            len(self.files), generator=torch.Generator().manual_seed(self.seed)
        ).tolist()
        shuffled = [self.files[i] for i in order]
        return [shuffled[i : i + count] for i in range(0, len(shuffled), count)]

    def _group(self, turn: int) -> _Pool:
        """Return the images of one turn, or where it has none of the next; load those that follow.

        Raises:
            BadImageError: if no group has any.
        """
        group = self._filled(turn)
        while self._pool is None or self._pool[0] != group:
            if self._next is not None and self._next[0] == group:
                pool = self._next[1].result()
            else:
                pool = self._load_pool(self._groups[group])
            if pool is None:
                self._empty.add(group)
                group = self._filled(group)
                continue
            self._pool = (group, pool)
            following = self._filled(group + 1)
            if following != group:
                files = self._groups[following]
                self._next = (following, self._executor.submit(self._load_pool, files))
        return self._pool[1]

    def _filled(self, turn: int) -> int:
        """Return the first group from a turn on that is not known to be empty."""
        for each in range(turn, turn + len(self._groups)):
            if each % len(self._groups) not in self._empty:
                return each % len(self._groups)
        raise BadImageError(
            f"{first_file(self.files[0]).parent}: holds no readable image with sides of at least "
            f"{self.patch_size * max(self.scales)} pixels; add larger ones or lower patch_size"
        )

    def _read(self, file: Source) -> list[TrainingPair]:
        loaded = self.load(file)
        step = int(np.lcm.reduce(self.scales))
        images = []
        for image in loaded if isinstance(loaded, list) else [loaded]:
            if isinstance(image, TrainingPair):
                images.append(image)
                continue
            kept = (slice(None), *(slice(size // step * step) for size in image.shape[1:]))
            images.append(TrainingPair(image[kept]))
        return images

    def _try_read(self, file: Source) -> list[TrainingPair]:
        """Read the images of a file; one that cannot be read is named and left out."""
        return try_read(lambda: self._read(file)) or []

    def _is_large_enough(self, image: TrainingPair) -> bool:
        return bool(min(image.hr.shape[1:]) >= self.patch_size * max(self.scales))

    def _result(self, file: Source, scale: int, image: TrainingPair, count: int) -> Tensor:
        """Return what the teacher made of one of the ``count`` images of a file."""
        hr = image.hr
        if self.targets is not None and count == 1:
            hr = self.targets.read(file, scale, hr)
        result = torch.from_numpy(np.ascontiguousarray(hr))
        return result if result.dtype == torch.uint8 else result.float()

    def _load_pool(self, files: Sequence[Source]) -> _Pool | None:
        """Read the images of a group; None where none can be read and is large enough."""
        taught = self.targets.scales if self.targets else ()
        parts: dict[int, list[Tensor]] = {k: [] for k in (1, *self.scales, *(-s for s in taught))}
        sizes, used = [], 0
        for file in files:
            images = [image for image in self._try_read(file) if self._is_large_enough(image)]
            used += bool(images)
            for image in images:
                hr = torch.from_numpy(np.ascontiguousarray(image.hr))
                hr = hr if hr.dtype == torch.uint8 else hr.float()
                if hr.shape[0] != self.channels:
                    raise BadImageError(
                        f"{first_file(file)}: must have {self.channels} channels as the first "
                        f"image has, got {hr.shape[0]}; convert it"
                    )
                sizes.append(hr.shape[1:])
                parts[1].append(hr.flatten())
                for scale in taught:
                    parts[-scale].append(self._result(file, scale, image, len(images)).flatten())
                if image.lr is not None:
                    (scale,) = self.scales
                    parts[scale].append(torch.from_numpy(image.lr.copy()).flatten())
                    continue
                for scale in self.scales:
                    small = self.degradation.shrink(hr, scale)
                    parts[scale] += [small.flatten()] if scale != 1 else []  # they are there
        if used < len(files):
            logger.warning(
                "%d of %d training images are unreadable or too small and unused",
                len(files) - used,
                len(files),
            )
        if not sizes:
            return None
        starts = {}
        for key, tensors in parts.items():
            lengths = torch.tensor([0, *(t.numel() for t in tensors)])
            starts[key] = lengths.cumsum(0)[:-1]
        buffers = {key: torch.cat(of_one_depth(t)).to(self.device) for key, t in parts.items()}
        return _Pool(buffers, starts, torch.tensor(sizes))
