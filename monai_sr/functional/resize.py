"""Bicubic resizing as MATLAB's ``imresize`` does it, on torch tensors of any rank.

The kernel is Keys' cubic convolution with a = -1/2 (R. Keys, 1981, doi:10.1109/TASSP.1981.1163711).
It is stretched by 1 / scale when shrinking (antialiasing), the grids are aligned by area (outer
edges coincide), and the image is continued by mirroring with the edge sample repeated. This is the
down-sampling of every published super-resolution benchmark.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.functional.bands import blocks, cubic, resized

REACH = 2
"""How far, in pixels of the coarse grid, one output of :func:`upsample` or :func:`downsample` by a
whole factor depends on its surroundings."""

_LINES, _SAMPLES = 32, 64
"""Size of one matrix product, in results at factor 1, across an axis and along the last one."""

_GPU_TIMES = 16
"""How much larger products are on a GPU, which a launch costs more than idle multiplications do."""

_Axis: TypeAlias = tuple[float, int, int, tuple[int, int] | None]
"""Factor, dimension, whole size and wanted part of an axis."""


def resize(image: Tensor, scale: float | Sequence[float], dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Resize some axes of a tensor by bicubic interpolation.

    Shape: image (..., H, W), floating point, any range -> size ceil(scale * size) on each of
    ``dims``, same dtype. Results may overshoot the input's range; clip where that matters.

    Args:
        image: values to resize.
        scale: one factor, or one for each of ``dims``; below 1 shrinks with antialiasing.
        dims: the axes to resize.

    Returns:
        The resized tensor.

    Raises:
        OptionError: if the tensor is not floating point or a factor is not positive.
    """
    factors = [float(scale)] * len(dims) if isinstance(scale, int | float) else list(scale)
    if not image.is_floating_point():
        raise OptionError(f"image: must be a floating-point tensor, got {image.dtype}; convert it")
    if len(factors) != len(dims) or min(factors) <= 0:
        raise OptionError(f"scale: needs one positive factor for each of {dims}, got {scale!r}")
    axes: list[_Axis] = [
        (factor, dim % image.ndim, image.shape[dim], None)
        for factor, dim in zip(factors, dims, strict=True)
    ]
    return _resize_axes(image, axes)


def resize_part(
    image: Tensor,
    sizes: Sequence[int],
    targets: Sequence[int],
    parts: Sequence[tuple[int, int]],
    dims: Sequence[int] = (-2, -1),
) -> Tensor:
    """Compute a part of a larger image's :func:`resize_to` from the part that it depends on.

    Args:
        image: of the image before resizing what :func:`~monai_sr.functional.bands.source_span`
            names, along axes whose size changes; along others the part itself.
        sizes: of the whole image before resizing, along ``dims``.
        targets: of the whole image after it.
        parts: first and last + 1 of the samples that are wanted.
        dims: the axes to resize.
    """
    axes: list[_Axis] = [
        (target / size, dim % image.ndim, size, part)
        for size, target, part, dim in zip(sizes, targets, parts, dims, strict=True)
    ]
    return _resize_axes(image, axes)


def _resize_axes(image: Tensor, axes: list[_Axis]) -> Tensor:
    # Shrink first, as MATLAB does. The first axis is the cheapest one of a large image: it shrinks
    # first and grows last.
    axes.sort(key=lambda axis: (axis[0], axis[1] if axis[0] < 1 else -axis[1]))
    with torch.autocast(image.device.type, enabled=False):
        for factor, dim, size, part in axes:
            if factor != 1:
                image = _resize_axis(image, factor, dim, size, part)
    return image


def _resize_axis(
    image: Tensor, scale: float, dim: int, size: int, part: tuple[int, int] | None
) -> Tensor:
    given, before, after = image.shape[dim], image.shape[:dim], image.shape[dim + 1 :]
    # Lines across the axis, or samples where it is the last one.
    lines = (
        image.reshape(before.numel(), given, after.numel()) if after else image.reshape(-1, given)
    )
    rows = max(8, int(min(scale, 1.0) * (_LINES if after else _SAMPLES)))
    if image.device.type == "cuda":
        rows *= _GPU_TIMES
    products = (
        (out, matrix @ lines[:, source] if after else lines[:, source] @ matrix.T)
        for out, source, matrix in blocks(size, scale, rows, image, part)
    )
    length = resized(size, scale) if part is None else part[1] - part[0]
    shape = [*before, length, *after]
    if torch.is_grad_enabled() and image.requires_grad:
        return torch.cat([lines for _, lines in products], dim=1).reshape(shape)
    # Without a graph the result is filled in place: a second copy of it would double the time.
    result = lines.new_empty(lines.shape[0], shape[dim], *lines.shape[2:])
    for out, product in products:
        result[:, out] = product
    return result.reshape(shape)


def downsample(image: Tensor, scale: int, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Shrink ``dims`` by a whole factor that divides their sizes; see :func:`resize`.

    Raises:
        OptionError: if a size is not a multiple of ``scale``.
    """
    sizes = [image.shape[d] for d in dims]
    if any(size % scale for size in sizes):
        raise OptionError(f"image: sizes must be multiples of {scale}, got {sizes}; crop it first")
    return resize(image, 1.0 / scale, dims)


def upsample(image: Tensor, scale: int, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Enlarge ``dims`` by a whole factor; see :func:`resize`."""
    return resize(image, float(scale), dims)


def resize_to(image: Tensor, sizes: Sequence[int], dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Resize some axes to any sizes, outer edges kept; see :func:`resize`.

    An axis that shrinks is low-pass filtered, by the antialiasing of :func:`resize`.

    Args:
        image: values to resize.
        sizes: samples of the result along each of ``dims``.
        dims: the axes to resize.

    Raises:
        OptionError: as :func:`resize`.
    """
    return resize(image, [n / image.shape[d] for n, d in zip(sizes, dims, strict=True)], dims)


def phase_kernel(scale: int, *, down: bool) -> Tensor:
    """Return the taps of up- or down-sampling by a whole factor, one row for each phase.

    A phase is the position 0 … scale - 1 of a fine sample inside its coarse one. Up-sampling gives
    phase p of coarse sample i as ``sum_k kernel[p, k] * coarse[i + k - REACH]``; down-sampling
    gives coarse sample i as ``sum_p,k kernel[p, k] * fine_phase_p[i + k - REACH]``.

    Shape: -> (scale, 2 * REACH + 1), float64.
    """
    offset = (np.arange(scale) + 0.5) / scale - 0.5
    tap = np.arange(-REACH, REACH + 1)
    # Distance, in coarse samples, between the fine sample and the coarse one.
    distance = tap[None, :] + offset[:, None] if down else tap[None, :] - offset[:, None]
    weight = cubic(distance)
    total = weight.sum() if down else weight.sum(axis=1, keepdims=True)
    return torch.from_numpy(weight / total)


def downsample_uint8(image: Tensor, scale: int) -> Tensor:
    """Shrink 8-bit images as MATLAB's ``imresize`` shrinks uint8: this makes benchmark LR images.

    MATLAB stores the image as uint8 after the rows and again after the columns, and rounds halves
    up. So made, the published LR images of Set5 are met in every value; without the rounding in
    between, one value in seven is off by a grey level.

    Shape: image (..., H, W) uint8, sizes multiples of ``scale`` -> (..., H / scale, W / scale).
    """
    rows = round_half_up(downsample(image.double(), scale, (-2,)))
    return round_half_up(downsample(rows, scale, (-1,))).to(torch.uint8)


def round_half_up(image: Tensor) -> Tensor:
    """Round to whole grey levels 0 … 255 as MATLAB's uint8() does."""
    # Sums of tap products miss an exact half by rounding error; a hair above restores it.
    return torch.floor(image + (0.5 + 1e-9)).clamp_(0, 255)
