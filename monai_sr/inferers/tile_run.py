"""Run a generator on tiles: any number of bands, consistency, and too little memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.core import OptionError, available_bytes, get_logger
from monai_sr.functional import (
    HALO_PER_STEP,
    LOCAL_REACH,
    REACH,
    back_project,
    local_range,
    resize_part,
    upsample,
)
from monai_sr.geometry import covering_samples
from monai_sr.inferers.evaluation_mode import in_evaluation
from monai_sr.inferers.tile_plan import Slices, Tile, TileGrid, within
from monai_sr.transforms import SEEN_OUTSIDE

logger = get_logger(__name__)

_BUFFERS = 3
_FLOAT_BYTES = 4
_SMALLEST_SIDE = 16  # of a tile, in input samples: below it a halo is nearly all of the work
_BUSY_SAMPLES = 2**20  # of input that keep any GPU busy; beyond, a batch needs memory only


@dataclass
class TileRun:
    """What every tile of one image shares.

    Attributes:
        network: generator.
        consistency: back-projection steps.
        dtype: of the network's computation.
        limits: (N, C, 2), what each band of each image can store; None: no limit.
        natural: (N, C, 2), what its values are by their nature, which they may leave; likewise.
        has_rgb: whether the first three bands are colors that belong together.
        device: where the network computes.
        overshoot: by which share of the local contrast results may leave the local range of the
            input, see :func:`monai_sr.functional.back_projection.local_range`; None: no such limit.
        largest_side: of a tile that fits into memory; found by trying.
        largest_batch: number of tiles that fit into memory together; found by trying.
    """

    network: Callable[..., Any]
    consistency: int
    dtype: torch.dtype
    limits: Tensor | None
    has_rgb: bool
    device: torch.device
    overshoot: float | None = None
    natural: Tensor | None = None
    largest_side: float = field(default=math.inf)
    largest_batch: float = field(default=math.inf)

    def grid(self, sizes: Sequence[int], targets: Sequence[int], scale: int) -> TileGrid:
        """Plan one application of the network."""
        # What lies far outside [0, 1] is enlarged by bicubic interpolation.
        own = max(int(getattr(self.network, "halo")), REACH, LOCAL_REACH)  # noqa: B009
        halo = own + HALO_PER_STEP * self.consistency
        step = int(getattr(getattr(self.network, "info", None), "multiple_of", 1))
        return TileGrid(tuple(sizes), tuple(targets), scale, halo, step)

    def fitting_side(self, tile_size: int, grid: TileGrid) -> int:
        """Return the side of tiles that free memory is surely enough for, at most ``tile_size``."""
        free = _free_bytes(self.device)

        def needed(side: int) -> int:
            # A tile is no larger than the image.
            return self._bytes([min(side + 2 * grid.halo, n) for n in grid.sizes], grid.scale)

        side = tile_size
        while side > _SMALLEST_SIDE and needed(side) > free:
            side = math.ceil(side / 2)
        if side < tile_size:
            logger.warning("%.1f GB of free memory: tiles of %d pixels", free / 1e9, side)
        return side

    def fitting_batch(self, tiles: Sequence[Tile], grid: TileGrid) -> int:
        """Return how many tiles are enlarged together: 1 but on GPUs, which small ones leave idle.

        On a GPU as many as keep it busy, and as free memory is surely enough for.
        """
        if self.device.type != "cuda":
            return 1
        largest = max(tiles, key=lambda tile: math.prod(o.stop - o.start for o in tile.outer))
        sizes = [o.stop - o.start for o in largest.outer]
        fitting = _free_bytes(self.device) // self._bytes(sizes, grid.scale)
        return int(max(1, min(fitting, _BUSY_SAMPLES // math.prod(sizes))))

    def _bytes(self, sizes: Sequence[int], scale: int) -> int:
        """Return what a tile surely needs, its halo counted.

        A network's largest buffers have its widest layer's channels on its finest grid, and some
        three of them live at a time.
        """
        network = self.network
        parameters = list(network.parameters()) if isinstance(network, nn.Module) else []
        widest = max((p.shape[1] for p in parameters if p.ndim > 2), default=1)
        return int(math.prod(sizes) * _BUFFERS * widest * _FLOAT_BYTES * scale ** len(sizes))

    def check_channels(self, given: int) -> None:
        """Refuse images whose bands the network takes neither together nor alone.

        Raises:
            OptionError: they do not fit.
        """
        wanted = self._wanted(given)
        if wanted not in (1, 3, given):
            raise OptionError(f"image: must have {wanted} channels for this model, got {given}")

    def __call__(self, lr: Tensor, tile: Tile, grid: TileGrid) -> Tensor:
        """Enlarge one tile; in quarters where the memory does not suffice.

        Shape: lr (N, C, ...), the samples ``tile.outer`` -> those of ``tile.place``, float32.

        Raises:
            OptionError: if the memory does not suffice for the smallest tile.
        """
        if tile.side <= self.largest_side:
            try:
                return self._resampled(self._enlarge_bands(lr, tile, grid), lr, tile, grid)
            except torch.OutOfMemoryError as error:
                if tile.side <= _SMALLEST_SIDE:
                    raise OptionError(
                        f"device: has too little memory for a tile of {tile.side} pixels; close "
                        "other programs on it, or use --device cpu"
                    ) from error
                self.largest_side = tile.side / 2
                logger.warning(
                    "out of memory with tiles of %d pixels; going on with %d",
                    tile.side,
                    math.ceil(self.largest_side),
                )
        _free_unused(lr.device)
        shape = (*lr.shape[:2], *(p.stop - p.start for p in tile.place))
        result = torch.empty(shape, dtype=torch.float32, device=lr.device)
        for part in grid.halves(tile):
            large = self(lr[spatial(within(part.outer, tile.outer))], part, grid)
            result[spatial(within(part.place, tile.place))] = large
        return result

    def together(
        self, parts: Sequence[Tensor], tiles: Sequence[Tile], grid: TileGrid
    ) -> list[Tensor]:
        """Enlarge tiles of one geometry at once; in halves where the memory does not suffice.

        Args:
            parts: for each tile what a call takes.
            tiles: as many.
            grid: of them all.
        """
        if len(tiles) == 1:
            return [self(parts[0], tiles[0], grid)]
        if len(tiles) <= self.largest_batch and tiles[0].side <= self.largest_side:
            try:
                large = self._enlarge_bands(torch.cat(list(parts)), tiles[0], grid)
                triples = zip(large.chunk(len(tiles)), parts, tiles, strict=True)
                return [self._resampled(*triple, grid) for triple in triples]
            except torch.OutOfMemoryError:
                self.largest_batch = len(tiles) // 2
                logger.warning(
                    "out of memory with %d tiles at a time; going on with %d",
                    len(tiles),
                    self.largest_batch,
                )
        _free_unused(parts[0].device)
        middle = len(tiles) // 2
        return [
            *self.together(parts[:middle], tiles[:middle], grid),
            *self.together(parts[middle:], tiles[middle:], grid),
        ]

    def _wanted(self, given: int) -> int:
        return int(getattr(self.network, "in_channels", given))

    def _enlarge_bands(self, lr: Tensor, tile: Tile, grid: TileGrid) -> Tensor:
        """Feed a generator of any number of channels with what the image has.

        Shape: lr (N or some tiles' N one after another, C, ...) -> those of ``tile.fine``.
        """
        given = lr.shape[1]
        wanted = self._wanted(given)
        # Beyond what consistency sees around the core, the network's results are not exact.
        near = tile.around_core(HALO_PER_STEP * self.consistency)
        fine = spatial(within(tile.fine, near, grid.scale))
        parts = []
        for first, last in _band_groups(given, wanted, self.has_rgb):
            bands = lr[:, first:last]
            fed = bands if bands.shape[1] == wanted else bands.expand(-1, wanted, *bands.shape[2:])
            large = self._enlarge(fed, grid.scale, within(near, tile.outer), slice(first, last))[
                fine
            ]
            parts.append(large if fed is bands else large.mean(dim=1, keepdim=True))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    @property
    def _seen_outside(self) -> float:
        """How far outside [0, 1] the network sees values; interpolation takes them all."""
        if getattr(getattr(self.network, "info", None), "learns", "") == "nothing":
            return math.inf
        is_int8 = getattr(self.network, "precision", "") == "int8"
        return 0.0 if is_int8 else SEEN_OUTSIDE  # integers were fitted to [0, 1] itself

    @torch.inference_mode()
    def _enlarge(self, lr: Tensor, scale: int, near: Slices, bands: slice) -> Tensor:
        """Run the generator on one tile, and the consistency steps on a part of it."""
        seen = lr.clamp(-self._seen_outside, 1 + self._seen_outside)
        padded = _fit_sizes(seen, self.network)
        if padded.ndim == 4:
            # `contiguous` leaves one channel as it is: other, slower kernels than those of tiles.
            padded = torch.empty_like(padded, memory_format=torch.channels_last).copy_(padded)
        enabled = self.dtype != torch.float32
        mixed = torch.autocast(lr.device.type, self.dtype, enabled=enabled)
        with in_evaluation(self.network), mixed:
            sr = self.network(padded, scale).float()
        inner = spatial([slice(n.start * scale, n.stop * scale) for n in near])
        sr = sr[inner]
        rest = lr - seen
        if bool(rest.any()):
            sr = sr + upsample(rest, scale, range(2, lr.ndim))[inner]
        ends: Sequence[Tensor | None] = pair_of(self.limits, lr, bands) or (None, None)
        if (local := self._local(lr, bands)) is not None:
            near_ends = [end[spatial(near)] for end in local]
            ends = near_ends if ends[0] is None else [end.clamp(*ends) for end in near_ends]
        return back_project(sr, lr[spatial(near)], scale, self.consistency, *ends)

    def _resampled(self, large: Tensor, lr: Tensor, tile: Tile, grid: TileGrid) -> Tensor:
        """Bring a tile to the result's grid; what overshoots is clipped as after the network."""
        lengths = [n * grid.scale for n in grid.sizes]
        if lengths == list(grid.targets):
            return large
        parts = [(p.start, p.stop) for p in tile.place]
        large = resize_part(large, lengths, grid.targets, parts, range(2, large.ndim))
        axes = zip(grid.sizes, grid.targets, parts, tile.outer, strict=True)
        below = [covering_samples(n, m, *part) - outer.start for n, m, part, outer in axes]
        return self.clipped(large, lr, below)

    def _local(self, lr: Tensor, bands: slice = slice(None)) -> tuple[Tensor, Tensor] | None:
        """Return what each sample's block may hold by the samples around; None where all."""
        natural = pair_of(self.natural, lr, bands)
        if self.overshoot is None and natural is None:
            return None
        return local_range(lr, self.overshoot, natural)

    def clipped(self, large: Tensor, lr: Tensor, below: Sequence[Any]) -> Tensor:
        """Clip a result to what can be stored, and to the local range of the input.

        Args:
            large: the result.
            lr: the input.
            below: along each spatial axis, which sample of the input lies under each of the result.
        """
        ends = pair_of(self.limits, large)
        large = large if ends is None else large.clamp(*ends)
        if (local := self._local(lr)) is None:
            return large
        low, high = (_gathered(end, below) for end in local)
        return torch.minimum(torch.maximum(large, low), high)


def _gathered(plane: Tensor, below: Sequence[Any]) -> Tensor:
    for axis, index in enumerate(below, 2):
        plane = plane.index_select(axis, torch.as_tensor(index, device=plane.device))
    return plane


def pair_of(
    limits: Tensor | None, like: Tensor, bands: slice = slice(None)
) -> tuple[Tensor, Tensor] | None:
    """Return (N, C, 2) as they are compared with a batch, or with some one after another."""
    if limits is None:
        return None
    limits = limits[:, bands].to(like.device).repeat(len(like) // len(limits), 1, 1)
    low, high = limits.reshape(*limits.shape, *[1] * (like.ndim - 2)).unbind(2)
    return low, high


def _free_bytes(device: torch.device) -> float:
    """Return how many bytes tensors on a device can still have."""
    if device.type != "cuda":
        return available_bytes()
    # What torch has freed it keeps, and gives to the next tensors.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return float(torch.cuda.mem_get_info(device)[0] + kept)


def _free_unused(device: torch.device) -> None:
    """Give back what torch keeps in pieces that are too small."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def spatial(slices: Sequence[slice]) -> tuple[Any, ...]:
    """Index the trailing axes of a tensor."""
    return (Ellipsis, *slices)


def _band_groups(given: int, wanted: int, has_rgb: bool) -> list[tuple[int, int]]:
    """Divide bands into groups: RGB stays together where the generator takes three."""
    if wanted == given and (wanted != 3 or has_rgb):
        return [(0, given)]
    start = 3 if wanted == 3 and given > 3 and has_rgb else 0
    return [(0, 3)] * (start == 3) + [(b, b + 1) for b in range(start, given)]


def _fit_sizes(lr: Tensor, network: Callable[..., Any]) -> Tensor:
    """Repeat the far edge until a generator's smallest size and divisor are met."""
    info = getattr(network, "info", None)
    if info is None:
        return lr
    step = info.multiple_of
    pad: list[int] = []
    for size in reversed(lr.shape[2:]):
        wanted = math.ceil(max(size, info.minimum_size) / step) * step
        pad += [0, wanted - size]
    return F.pad(lr, pad, mode="replicate") if any(pad) else lr
