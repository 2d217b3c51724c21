"""Enlarge an image of any size tile by tile, so that the tiles equal the whole image.

Every tile is read with a halo as wide as the generator's receptive field plus what the consistency
steps need; only its core is kept. No blending, hence no seam and no overlap to choose.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm import tqdm

from monai_sr.core import OptionError, check_precision, get_logger, printable, undisturbed
from monai_sr.formats import CODES, PHASE, Facts, kind_of
from monai_sr.functional import resize_to
from monai_sr.geometry import LARGEST_SCALE, covering_samples, scaled_sizes
from monai_sr.inferers.batch_meta import (
    circle_meta,
    enlarged_by_kind,
    enlarged_meta,
    has_rgb,
    limits,
    natural_range,
    slice_axis,
    with_meta,
)
from monai_sr.inferers.slices import SliceRestorer
from monai_sr.inferers.tile_plan import Tile, TileGrid, batches
from monai_sr.inferers.tile_run import TileRun, pair_of, spatial
from monai_sr.inferers.transfer import Transfer
from monai_sr.transforms import enlarged_axes, planned_sizes

logger = get_logger(__name__)


class TiledInferer(Inferer):
    """Run a generator over whole images, 2D or slice by slice or 3D.

    Shape: inputs (N, C, X, Y[, Z]) float32, in [0, 1] -> (N, C, s * X, s * Y[, Z]). A volume given
    to a 2D generator is enlarged slice by slice; the slice axis is that of the metadata, or
    the last. A generator for another number of channels is used band by band; one for RGB takes
    red, green and blue together, where the file declares them (or an array has 3 or 4 bands).

    Sizes that are no trained multiple (fact ``sizes`` of the metadata, a scale such as 2.5) are
    reached by the next larger trained factor, then by area-aligned bicubic resampling. A generator
    for volumes is applied twice where once is too little. Where more slices are planned than a
    volume has, ``slices`` makes them first; without it bicubic interpolation does, at the end.

    A MetaTensor keeps its metadata, with the geometry enlarged, fact ``scale`` added and values
    clipped to what its file can store (fact ``clip``).

    Results are where the inputs are. Inputs in the processor's memory go tile by tile to a network
    on a GPU, and back while it computes the next.

    Args:
        scale: factor, up to the generator's largest; None: the generator's own.
        tile_size: largest side of a tile core, in input pixels.
        consistency: back-projection steps (0: none), see :func:`back_project`.
        clip: limits for images whose metadata has none; None: no limit.
        dtype: precision: "float32"; "bfloat16" or "float16", for autocast in torch; "int8", for
            networks that a runtime computes in integers (:mod:`monai_sr.runtimes`).
        progress: whether to show a bar with the time left.
        tile_batch: tiles of one size, also of the slices of a volume, that go through the network
            together; None: on a GPU as many as keep it busy and fit into its memory, else one.
        overshoot: how far results may leave the range of the 3 x 3 input pixels around them, as a
            share of that range: 0 keeps them within. None, or infinite: no such limit.
        slices: makes the slices of volumes thinner.

    Raises:
        OptionError: if an option does not fit.
    """

    def __init__(
        self,
        scale: float | None = None,
        *,
        tile_size: int = 1024,
        consistency: int = 2,
        clip: tuple[float, float] | None = (0.0, 1.0),
        dtype: str = "float32",
        progress: bool = False,
        tile_batch: int | None = None,
        overshoot: float | None = None,
        slices: SliceRestorer | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(consistency, int) or consistency < 0:
            raise OptionError(f"consistency: must be a whole number >= 0, got {consistency!r}")
        if not isinstance(tile_size, int) or tile_size < 1:
            raise OptionError(f"tile_size: must be a whole number >= 1, got {tile_size!r}")
        if tile_batch is not None and (not isinstance(tile_batch, int) or tile_batch < 1):
            raise OptionError(f"tile_batch: must be a whole number >= 1, got {tile_batch!r}")
        if overshoot is not None and not (isinstance(overshoot, int | float) and overshoot >= 0):
            raise OptionError(
                f"overshoot: must be a number >= 0, or inf for no limit, got {overshoot!r}"
            )
        if dtype not in ("float32", "bfloat16", "float16", "int8"):
            raise OptionError(
                f"precision: must be float32, bfloat16, float16 or int8, got {dtype!r}"
            )
        self.scale = scale
        self.tile_size = tile_size
        self.consistency = consistency
        self.clip = clip
        self.precision = dtype
        # Integers are the network's own matter.
        self.dtype: torch.dtype = getattr(torch, "float32" if dtype == "int8" else dtype)
        self.progress = progress
        self.tile_batch = tile_batch
        self.overshoot = None if overshoot == math.inf else overshoot
        self.slices = slices

    def check(self, network: Callable[..., Any]) -> float:
        """Return the scale that a generator will be run at.

        Raises:
            OptionError: if the generator does not reach this scale, or is none of ours.
        """
        scales = getattr(network, "scales", None)
        if scales is None or not hasattr(network, "halo"):
            raise OptionError(
                f"network: {type(network).__name__} declares no scales and receptive field; "
                "build it with monai_sr.networks.create_generator"
            )
        scale = self.scale if self.scale is not None else getattr(network, "scale", 0)
        largest = min(LARGEST_SCALE, scales[-1] ** (2 if _dims(network) == 3 else 1))
        is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
        if not is_number or not (scale in scales or 1 < scale <= largest):
            raise OptionError(
                f"scale: must be above 1 and at most {largest:g}, this model was trained for "
                f"{' and '.join(map(str, scales))}, got {scale}; use --scale {scales[-1]}"
            )
        return int(scale) if scale == int(scale) else float(scale)

    @undisturbed()
    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Enlarge a batch; see the class."""
        scale = self.check(network)
        meta = dict(inputs.meta) if isinstance(inputs, MetaTensor) else None
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        # None: shown on a terminal only.
        disable = None if self.progress else True
        bar = tqdm(desc=printable(self._label(meta)), unit="tile", disable=disable, leave=False)
        rank, dims = image.ndim - 2, _dims(network)
        if rank != dims and (rank, dims) != (3, 2):
            raise OptionError(
                f"image: must have {dims} spatial axes (or 3, as slices), got shape "
                f"{tuple(image.shape)}"
            )
        axes = enlarged_axes(meta or {}, rank, dims)
        sizes = planned_sizes(meta, rank) or scaled_sizes(image.shape[2:], scale, axes)

        def grow(part: Tensor, own: dict[str, Any] | None, targets: list[int]) -> Tensor:
            run = self._run(network, own, part)
            if self._makes_slices(own, rank, axes):
                part = self._thinner(part, run, slice_axis(own), targets)
                if all(targets[a] <= part.shape[2 + a] for a in axes):
                    return _finished(part, part, targets, run)
            return self._grow(part, run, targets, axes, slice_axis(own), bar)

        with bar:
            result = enlarged_by_kind(image, meta, sizes, grow)
        if not isinstance(inputs, MetaTensor):
            return result
        factors = [b / a for a, b in zip(image.shape[2:], result.shape[2:], strict=True)]
        meta = enlarged_meta(inputs.meta, factors, scale)
        Facts(meta).runtime = getattr(network, "runtime", "torch")
        if self.slices is not None and self._makes_slices(meta, rank, axes):
            thinner = factors[slice_axis(meta)]
            Facts(meta).slices = self.slices.record(thinner) if thinner > 1 else ""
        return with_meta(result, inputs, meta)

    def _makes_slices(self, meta: dict[str, Any] | None, rank: int, axes: Sequence[int]) -> bool:
        """Tell whether slices are made by ``slices``, where more are planned than there are."""
        is_measured = kind_of(meta) not in (*CODES, PHASE)
        return self.slices is not None and is_measured and rank == 3 and len(axes) == 2

    def _thinner(self, image: Tensor, run: TileRun, axis: int, sizes: Sequence[int]) -> Tensor:
        """Make as many slices as are planned, before each is enlarged."""
        assert self.slices is not None
        if sizes[axis] <= image.shape[2 + axis]:
            return image
        return self.slices(
            image, sizes[axis], 2 + axis, device=run.device,
            limits=pair_of(run.limits, image), overshoot=self.overshoot,
            natural=pair_of(run.natural, image),
        )  # fmt: skip

    @staticmethod
    def _label(meta: dict[str, Any] | None) -> str:
        """Name the file of a batch on its progress bar, as the user gave it."""
        names = (meta or {}).get("filename_or_obj", "")
        return Path(names if isinstance(names, str) else next(iter(names), "")).name

    @undisturbed()
    def plan(
        self, network: Callable[..., Any], meta: dict[str, Any], shape: Sequence[int]
    ) -> tuple[TileGrid, TileRun]:
        """Return how a raster is enlarged tile by tile, with values equal to those of the whole.

        Args:
            network: generator.
            meta: of the raster; its fact ``sizes`` or the scale decide on the result's.
            shape: (C, X, Y) of the raster.

        Raises:
            OptionError: as for calling the object, or where the network must be applied twice.
        """
        channels = int(shape[0])
        if kind_of(meta) == PHASE:  # the caller gives cosines and sines
            meta, channels = circle_meta(meta), 2 * channels
        scale, like = self.check(network), torch.empty(1, channels, dtype=torch.float32)
        sizes = planned_sizes(meta, 2) or scaled_sizes(shape[1:], scale, (0, 1))
        step = _next_scale(network, shape[1:], sizes, (0, 1))
        missing = max(b / a for a, b in zip(shape[1:], sizes, strict=True))
        if _dims(network) != 2 or (step < missing and step < LARGEST_SCALE):
            raise OptionError(
                f"scale: must be at most {step} for a raster with this model, got {missing:g}; "
                "choose another model or a smaller scale"
            )
        run = self._run(network, meta, like)
        run.check_channels(channels)
        return run.grid(shape[1:], sizes, step), run

    def _run(
        self, network: Callable[..., Any], meta: dict[str, Any] | None, image: Tensor
    ) -> TileRun:
        if self.precision == "int8" and getattr(network, "precision", "") != "int8":
            raise OptionError(
                "precision: int8 needs a network of monai_sr.runtimes, got one of torch; leave it"
            )
        device = _place(network, image.device)
        check_precision(device, self.precision)
        stored, natural = (
            None if found is None else found.to(device)
            for found in (limits(meta, self.clip, image), natural_range(meta, image))
        )
        rgb = has_rgb(meta, image)
        return TileRun(
            network, self.consistency, self.dtype, stored, rgb, device, self.overshoot, natural
        )

    def _grow(
        self,
        image: Tensor,
        run: TileRun,
        sizes: list[int],
        axes: Sequence[int],
        slices: int,
        bar: tqdm[Any],
    ) -> Tensor:
        """Enlarge by trained factors until ``sizes`` are reached."""
        done, first = 1, image
        while True:
            before = list(image.shape[2:])
            scale = _next_scale(run.network, before, sizes, axes)
            missing = max(sizes[a] / before[a] for a in axes)
            done *= scale
            is_last = scale >= missing or done >= LARGEST_SCALE or scale == 1
            # Axes that pass their size are resampled to it at once: it bounds memory.
            targets = [
                (sizes[a] if is_last else min(sizes[a], before[a] * scale)) if a in axes else n
                for a, n in enumerate(before)
            ]
            bar.reset()
            image = self._in_slices(image, run, slices, targets, scale, bar)
            if is_last:
                is_ready = done == scale and targets == list(sizes)
                return image if is_ready else _finished(image, first, sizes, run)

    def _in_slices(
        self,
        image: Tensor,
        run: TileRun,
        slice_axis: int,
        targets: list[int],
        scale: int,
        bar: tqdm[Any],
    ) -> Tensor:
        """Apply the generator once, to all or slice by slice."""
        shape = (*image.shape[:2], *targets)
        result = torch.empty(shape, dtype=torch.float32, device=image.device)
        if image.ndim - 2 == _dims(run.network):
            self._in_tiles(image[None], run, result[None], scale, bar)
        else:
            images, larges = (whole.movedim(2 + slice_axis, 0) for whole in (image, result))
            self._in_tiles(images, run, larges, scale, bar)
        return result

    def _in_tiles(
        self, images: Tensor, run: TileRun, results: Tensor, scale: int, bar: tqdm[Any]
    ) -> None:
        """Cut, enlarge and place the tiles of images (S, N, C, ...)."""
        run.check_channels(images.shape[2])
        grid = run.grid(images.shape[3:], results.shape[3:], scale)
        tiles = grid.tiles(run.fitting_side(self.tile_size, grid))
        bar.total = len(tiles) * len(images)
        warn_if_cut(run.network, tiles)
        most = self.tile_batch or run.fitting_batch(tiles, grid)
        transfer = Transfer(run.device, images.device)

        def enlarged(batch: list[tuple[int, Tile]]) -> list[Tensor]:
            parts = [transfer.fetch(images[i][spatial(tile.outer)]) for i, tile in batch]
            return run.together(parts, [tile for _, tile in batch], grid)

        groups = batches(tiles, len(images), most, scale)
        for batch, larges in transfer.overlapped(groups, enlarged):
            for index, tile in reversed(batch):
                results[index][spatial(tile.place)] = larges.pop()
            bar.update(len(batch))


def warn_if_cut(network: Callable[..., Any], tiles: Sequence[Tile]) -> None:
    """Say that results depend on the tiles, where they do."""
    if len(tiles) > 1 and not getattr(network, "info").is_local:  # noqa: B009
        logger.warning("this generator sees the whole image: its tiles differ from the whole")


def _place(network: Callable[..., Any], given: torch.device) -> torch.device:
    """Return where a network computes; one without weights where the image is."""
    weights = (
        itertools.chain(network.parameters(), network.buffers())
        if isinstance(network, nn.Module)
        else ()
    )
    return next((weight.device for weight in weights), given)


def _dims(network: Callable[..., Any]) -> int:
    return int(getattr(network, "spatial_dims", 2))


def _next_scale(
    network: Callable[..., Any], sizes: Sequence[int], wanted: Sequence[int], axes: Sequence[int]
) -> int:
    """Return the smallest trained factor that reaches the sizes, or the largest of all."""
    scales: Sequence[int] = network.scales  # type: ignore[attr-defined]
    missing = max(wanted[a] / sizes[a] for a in axes)
    return next((s for s in scales if s >= missing), scales[-1])


def _finished(image: Tensor, first: Tensor, sizes: Sequence[int], run: TileRun) -> Tensor:
    """Bring axes that the network does not enlarge to their sizes; keep the input's range."""
    if list(image.shape[2:]) != list(sizes):
        image = resize_to(image, sizes, range(2, image.ndim))
    below = [covering_samples(n, m) for n, m in zip(first.shape[2:], sizes, strict=True)]
    return run.clipped(image, first, below)
