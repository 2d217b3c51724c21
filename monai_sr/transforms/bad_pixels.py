"""Pixels that are no measurements: invalid ones, and single hot, dead or struck ones.

Invalid pixels get the value of the nearest valid one. Between a single pixel far outside of the
range of all others and its neighbors lies nothing that could be interpolated: the network sees the
median of its neighborhood in its place, and its block of the result gets its own value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from monai_sr.core import BadImageError
from monai_sr.formats import Facts
from monai_sr.transforms.ranges import SEEN_OUTSIDE

HOT_REACH = 1
"""Pixels around each one that decide whether it is hot."""

FILL_REACH = 64
"""How far, in pixels, valid pixels lend their values to invalid ones: farther than results of most
generators depend on (``halo``), and little enough for windows of large rasters."""

_PART = 2**18  # pixels that are judged at a time
_OFF = 0.5  # of what networks see, from the median of the neighborhood: one range


def valid_mask(stored: Tensor, nodata: float, declared: Any = ()) -> Tensor:
    """Tell which stored values are measurements: finite, not nodata, and not declared invalid.

    ``declared`` is ``valid``: of the shape of ``stored``, 0 where alpha or a mask hides a pixel;
    empty where nothing does.

    Raises:
        BadImageError: if ``declared`` has another shape.
    """
    valid = torch.isfinite(stored)
    if not np.isnan(nodata):
        valid &= stored != nodata
    mask = torch.as_tensor(declared)
    if not mask.numel():
        return valid
    if mask.shape != stored.shape:
        raise BadImageError(
            f"valid: must have the image's shape {tuple(stored.shape)}, got "
            f"{tuple(mask.shape)}; map values to [0, 1] before cropping"
        )
    return valid & (mask != 0)


def fill_invalid(stored: Tensor, valid: Tensor, others: Sequence[float] | np.ndarray) -> Tensor:
    """Give every invalid pixel the value of the nearest valid one of its channel.

    Shape: both (C, X, Y[, Z]) -> the same. What lies farther than ``FILL_REACH`` from any valid
    pixel becomes that of ``others`` (C or 1): a window with that margin is filled as within the
    whole.
    """
    filled = stored.clone()
    for channel, mask, other in zip(
        filled, valid, np.broadcast_to(others, len(filled)), strict=True
    ):
        otherwise = float(other)
        if mask.all():
            continue
        if not mask.any():
            channel.fill_(otherwise)
            continue
        nearest = distance_transform_edt(~mask.numpy(), return_distances=False, return_indices=True)
        source = channel.clone()
        for row, index in enumerate(np.moveaxis(nearest, 1, 0)):
            here = np.indices(index.shape[1:], dtype=np.int32)
            squared = (index[0] - row) ** 2 + ((index[1:] - here) ** 2).sum(axis=0)
            line = source[tuple(torch.from_numpy(index))]
            line[torch.from_numpy(squared > FILL_REACH**2)] = otherwise
            channel[row] = line
    return filled


def declare_nodata(stored: Tensor, meta: dict[str, Any], value: float) -> None:
    """Make a value invalid, beside what the file declares itself; ``meta`` tells of it.

    Shape: stored (C, ...). A value that the data type cannot hold changes nothing.
    """
    facts = Facts(meta)
    dtype = facts.dtype
    if dtype.kind in "iu" and not (np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        return
    value = float(dtype.type(value)) if dtype.kind == "f" else float(value)
    if np.isnan(facts.nodata):
        facts.nodata = value
        facts.fill = value if np.isnan(facts.fill) else facts.fill
    elif facts.nodata != value:
        own = valid_mask(stored, value, facts.valid)
        facts.valid = own.numpy().astype(np.uint8)


def other_nan(stored: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Tell which pixels are NaN where that is not the nodata value: the result has NaN there.

    Shape: (C, ...) -> bool of the same shape.
    """
    is_nodata = np.isnan(Facts(meta).nodata)
    return np.asarray((torch.isnan(stored) & (not is_nodata)).numpy())


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
