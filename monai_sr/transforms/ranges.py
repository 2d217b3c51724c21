"""Find the range of each band from its values: robust to outliers, to heavy tails and to fill.

Values are counted in bins of some 0.5 % of their size, of which the exact ends are kept. Counts of
the parts of an image add up to those of the whole, in any order: scenes read by windows get the
ranges that they would have in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from monai_sr.core import get_logger

logger = get_logger(__name__)

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]
Range: TypeAlias = tuple[float, float]

SEEN_OUTSIDE = 0.5
"""How far outside of the range, as a share of it, networks see values."""

_PART = 2**20  # values that are sorted at a time
_BIN_BITS = 16  # of float32 that a bin leaves out: 7 bits of the fraction remain
# A share of the pixels at either end is left outside if the end lies farther from the others than
# so many times their range: single hot pixels, dead ones; then the tails of, say, radar power.
_TAILS = ((1e-3, 1.0), (1e-2, 10.0))
# Bands are on one range where what both span is at most so many times what each spans, if nothing
# or if one unit, scale and offset is declared for them.
_ALIKE, _ALIKE_DECLARED = 4.0, 32.0
# A value of many pixels at an end of the range that others keep away from, by a share of their
# range: less where it is one that programs like to fill with.
_FILL_SHARE, _FILL_COUNT, _FILL_BINS = 1e-4, 3, 3
_MOST_CODES = 16  # whole numbers side by side that say why there is no value
_FILL_GAP, _ZERO_GAP, _USUAL_GAP = 0.5, 0.25, 0.05
# Beyond a wedge of fill others are so far off, by a share of their range without its tails.
_WEDGE_JUMP, _WEDGE_TAIL = 0.1, 0.05
# Zeros around a scene, as collars of orthophotos and of Sentinel-2 are: many, and less far off.
_COLLAR_SHARE, _COLLAR_GAP = 1e-2, 0.02
_USUAL_FILL = (-9999.0, -32768.0, -32767.0, 32767.0, 65535.0, -2000.0, -999.0, 9999.0, -99999.0)


@dataclass(frozen=True)
class Levels:
    """How often which values occur, in rising bins.

    Attributes:
        counts: values in each bin.
        lows: smallest value in each.
        highs: largest value in each.
        corners: see :meth:`monai_sr.transforms.ranges.Border.corners`; none of a sum.
    """

    counts: np.ndarray[Any, np.dtype[np.int64]]
    lows: Floats
    highs: Floats
    corners: tuple[Range, ...] = ()

    @classmethod
    def of(cls, values: Floats) -> Levels:
        """Count finite values of any shape."""
        flat = values.reshape(-1)
        parts = []
        for begin in range(0, flat.size, _PART):
            found = np.sort(flat[begin : begin + _PART]) + 0.0  # -0.0 is 0.0
            first, sizes = _runs(found)
            parts.append(cls(sizes, found[first], found[first + sizes - 1]))
        return cls.sum(parts)

    @classmethod
    def sum(cls, parts: Iterable[Levels]) -> Levels:
        """Add counts up."""
        given = list(parts)
        if not given:
            return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        counts, lows, highs = (
            np.concatenate([getattr(part, name) for part in given])
            for name in ("counts", "lows", "highs")
        )
        if not counts.size:
            return given[0]
        order = np.argsort(lows, kind="stable")
        first, _ = _runs(lows[order])
        return cls(
            np.add.reduceat(counts[order], first),
            np.minimum.reduceat(lows[order], first),
            np.maximum.reduceat(highs[order], first),
        )

    @property
    def extremes(self) -> Range:
        """Smallest and largest value of all."""
        return float(self.lows[0]), float(self.highs[-1])

    def within(self, tail: int) -> Range:
        """Return the ends of what is left without at most ``tail`` values at either end."""
        below, above = np.cumsum(self.counts), np.cumsum(self.counts[::-1])[::-1]
        first = int(np.argmax(below > tail))
        last = len(above) - 1 - int(np.argmax(above[::-1] > tail))
        return float(self.lows[first]), float(self.highs[last])

    def far_share(self, low: float, high: float) -> float:
        """Return the share of the values that lie farther outside of a range than networks see."""
        reach = SEEN_OUTSIDE * (high - low)
        is_far = (self.highs < low - reach) | (self.lows > high + reach)
        return float(self.counts[is_far].sum() / max(self.counts.sum(), 1))

    def without(self, *bins: int) -> Levels:
        """Return all but some bins."""
        kept = np.delete(np.arange(len(self.counts)), bins)
        return Levels(self.counts[kept], self.lows[kept], self.highs[kept])


def _runs(rising: Floats) -> tuple[Any, Any]:
    """Return where the bins of sorted values begin, and how many values each has."""
    with np.errstate(over="ignore"):
        keys = rising.astype(np.float32).view(np.int32) >> _BIN_BITS
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return first, np.diff(np.r_[first, keys.size])


def robust_range(levels: Levels) -> Range:
    """Return the range of values without what lies far outside of most."""
    low, high = levels.extremes
    total = int(levels.counts.sum())
    for share, far in _TAILS:
        inner_low, inner_high = levels.within(max(1, int(total * share)))
        reach = far * (inner_high - inner_low)
        if reach <= 0:  # all but single pixels are alike: these are the image
            break
        near = SEEN_OUTSIDE * (inner_high - inner_low)
        if inner_low - low > reach:
            low = float(levels.lows[levels.lows >= inner_low - near].min())
        if high - inner_high > reach:
            high = float(levels.highs[levels.highs <= inner_high + near].max())
    return low, high


def fill_bins(levels: Levels, is_map: bool = False) -> list[int]:
    """Return the bins at either end that look like fill that nobody declared.

    Args:
        levels: of a band.
        is_map: whether it has a place on the Earth; there zeros are seldom measurements, and
            neither are corners of one value with an edge.
    """
    if len(levels.counts) <= _FILL_BINS:
        return []
    count = len(levels.counts)
    found: set[int] = set()
    for end, inwards in ((0, range(count)), (count - 1, range(count)[::-1])):
        is_one = levels.highs[end] == levels.lows[end] and levels.counts[end] >= _FILL_COUNT
        if is_one and ((is_map and _is_wedge(levels, end)) or _keeps_away(levels, end, is_map)):
            found.add(end)
        found.update(_several(levels, inwards))
    return sorted(found)


def _several(levels: Levels, inwards: range) -> range:
    """Return the outermost bins that are several codes for why there is no value.

    Args:
        levels: of a band.
        inwards: its bins, from one end on.
    """
    total, found = int(levels.counts.sum()), inwards[:0]
    least = max(_FILL_COUNT, int(_FILL_SHARE * total))
    for size in range(1, 1 + min(_MOST_CODES, len(inwards) - _FILL_BINS)):
        codes = sorted(inwards[:size])
        lows, highs, counts = (v[codes] for v in (levels.lows, levels.highs, levels.counts))
        are_whole = (np.rint(lows) == lows) & (np.rint(highs) == highs)
        if not (are_whole & (highs - lows < _MOST_CODES) & (counts >= least)).all():
            break
        rest = levels.without(*codes)
        (low, high), (first, last) = robust_range(rest), rest.extremes
        gap = max(lows[0] - last, first - highs[-1])
        is_far = high > low and gap >= max(_FILL_GAP * (high - low), highs[-1] - lows[0])
        are_few = 2 * counts.sum() <= total and 2 * size < len(rest.counts)
        if highs[-1] > lows[0] and are_few and is_far:
            found = inwards[:size]
    return found


def _is_wedge(levels: Levels, end: int) -> bool:
    """Tell whether a bin runs around a corner, and ends there at an edge."""
    jump = dict(levels.corners).get(float(levels.lows[end]), 0.0)
    rest = levels.without(end)
    low, high = rest.within(int(_WEDGE_TAIL * rest.counts.sum()))
    return jump > 0 and jump >= _WEDGE_JUMP * (high - low)


def _keeps_away(levels: Levels, end: int, is_map: bool) -> bool:
    """Tell whether a bin is frequent, and far from the one beside it."""
    value, total = float(levels.lows[end]), int(levels.counts.sum())
    low, high = robust_range(levels.without(end))
    is_usual = value in _USUAL_FILL
    share = _USUAL_GAP if is_usual else _ZERO_GAP if value == 0 else _FILL_GAP
    if is_map and value == 0 and levels.counts[end] >= _COLLAR_SHARE * total:
        share = _COLLAR_GAP
    nearest = float(levels.lows[1] if end == 0 else levels.highs[-2])
    is_frequent = levels.counts[end] >= int(_FILL_SHARE * total)
    return bool(is_frequent and high > low and abs(nearest - value) >= share * (high - low))


def band_ranges(
    bands: Sequence[Levels],
    groups: Sequence[int],
    is_rgb: bool,
    is_map: bool = False,
    is_exact: bool = False,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[tuple[int, float, float]]]:
    """Return the range of each band, and what looks like fill.

    Bands share a range where they are colors, or have alike ranges and the same group.

    Shape: -> (C, 2); NaN for bands without values.

    Args:
        bands: their values.
        groups: a number for each: of bands whose unit, scale and offset are declared to be one;
            -1 where nothing is declared.
        is_rgb: whether the first three are colors.
        is_map: whether they have a place on the Earth.
        is_exact: whether outliers and fill lie in the ranges, too.

    Returns:
        The ranges; band, value and share of the pixels of each supposed fill.
    """
    own = np.full((len(bands), 2), np.nan)
    fill = []
    for band, levels in enumerate(bands):
        if not levels.counts.size:
            continue
        bins = fill_bins(levels, is_map)
        total = levels.counts.sum()
        for place in bins:
            ends = sorted({float(levels.lows[place]), float(levels.highs[place])})
            share = float(levels.counts[place] / total) / len(ends)
            fill += [(band, value, share) for value in ends]
        own[band] = robust_range(levels.without(*bins) if bins else levels)
    count, labels = connected_components(_alike(own, np.asarray(groups), is_rgb))
    if is_exact:
        whole = np.array([b.extremes if b.counts.size else (np.nan, np.nan) for b in bands])
    else:
        whole = own
    ranges = whole.copy()
    for members in (labels == label for label in range(count)):
        if np.isfinite(own[members]).any():
            ranges[members] = np.nanmin(whole[members, 0]), np.nanmax(whole[members, 1])
    return ranges, fill


def _alike(own: Floats, groups: np.ndarray[Any, Any], is_rgb: bool) -> np.ndarray[Any, Any]:
    """Tell which bands belong together: (C, C)."""
    low, high = own.T
    both = np.maximum.outer(high, high) - np.minimum.outer(low, low)
    smaller = np.minimum.outer(high - low, high - low)
    factor = np.where(groups < 0, _ALIKE, _ALIKE_DECLARED)
    result = (both <= factor * smaller) & np.equal.outer(groups, groups)
    result[:3, :3] |= is_rgb
    return np.asarray(result)


def warn_of_fill(name: str, fill: Sequence[tuple[int, float, float]], channels: int) -> None:
    """Say which values look like fill, one line for bands of the same ones."""
    own: dict[int, dict[float, float]] = {}
    for band, value, share in fill:
        own.setdefault(band, {})[value] = share
    for values in dict.fromkeys(map(tuple, own.values())):
        shares = {band: sum(each.values()) for band, each in own.items() if (*each,) == values}
        where = "" if channels == 1 else f" of band {', '.join(str(b + 1) for b in shares)}"
        texts = [repr(value).removesuffix(".0") for value in values]
        if len(values) == 1:
            look, remedy = "looks", f"if it is, name it by --nodata {texts[0]}"
        else:
            look = "look"
            remedy = "if they are, give all of them one value (gdal_calc.py), named by --nodata"
        logger.warning(
            "%s: %s, %.2g %% of the pixels%s, %s like nodata that is not declared; %s",
            name, ", ".join(f"{value:g}" for value in values), 100 * max(shares.values()), where,
            look, remedy,
        )  # fmt: skip


def tell_far(
    name: str,
    bands: Sequence[Levels],
    ranges: np.ndarray,
    fill: Sequence[tuple[int, float, float]],
) -> float:
    """Say how many pixels lie far outside of the ranges, and what becomes of them.

    Args:
        name: what the log calls the image.
        bands: their values.
        ranges: (C, 2), of them.
        fill: band, value and share of what looks like nodata, which is said already.

    Returns:
        Their share of the pixels, of the band that has most.
    """
    shares = [
        levels.far_share(low, high) for levels, (low, high) in zip(bands, ranges, strict=True)
    ]
    for band, _, share in fill:
        shares[band] -= share
    worst = int(np.argmax(shares))
    if shares[worst] <= 0:
        return 0.0
    logger.info(
        "%s: %.2g %% of the pixels%s lie far outside of %g to %g, the range of all others: single "
        "ones keep their value as blocks, others are enlarged by bicubic interpolation",
        name, 100 * shares[worst], f" of band {worst + 1}" if len(bands) > 1 else "",
        *ranges[worst],
    )  # fmt: skip
    return shares[worst]


_LEAST_PX, _LEAST_SHARE = 4, 0.01  # of a run: pixels, and of the whole border


class Border:
    """Collects the outermost pixels of an image, part by part."""

    def __init__(self, shape: Sequence[int]) -> None:
        channels, self._width, self._height = shape
        sizes = (self._width, self._height) * 2
        self._sides = [np.full((channels, size), np.nan) for size in sizes]

    def add(self, stored: np.ndarray, valid: np.ndarray, x: slice, y: slice) -> None:
        """Take what a part has of the border.

        Shape: stored and valid (C, x, y).
        """
        top, right, bottom, left = self._sides
        lines: list[tuple[bool, Any, Any]] = [
            (y.start == 0, top[:, x], np.s_[:, :, 0]),
            (x.stop == self._width, right[:, y], np.s_[:, -1]),
            (y.stop == self._height, bottom[:, x], np.s_[:, :, -1]),
            (x.start == 0, left[:, y], np.s_[:, 0]),
        ]
        for is_outermost, side, line in lines:
            if is_outermost:
                side[:] = np.where(valid[line], stored[line], np.nan)

    def corners(self) -> list[tuple[tuple[float, float], ...]]:
        """Return for each channel the values that run around a corner.

        With each comes how far off, on average, the pixels beyond the ends of its runs are.
        """
        top, right, bottom, left = self._sides
        ring = np.hstack(
            [top[:, :-1], right[:, :-1], bottom[:, :0:-1], left[:, :0:-1]]
        )  # clockwise, each corner once
        return [_corner_values(line, self._width - 1, self._height - 1) for line in ring]


def _corner_values(ring: np.ndarray, width: int, height: int) -> tuple[tuple[float, float], ...]:
    least = max(_LEAST_PX, math.ceil(_LEAST_SHARE * ring.size))
    found: dict[float, list[float]] = {}
    for corner in (0, width, width + height, 2 * width + height):
        turned = np.roll(ring, -corner)
        others = np.flatnonzero(turned != turned[:1])  # NaN differs from itself
        if not others.size or others[0] + ring.size - 1 - others[-1] < least:
            continue
        jumps = np.abs(turned[others[[0, -1]]] - turned[0])
        found.setdefault(float(turned[0]), []).extend(jumps[np.isfinite(jumps)].tolist())
    return tuple((value, sum(jumps) / len(jumps)) for value, jumps in found.items() if jumps)


def band_levels(stored: Tensor, valid: Tensor) -> list[Levels]:
    """Count the valid values of each band, and see what is in its corners.

    Shape: both (C, ...).
    """
    pairs = zip(stored.numpy(), valid.numpy(), strict=True)
    levels = [Levels.of(band if mask.all() else band[mask]) for band, mask in pairs]
    if stored.ndim > 3:
        return levels
    border = Border(stored.shape)
    border.add(stored.numpy(), valid.numpy(), *(slice(0, size) for size in stored.shape[1:]))
    return with_corners(levels, border)


def with_corners(levels: Sequence[Levels], border: Border) -> list[Levels]:
    """Add what runs around the corners of each band."""
    pairs = zip(levels, border.corners(), strict=True)
    return [replace(each, corners=corners) for each, corners in pairs]
