"""Enlarge an image of any size tile by tile, so that the tiles equal the whole image.

Every tile is read with a halo as wide as the generator's receptive field plus what the consistency
steps need; only its core is kept. No blending, hence no seam and no overlap to choose.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor
from tqdm import tqdm

from monai_sr.core.errors import OptionError
from monai_sr.functional.back_projection import HALO_PER_STEP, back_project
from monai_sr.functional.resize import resize_to
from monai_sr.geometry.target_grid import LARGEST_SCALE, scaled_sizes
from monai_sr.inferers.batch_meta import enlarged_meta, has_rgb, limits, slice_axis, with_meta
from monai_sr.transforms.grid import enlarged_axes, planned_sizes

logger = logging.getLogger(__name__)


class TiledInferer(Inferer):
    """Run a generator over whole images, 2D or slice by slice or 3D.

    Shape: inputs (N, C, X, Y[, Z]) float32, in [0, 1] -> (N, C, s * X, s * Y[, Z]). A volume given
    to a 2D generator is enlarged slice by slice; the slice axis is the metadata's ``sr_slice_axis``
    or the last. A generator for another number of channels is used band by band; one for RGB takes
    red, green and blue together, where the file declares them (or an array has 3 or 4 bands).

    Sizes that are no trained multiple (``sr_sizes`` of the metadata, a scale such as 2.5) are
    reached by the next larger trained factor, then by area-aligned bicubic resampling. A generator
    for volumes is applied twice where once is too little.

    A MetaTensor keeps its metadata, with the geometry enlarged, ``sr_scale`` added and values
    clipped to what its file can store (``sr_clip``).

    Args:
        scale: factor, up to the generator's largest; None: the generator's own.
        tile_size: largest side of a tile core, in input pixels.
        consistency: back-projection steps (0: none), see :func:`back_project`.
        clip: limits for images whose metadata has none; None: no limit.
        dtype: "float32", or "bfloat16" / "float16" for autocast on GPUs.
        progress: whether to show a bar with the time left.

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
    ) -> None:
        super().__init__()
        if not isinstance(consistency, int) or consistency < 0:
            raise OptionError(f"consistency: must be a whole number >= 0, got {consistency!r}")
        if not isinstance(tile_size, int) or tile_size < 1:
            raise OptionError(f"tile_size: must be a whole number >= 1, got {tile_size!r}")
        if dtype not in ("float32", "bfloat16", "float16"):
            raise OptionError(f"dtype: must be float32, bfloat16 or float16, got {dtype!r}")
        self.scale = scale
        self.tile_size = tile_size
        self.consistency = consistency
        self.clip = clip
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.progress = progress

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

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Enlarge a batch; see the class."""
        scale = self.check(network)
        meta = dict(inputs.meta) if isinstance(inputs, MetaTensor) else None
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        # None: shown on a terminal only.
        disable = None if self.progress else True
        bar = tqdm(desc=self._label(meta), unit="tile", disable=disable, leave=False)
        rank, dims = image.ndim - 2, _dims(network)
        if rank != dims and (rank, dims) != (3, 2):
            raise OptionError(
                f"image: must have {dims} spatial axes (or 3, as slices), got shape "
                f"{tuple(image.shape)}"
            )
        axes = enlarged_axes(meta or {}, rank, dims)
        sizes = planned_sizes(meta, rank) or scaled_sizes(image.shape[2:], scale, axes)
        with bar:
            job = _Job(network, 1, limits(meta, self.clip, image), has_rgb(meta, image), bar)
            result = self._grow(image, job, sizes, axes, slice_axis(meta))
        if not isinstance(inputs, MetaTensor):
            return result
        factors = [b / a for a, b in zip(image.shape[2:], result.shape[2:], strict=True)]
        return with_meta(result, inputs, enlarged_meta(inputs.meta, factors, scale))

    @staticmethod
    def _label(meta: dict[str, Any] | None) -> str:
        """Name the file of a batch on its progress bar, as the user gave it."""
        names = (meta or {}).get("filename_or_obj", "")
        return Path(names if isinstance(names, str) else next(iter(names), "")).name

    def _grow(
        self, image: Tensor, job: _Job, sizes: list[int], axes: Sequence[int], slices: int
    ) -> Tensor:
        """Enlarge by trained factors until ``sizes`` are reached or passed, then resample."""
        done, scales = 1, job.network.scales  # type: ignore[attr-defined]
        while True:
            missing = max(sizes[a] / image.shape[2 + a] for a in axes)
            job.scale = next((s for s in scales if s >= missing), scales[-1])
            job.bar.reset()
            image = self._in_slices(image, job, slices, sizes)
            done *= job.scale
            has_arrived = all(image.shape[2 + a] == sizes[a] for a in axes)
            if done >= LARGEST_SCALE or job.scale == 1 or has_arrived:
                return _resampled(image, sizes, job)

    def _in_slices(self, image: Tensor, job: _Job, slice_axis: int, sizes: list[int]) -> Tensor:
        """Apply the generator once; axes that pass their size are resampled to it at once.

        Before other axes grow on, and slice by slice: this bounds memory.
        """
        if image.ndim - 2 == _dims(job.network):
            return _not_beyond(self._in_bands(image, job, 1), sizes, job)
        slices = image.movedim(2 + slice_axis, 0)
        in_plane = [n for axis, n in enumerate(sizes) if axis != slice_axis]
        parts = [_not_beyond(self._in_bands(p, job, len(slices)), in_plane, job) for p in slices]
        return torch.stack(parts, dim=2 + slice_axis)

    def _in_bands(self, image: Tensor, job: _Job, slices: int) -> Tensor:
        """Feed a generator of any number of channels with what the image has."""
        given = image.shape[1]
        wanted = int(getattr(job.network, "in_channels", given))
        if wanted not in (1, 3, given):
            raise OptionError(f"image: must have {wanted} channels for this model, got {given}")
        groups = _band_groups(given, wanted, job.has_rgb)
        parts = []
        for first, last in groups:
            bands = image[:, first:last]
            fed = bands if bands.shape[1] == wanted else bands.expand(-1, wanted, *bands.shape[2:])
            large = self._in_tiles(fed, job, slices * len(groups))
            parts.append(large if fed is bands else large.mean(dim=1, keepdim=True))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _in_tiles(self, image: Tensor, job: _Job, repeats: int) -> Tensor:
        """Cut, enlarge and place tiles of one image whose channels fit the generator."""
        n, c, *sizes = image.shape
        halo = int(getattr(job.network, "halo")) + HALO_PER_STEP * self.consistency  # noqa: B009
        # A generator that halves its grid must find the same grid in every tile.
        step = int(getattr(getattr(job.network, "info", None), "multiple_of", 1))
        tiles = list(_tiles(sizes, self.tile_size))
        job.bar.total = len(tiles) * repeats
        if len(tiles) > 1 and not getattr(job.network, "info").is_local:  # noqa: B009
            logger.warning("this generator sees the whole image: its tiles differ from the whole")
        result = torch.empty((n, c, *(s * job.scale for s in sizes)), device=image.device)
        for core in tiles:
            outer = [
                slice(max(0, k.start - halo) // step * step, min(size, k.stop + halo))
                for k, size in zip(core, sizes, strict=True)
            ]
            large = self._enlarge(image[_spatial(outer)], job)
            inner = [
                slice((k.start - o.start) * job.scale, (k.stop - o.start) * job.scale)
                for k, o in zip(core, outer, strict=True)
            ]
            place = [slice(k.start * job.scale, k.stop * job.scale) for k in core]
            result[_spatial(place)] = large[_spatial(inner)]
            job.bar.update()
        return result

    @torch.inference_mode()
    def _enlarge(self, lr: Tensor, job: _Job) -> Tensor:
        """Run the generator and the consistency steps on one tile."""
        padded, sizes = _fit_sizes(lr, job.network), lr.shape[2:]
        if padded.ndim == 4:
            # `contiguous` leaves one channel as it is: other, slower kernels than those of tiles.
            padded = torch.empty_like(padded, memory_format=torch.channels_last).copy_(padded)
        with torch.autocast(lr.device.type, self.dtype, enabled=self.dtype != torch.float32):
            sr = job.network(padded, job.scale).float()
        sr = sr[_spatial([slice(0, size * job.scale) for size in sizes])]
        low, high = job.bounds(lr.ndim)
        return back_project(sr, lr, job.scale, self.consistency, low, high)


@dataclass
class _Job:
    """What every tile of one call shares.

    ``limits`` (N, 2) is what each image can store; ``has_rgb`` whether its first three bands are
    colors that belong together.
    """

    network: Callable[..., Any]
    scale: int
    limits: Tensor | None
    has_rgb: bool
    bar: tqdm[Any]

    def bounds(self, ndim: int) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Return the limits, as they are compared with a batch of ``ndim`` axes."""
        if self.limits is None:
            return None, None
        low, high = self.limits.reshape(-1, 2, *[1] * (ndim - 1)).unbind(1)
        return low, high


def _dims(network: Callable[..., Any]) -> int:
    return int(getattr(network, "spatial_dims", 2))


def _not_beyond(image: Tensor, sizes: Sequence[int], job: _Job) -> Tensor:
    return _resampled(image, [min(*pair) for pair in zip(image.shape[2:], sizes, strict=True)], job)


def _resampled(image: Tensor, sizes: Sequence[int], job: _Job) -> Tensor:
    """Bring the spatial axes to their sizes; what overshoots is clipped as after the network."""
    if list(image.shape[2:]) == list(sizes):
        return image
    large = resize_to(image, sizes, range(2, image.ndim))
    low, high = job.bounds(image.ndim)
    return large if low is None else large.clamp(low, high)


def _band_groups(given: int, wanted: int, has_rgb: bool) -> list[tuple[int, int]]:
    """Divide bands into groups: RGB stays together where the generator takes three."""
    if wanted == given and (wanted != 3 or has_rgb):
        return [(0, given)]
    start = 3 if wanted == 3 and given > 3 and has_rgb else 0
    return [(0, 3)] * (start == 3) + [(b, b + 1) for b in range(start, given)]


def _spatial(slices: Sequence[slice]) -> tuple[Any, ...]:
    """Index the trailing axes of a tensor."""
    return (Ellipsis, *slices)


def _tiles(sizes: list[int], tile_size: int) -> Iterator[tuple[slice, ...]]:
    """Divide an image into as few cores of nearly equal size as the largest size allows."""
    axes = []
    for size in sizes:
        count = math.ceil(size / tile_size)
        edges = [round(i * size / count) for i in range(count + 1)]
        axes.append([slice(a, b) for a, b in itertools.pairwise(edges)])
    return itertools.product(*axes)


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
