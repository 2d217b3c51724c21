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

_SLAB = 16
"""Coarse lines that are worked on at a time: few enough to stay in a processor's cache."""

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
    bounds = [
        (choose, torch.as_tensor(limit, dtype=sr.dtype, device=sr.device))
        for choose, limit in ((torch.maximum, low), (torch.minimum, high))
        if limit is not None
    ]
    has_graph = torch.is_grad_enabled() and (sr.requires_grad or lr.requires_grad)
    if has_graph or sr.device.type != "cpu":
        dims = tuple(range(2, sr.ndim))
        sr = _clip(sr, bounds)
        for _ in range(steps):
            sr = _clip(sr + upsample(lr - downsample(sr, scale, dims), scale, dims), bounds)
        return sr
    sr = sr.clone(memory_format=torch.contiguous_format)
    _clip_in_place(sr, bounds)
    with torch.autocast("cpu", enabled=False):
        for _ in range(steps):
            _step_in_place(sr, lr, scale, bounds)
    return sr


def _clip(image: Tensor, bounds: list[Bound]) -> Tensor:
    for choose, limit in bounds:
        image = choose(image, limit)
    return image


def _clip_in_place(image: Tensor, bounds: list[Bound]) -> None:
    for choose, limit in bounds:
        choose(image, limit, out=image)


def _step_in_place(sr: Tensor, lr: Tensor, scale: int, bounds: list[Bound]) -> None:
    """Take one step a slab of lines at a time, without memory for a second large image."""
    others = tuple(range(3, sr.ndim))
    error = torch.empty_like(lr, memory_format=torch.contiguous_format)
    for out, source, matrix in blocks(sr.shape[2], 1 / scale, _SLAB, sr):
        slab = matrix @ sr[:, :, source].flatten(3)
        slab = slab.reshape(*slab.shape[:3], *sr.shape[3:])
        error[:, :, out] = lr[:, :, out] - downsample(slab, scale, others)
    for out, source, matrix in blocks(lr.shape[2], scale, _SLAB * scale, sr):
        slab = upsample(error[:, :, source], scale, others)
        target = sr[:, :, out]
        target += (matrix @ slab.flatten(3)).view_as(target)
        _clip_in_place(target, bounds)
