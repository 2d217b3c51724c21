"""Tells label maps of many values from pictures, by the regions that their values form.

An atlas of the brain has some hundred values (FreeSurfer's wmparc 180, Schaefer's up to 1000), so
that their number says nothing. But each of them fills a region, while of a picture few neighbors
are equal: of 14 volumes of MR, CT and perfusion at most 0.2, where the median of the values counts
(saturated and empty parts are few values of many).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SURE = 0.7
"""Share of equal neighbors from which values are labels."""
LIKELY = 0.45
"""Share from which they are, if a name says so; without one they may be."""

_HOPELESS = 0.3  # share of all neighbors: no picture gets further, and costs no more time
_DIRECT = 2**20  # codes up to here are counted in a table, others are sorted first
_STEPWISE = 0.75  # levels of gray and height: the next value is the next level


def region_share(image: npt.NDArray[Any], nodata: float | None = None) -> tuple[int, float]:
    """Return how many values an image has, and the median of their shares of equal neighbors.

    Of volumes the two axes count along which most neighbors are equal: slices may be thick.
    Neighbors of the most frequent value, the background, do not count.

    Shape: image (X, Y[, Z]).

    Args:
        image: stored values.
        nodata: a value that is none; NaN is none, either.

    Returns:
        The number, and the share in [0, 1]; 0 of fractions, of pictures, and of levels, where
        neighbors that differ mostly do so by one step.
    """
    valid = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
    if nodata is not None:
        valid &= image != nodata
    values = image[valid]
    if not values.size or (values.dtype.kind == "f" and (values != np.rint(values)).any()):
        return 0, 0.0
    codes, sizes = _codes(image, values, valid)
    ground = int(sizes.argmax())
    codes[~valid] = ground
    count = int(np.count_nonzero(sizes))
    pairs = [_pairs(codes, axis, ground) for axis in range(codes.ndim) if codes.shape[axis] > 1]
    flattest = sorted(pairs, key=_equal_share, reverse=True)[:2]
    if not flattest or np.mean([_equal_share(pair) for pair in flattest]) < _HOPELESS:
        return count, 0.0
    rank = np.cumsum(sizes > 0)
    equal, unequal = np.zeros_like(sizes), np.zeros_like(sizes)
    near = apart = 0
    for first, second in flattest:
        same = first == second
        low, high = first[~same], second[~same]
        equal += 2 * np.bincount(first[same], minlength=sizes.size)
        unequal += np.bincount(low, minlength=sizes.size) + np.bincount(high, minlength=sizes.size)
        near += np.count_nonzero(np.abs(rank[low] - rank[high]) == 1)
        apart += low.size
    if near > _STEPWISE * max(apart, 1):
        return count, 0.0
    sizes[ground] = 0
    shares = equal[sizes > 0] / np.maximum((equal + unequal)[sizes > 0], 1)
    return count, float(np.median(shares)) if shares.size else 0.0


def _codes(
    image: npt.NDArray[Any], values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return small whole numbers for the values, in their order, and how often each is there."""
    low, high = int(values.min()), int(values.max())
    codes = np.zeros(image.shape, np.int32)
    if high - low < _DIRECT:
        found = values.astype(np.int64) - low
    else:
        found = np.unique(values, return_inverse=True)[1].ravel()
    codes[valid] = found
    return codes, np.bincount(found).astype(np.int64)


def _pairs(
    codes: npt.NDArray[Any], axis: int, ground: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the codes of neighbors along an axis, neither of which is background."""
    along = np.moveaxis(codes, axis, 0)
    counts = (along[1:] != ground) & (along[:-1] != ground)
    return along[1:][counts], along[:-1][counts]


def _equal_share(pairs: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> float:
    first, second = pairs
    return float(np.mean(first == second)) if first.size else 0.0
