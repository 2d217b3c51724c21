"""Iterative back-projection: make an enlarged image agree with the image it was made from.

``s <- clip(s + up(lr - down(s)))`` (M. Irani and S. Peleg, 1991, doi:10.1016/1049-9652(91)90045-L),
with the clip to the allowed range as a projection onto a convex set. Both resamplings are local,
so a step needs ``2 * REACH`` coarse pixels of surroundings and tiles stay equal to the whole image.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_sr.functional.bands import blocks
from monai_sr.functional.resize import REACH, downsample, upsample

HALO_PER_STEP = 2 * REACH
"""Coarse pixels of surroundings that one step needs."""

_SHRUNK, _GROWN = 16, 8
"""Coarse lines that are made or used at a time: few enough to stay in a processor's cache."""

Bound: TypeAlias = tuple[Callable[..., Tensor], Tensor]
PlaneLimit: TypeAlias = Tensor | float | None


def back_project(
    sr: Tensor,
    lr: Tensor,
    scale: int,
    steps: int,
    low: Tensor | float | None = None,
    high: Tensor | float | None = None,
) -> Tensor:
    """Pull ``sr`` towards consistency with ``lr`` under bicubic down-sampling.

    Shape: sr (N, C, H * scale, W * scale[, D * scale]) and lr (N, C, H, W[, D]), floating point.

    Args:
        sr: enlarged image.
        lr: the image it was made from.
        scale: whole factor between the two.
        steps: number of iterations; 0 only clips.
        low: smallest value that is allowed, a number or a tensor: (N, C, 1, 1[, 1]), or of the
            shape of ``lr``, of each coarse pixel for all that lie in it; None: no limit.
        high: largest value that is allowed, of the same kind.

    Returns:
        The corrected image, same shape and dtype as ``sr``.
    """
    has_graph = torch.is_grad_enabled() and (sr.requires_grad or lr.requires_grad)
    if has_graph or sr.device.type != "cpu":
        bounds = [
            (choose, _over_cells(torch.as_tensor(limit, dtype=sr.dtype, device=sr.device), scale))
            for choose, limit in ((torch.maximum, low), (torch.minimum, high))
            if limit is not None
        ]
        dims = tuple(range(2, sr.ndim))
        sr = _clip(sr, bounds, scale)
        for _ in range(steps):
            sr = _clip(sr + upsample(lr - downsample(sr, scale, dims), scale, dims), bounds, scale)
        return sr
    sr = sr.clone(memory_format=torch.contiguous_format)
    limits = [_of_planes(limit, sr, scale) for limit in (low, high)]
    with torch.autocast("cpu", enabled=False):
        for plane, coarse, *ends in zip(sr.flatten(0, 1), lr.flatten(0, 1), *limits, strict=True):
            _clip_in_place(plane, slice(0, len(coarse)), scale, *ends)
            for _ in range(steps):
                _step_in_place(plane, coarse, scale, *ends)
    return sr


def _cells(image: Tensor, scale: int, first: int) -> Tensor:
    """Give the axes from ``first`` but the last one more each, along a coarse pixel."""
    for axis in reversed(range(first, image.ndim - 1)):
        image = image.reshape(*image.shape[:axis], -1, scale, *image.shape[axis + 1 :])
    return image


def _over_cells(limit: Tensor, scale: int, first: int = 2) -> Tensor:
    """Let limits of coarse pixels broadcast with :func:`_cells`, all others as they are."""
    if limit.ndim <= first or limit.shape[first:].numel() == 1:
        return limit
    limit = limit.repeat_interleave(scale, -1)  # the last axis stays dense, for speed
    for axis in reversed(range(first, limit.ndim - 1)):
        limit = limit.unsqueeze(axis + 1)
    return limit


def _clip(image: Tensor, bounds: list[Bound], scale: int) -> Tensor:
    for choose, limit in bounds:
        cells = _cells(image, scale, 2) if limit.ndim > image.ndim else image
        image = choose(cells, limit).reshape(image.shape)
    return image


def _of_planes(limit: Tensor | float | None, sr: Tensor, scale: int) -> list[PlaneLimit]:
    """Return the limit of each plane; where it is one number, as such: clipping is fastest so."""
    if limit is None:
        return [None] * sr.shape[:2].numel()
    given = torch.as_tensor(limit, dtype=sr.dtype)
    if given.ndim < sr.ndim or given.shape[2:].numel() == 1:
        numbers: list[PlaneLimit] = (
            given.expand(*sr.shape[:2], *[1] * (sr.ndim - 2)).flatten().tolist()
        )
        return numbers
    given = given.expand(*sr.shape[:2], *given.shape[2:]).flatten(0, 1)
    return [_over_cells(plane, scale, 0) for plane in given]


def _clip_in_place(
    image: Tensor, rows: slice, scale: int, low: PlaneLimit, high: PlaneLimit
) -> None:
    """Clip the lines of a plane that belong to some coarse rows."""
    part = image[rows.start * scale : rows.stop * scale]
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        low, high = (_of_rows(end, rows, part) for end in (low, high))
        part = _cells(part, scale, 0)
    if low is not None or high is not None:
        part.clamp_(low, high)  # type: ignore[arg-type]


def _of_rows(limit: PlaneLimit, rows: slice, like: Tensor) -> Tensor | None:
    """Return a limit beside which the other one is a tensor: ``clamp_`` takes no number there."""
    if isinstance(limit, Tensor):
        return limit[rows]
    return None if limit is None else like.new_tensor(limit)


def _step_in_place(sr: Tensor, lr: Tensor, scale: int, low: PlaneLimit, high: PlaneLimit) -> None:
    """Take one step on one channel, without memory for a second large image.

    Lines are shrunk first and grow last, a slab at a time, so that all else happens on a coarse
    axis, and a slab of the result is added to and clipped while it is in the cache.

    Shape: sr (X * scale, Y * scale[, Z * scale]), lr (X, Y[, Z]).
    """
    others = tuple(range(1, sr.ndim))
    lines = sr.flatten(1)
    narrow = sr.new_empty(lr.shape[0], *sr.shape[1:])
    for out, source, matrix in blocks(sr.shape[0], 1 / scale, _SHRUNK, sr):
        torch.mm(matrix, lines[source], out=narrow.flatten(1)[out])
    wide = upsample(lr - downsample(narrow, scale, others), scale, others).flatten(1)
    for out, source, matrix in blocks(lr.shape[0], scale, _GROWN * scale, sr):
        lines[out].addmm_(matrix, wide[source])
        _clip_in_place(sr, slice(out.start // scale, out.stop // scale), scale, low, high)


LOCAL_REACH = 1
"""Samples around each one that its neighborhood reaches to: 3 x 3 or 3 x 3 x 3 together."""


def local_range(
    lr: Tensor, margin: float | None, natural: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest value around each sample, widened.

    Shape: lr (N, C, X, Y[, Z]), on [0, 1] -> twice the same.

    Args:
        lr: the image; outside of it there is nothing.
        margin: by which share of their difference both are widened; by no more than that share of
            [0, 1] where they lie in it: a hot pixel does not let its neighbors ring. None: they
            are no limit.
        natural: least and greatest value that are expected, (N, C, 1, 1[, 1]): neither is left
            farther than by the values around.
    """
    pool = F.max_pool2d if lr.ndim == 4 else F.max_pool3d
    size = 2 * LOCAL_REACH + 1
    high = pool(lr, size, stride=1, padding=LOCAL_REACH)
    low = -pool(-lr, size, stride=1, padding=LOCAL_REACH)
    least, most = torch.full_like(low, -math.inf), torch.full_like(high, math.inf)
    if margin is not None:
        wider = (high - low).mul_(margin)
        usual = wider.clamp(max=margin)
        least = low - torch.where(low < 0, wider, usual)
        most = high + torch.where(high > 1, wider, usual)
    if natural is None:
        return least, most
    floor, ceiling = natural
    return least.maximum(low.minimum(floor)), most.minimum(high.maximum(ceiling))
