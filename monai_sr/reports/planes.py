"""Planes of an input and its result that belong together, and the crops worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude, uniform_filter

from monai_sr.formats import Facts, format_of_meta
from monai_sr.geometry import covering_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


@dataclass(frozen=True)
class PlanePair:
    """One plane of a case.

    Shape: lr (C, X, Y), sr (C, X', Y'), in stored values; half_width as sr, or None.

    Attributes:
        title: which plane.
        pixel_aspect: width of a pixel of ``sr`` over its height, on screen.
        is_upward: whether the second axis points up on screen.
    """

    title: str
    lr: npt.NDArray[Any]
    sr: npt.NDArray[Any]
    half_width: npt.NDArray[Any] | None
    pixel_aspect: float
    is_upward: bool

    def shown(self, levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn a picture (Y, X[, 3]) the way it is looked at."""
        return levels[::-1] if self.is_upward else levels


def slice_axis_of(meta: Mapping[str, Any], rank: int) -> int:
    """Return the axis across the planes that are shown, -1 for a single plane."""
    if rank < 3:
        return -1
    axis = Facts(meta).slice_axis
    return axis if axis >= 0 else rank - 1


def planes_of(volume: npt.NDArray[Any], axis: int, count: int) -> list[npt.NDArray[Any]]:
    """Return some planes (C, X, Y): the middle one first, then evenly placed ones."""
    if axis < 0:
        return [volume]
    return [volume.take(i, axis + 1) for i in _indices(volume.shape[axis + 1], count)]


def plane_pairs(
    lr: npt.NDArray[Any],
    sr: npt.NDArray[Any],
    half_width: npt.NDArray[Any] | None,
    meta: Mapping[str, Any],
    count: int,
) -> list[PlanePair]:
    """Cut matching planes of a case.

    Shape: lr (C, X, Y[, Z]), sr the same enlarged, half_width as sr.

    Args:
        lr: stored values of the input.
        sr: those of the result.
        half_width: uncertainty of the result.
        meta: metadata of the result.
        count: at most so many planes of a volume.
    """
    rank = lr.ndim - 1
    axis = slice_axis_of(meta, rank)
    aspect = pixel_aspect(meta, axis, rank)
    is_upward = format_of_meta(meta).is_upward
    if axis < 0:
        return [PlanePair("", lr, sr, half_width, aspect, is_upward)]
    length = lr.shape[axis + 1]
    indices = _indices(length, count)
    # The sample of the result at the center of the input's: the middle of its block.
    size = sr.shape[axis + 1]
    blocks = [np.flatnonzero(covering_samples(length, size) == i) for i in indices]
    pairs = []
    for index, block in zip(indices, blocks, strict=True):
        at = int(block[len(block) // 2]) if block.size else index * size // length
        widths = None if half_width is None else half_width.take(at, axis + 1)
        title = f"Slice {index + 1} of {length}"
        parts = (lr.take(index, axis + 1), sr.take(at, axis + 1), widths)
        pairs.append(PlanePair(title, *parts, aspect, is_upward))
    return pairs


def choose_crops(
    lr: npt.NDArray[Any], half_width: npt.NDArray[Any] | None, side: int, count: int
) -> list[tuple[int, int, str]]:
    """Choose squares of an input that do not overlap: most detail, and most uncertainty.

    Shape: lr (X, Y) as displayed, half_width (X', Y').

    Returns:
        (first X, first Y, why) of each in input pixels, the strongest first of each kind.
    """
    side = min(side, *lr.shape)
    detail = gaussian_gradient_magnitude(lr.astype(np.float64), 1.0)
    maps = [("most detail", detail)]
    if half_width is not None:
        x, y = (covering_samples(*pair) for pair in zip(half_width.shape, lr.shape, strict=True))
        maps.append(("largest uncertainty", np.nan_to_num(half_width)[np.ix_(x, y)]))
    chosen: list[tuple[int, int, str]] = []
    last = [length - side + 1 for length in lr.shape]
    # The origin makes it the mean over the square that begins at each pixel.
    means = [(why, uniform_filter(m, side, origin=-(side // 2))) for why, m in maps]
    scores = [(why, mean[: last[0], : last[1]]) for why, mean in means]
    is_free = np.ones(last, dtype=bool)
    for turn in range(count):
        if not is_free.any():
            break
        why, score = scores[turn % len(scores)]
        best = np.unravel_index(np.argmax(np.where(is_free, score, -np.inf)), score.shape)
        left, top = int(best[0]), int(best[1])
        chosen.append((left, top, why))
        is_free[max(left - side + 1, 0) : left + side, max(top - side + 1, 0) : top + side] = False
    return chosen


def _indices(length: int, count: int) -> list[int]:
    middle = length // 2
    others = {length * i // (count + 1) for i in range(1, count + 1)}
    nearest = min(others, key=lambda i: abs(i - middle))
    return list(dict.fromkeys([middle, *sorted(others - {nearest, middle})]))[:count]


def pixel_aspect(meta: Mapping[str, Any], axis: int, rank: int) -> float:
    """Return the width of a pixel over its height on screen.

    Of medical images, whose lengths are physical; maps and photos have square pixels.

    Args:
        meta: metadata of the image.
        axis: across the planes that are shown, -1 for a single plane.
        rank: number of its spatial axes.
    """
    if not format_of_meta(meta).lengths_in_mm or "affine" not in meta:
        return 1.0
    affine = np.asarray(meta["affine"], dtype=np.float64)
    spacing = np.linalg.norm(affine[:-1, :-1], axis=0)
    first, second = [a for a in range(max(rank, 2)) if a != axis][:2]
    ratio = float(spacing[first] / spacing[second]) if spacing[second] > 0 else 1.0
    return ratio if np.isfinite(ratio) and ratio > 0 else 1.0
