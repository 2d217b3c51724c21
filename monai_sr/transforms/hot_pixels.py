"""Single pixels far outside of the range of all others: hot, dead or struck ones.

Between such a pixel and its neighbors lies nothing that could be interpolated: the network sees
the median of its neighborhood in its place, and its block of the result gets its own value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from monai_sr.formats import Facts
from monai_sr.transforms.ranges import SEEN_OUTSIDE

HOT_REACH = 1
"""Pixels around each one that decide whether it is hot."""

_PART = 2**18  # pixels that are judged at a time
_OFF = 0.5  # of what networks see, from the median of the neighborhood: one range


def has_far_pixels(stored: np.ndarray, valid: np.ndarray, meta: Mapping[str, Any]) -> bool:
    """Tell whether any value lies where networks do not see it, so that it may be hot."""
    planes = zip(stored, valid, _seen_ranges(meta, len(stored)), strict=True)
    return any(bool(_far(plane, seen, *pair).any()) for plane, seen, pair in planes)


def calm_hot_pixels(
    stored: np.ndarray, valid: np.ndarray, meta: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Replace hot pixels by the median of their 3 x 3 neighborhood.

    Hot are those outside of what networks see, whose median is not, and is a range away: one, or a
    few beside each other, but not the middle of a bright target.

    Shape: stored and valid (C, X, Y[, Z]).

    Args:
        stored: the values.
        valid: which of them are measurements; others count for no median.
        meta: with fact ``range``; a slice axis has no part in neighborhoods.

    Returns:
        The values, as they were given if none is hot, and for each hot one its channel, place and
        value, see :func:`hot_planes`.
    """
    codes = Facts(meta).code_bands.ravel()
    slice_axis = Facts(meta).slice_axis
    axes = [axis for axis in range(stored.ndim - 1) if stored.ndim < 4 or axis != slice_axis]
    calm, found = stored, [np.empty((0, stored.ndim + 1))]
    for channel, (bottom, top) in enumerate(_seen_ranges(meta, len(stored))):
        plane, seen = stored[channel], valid[channel]
        far = np.argwhere(_far(plane, seen, bottom, top))
        if channel in codes or not len(far):
            continue
        medians, values = _medians(plane, seen, far, axes), plane[tuple(far.T)].astype(np.float64)
        is_off = np.abs(values - medians) > (top - bottom) * _OFF
        is_hot = (bottom <= medians) & (medians <= top) & is_off
        calm = stored.copy() if calm is stored else calm
        calm[channel][tuple(far[is_hot].T)] = medians[is_hot]
        first = np.full((int(is_hot.sum()), 1), channel)
        found.append(np.hstack([first, far[is_hot], values[is_hot, None]]))
    return calm, np.concatenate(found)


def _seen_ranges(meta: Mapping[str, Any], channels: int) -> list[list[float]]:
    """Return the stored values that networks see of each channel."""
    ranges = np.broadcast_to(Facts(meta).range.reshape(-1, 2), (channels, 2))
    reach = (ranges[:, 1:] - ranges[:, :1]) * [-SEEN_OUTSIDE, SEEN_OUTSIDE]
    found: list[list[float]] = (ranges + reach).tolist()
    return found


def _far(plane: np.ndarray, seen: np.ndarray, bottom: float, top: float) -> np.ndarray:
    return np.asarray(seen & ((plane < bottom) | (plane > top)))


def _medians(
    plane: np.ndarray, valid: np.ndarray, places: np.ndarray, axes: list[int]
) -> np.ndarray:
    """Return the median of the valid pixels around each place; edges are repeated."""
    steps = np.zeros((3 ** len(axes), plane.ndim), np.int64)
    steps[:, axes] = np.indices([3] * len(axes)).reshape(len(axes), -1).T - HOT_REACH
    result = np.empty(len(places))
    for begin in range(0, len(places), _PART):
        near = places[begin : begin + _PART, None] + steps
        index = tuple(np.moveaxis(near.clip(0, np.array(plane.shape) - 1), 2, 0))
        around = np.where(valid[index], plane[index], np.nan)
        result[begin : begin + _PART] = np.nanmedian(around, axis=1)
    return result


def hot_planes(
    hot: np.ndarray, shape: Sequence[int], bounds: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the channels that have hot pixels, with their values, and NaN elsewhere.

    Args:
        hot: what :func:`calm_hot_pixels` found.
        shape: (C, X, Y[, Z]) of the image.
        bounds: (C, 2) or (1, 2), stored values that results are held in.
    """
    limits = np.broadcast_to(np.asarray(bounds).reshape(-1, 2), (shape[0], 2))
    for channel in np.unique(hot[:, 0]).astype(np.int64).tolist():
        own = hot[hot[:, 0] == channel]
        plane = np.full(shape[1:], np.nan)
        plane[tuple(own[:, 1:-1].astype(np.int64).T)] = own[:, -1].clip(*limits[channel])
        yield channel, plane
