"""Iterative back-projection: make an enlarged image agree with the image it was made from.

``s <- clip(s + up(lr - down(s)))`` (M. Irani and S. Peleg, 1991, doi:10.1016/1049-9652(91)90045-L),
with the clip to the storable range as a projection onto a convex set. Both resamplings are local,
so a step needs ``2 * REACH`` coarse pixels of surroundings and tiles stay equal to the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from monai_sr.functional.bands import blocks
from monai_sr.functional.resize import REACH, downsample, upsample

HALO_PER_STEP = 2 * REACH
"""Coarse pixels of surroundings that one step needs."""

_SHRUNK, _GROWN = 16, 8
"""Coarse lines that are made or used at a time: few enough to stay in a processor's cache."""

Bound: TypeAlias = tuple[Callable[..., Tensor], Tensor]


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
        low: smallest value that can be stored, a number or a tensor (N, C, 1, 1[, 1]); None: no
            limit.
        high: largest value that can be stored, likewise.

    Returns:
        The corrected image, same shape and dtype as ``sr``.
    """
    has_graph = torch.is_grad_enabled() and (sr.requires_grad or lr.requires_grad)
    if has_graph or sr.device.type != "cpu":
        bounds = [
            (choose, torch.as_tensor(limit, dtype=sr.dtype, device=sr.device))
            for choose, limit in ((torch.maximum, low), (torch.minimum, high))
            if limit is not None
        ]
        dims = tuple(range(2, sr.ndim))
        sr = _clip(sr, bounds)
        for _ in range(steps):
            sr = _clip(sr + upsample(lr - downsample(sr, scale, dims), scale, dims), bounds)
        return sr
    sr = sr.clone(memory_format=torch.contiguous_format)
    # Numbers, not tensors: a processor clips by them several values at a time.
    corner = (*sr.shape[:2], *[1] * (sr.ndim - 2))
    limits = [
        [None] * sr.shape[:2].numel()
        if limit is None
        else torch.as_tensor(limit, dtype=sr.dtype).expand(corner).flatten().tolist()
        for limit in (low, high)
    ]
    with torch.autocast("cpu", enabled=False):
        for plane, coarse, *ends in zip(sr.flatten(0, 1), lr.flatten(0, 1), *limits, strict=True):
            _clip_in_place(plane, *ends)
            for _ in range(steps):
                _step_in_place(plane, coarse, scale, *ends)
    return sr


def _clip(image: Tensor, bounds: list[Bound]) -> Tensor:
    for choose, limit in bounds:
        image = choose(image, limit)
    return image


def _clip_in_place(image: Tensor, low: float | None, high: float | None) -> None:
    if low is not None or high is not None:
        image.clamp_(low, high)


def _step_in_place(
    sr: Tensor, lr: Tensor, scale: int, low: float | None, high: float | None
) -> None:
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
        _clip_in_place(lines[out].addmm_(matrix, wide[source]), low, high)
