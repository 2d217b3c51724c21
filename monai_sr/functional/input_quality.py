"""Measures what is amiss in an image without a reference: noise, blur and the blocks of JPEG.

All three are free of units of the values: an image times a number, plus another, measures alike. So
stored values tell what the network's [0, 1] tells, and a part of the range as much as the whole.
They are taken on blocks that lie evenly over the image, at places that its size alone decides: a
raster of any size costs as much as 4096 x 512 pixels of it, and a window of it gets its verdict.

References:
    J. Immerkaer, 1996, doi:10.1006/cviu.1996.0060: noise by the difference of two Laplacians.
    X. Liu, M. Tanaka, M. Okutomi, 2013, doi:10.1109/TIP.2013.2283400: from patches of weak texture.
    C. Liu, W. T. Freeman, R. Szeliski, S. B. Kang, 2006, doi:10.1109/CVPR.2006.207: apart for each
    brightness, where noise depends on it.
    P. Marziliano, F. Dufaux, S. Winkler, T. Ebrahimi, 2002, doi:10.1109/ICIP.2002.1038902: blur by
    the width of edges.
    Z. Wang, H. R. Sheikh, A. C. Bovik, 2002, doi:10.1109/ICIP.2002.1038064: differences across the
    borders of blocks against others.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_SIDE_PX = 16
"""Images with a shorter side are not measured."""
_SIDE_PX = 64  # of blocks; a multiple of JPEG's
_PER_AXIS = 8  # blocks
_JPEG_PX = 8
_SURE = 5.0  # times the spread of the offsets that hold no border

_ENDS = (1.0, 99.0)  # percent of the values, between which the contrast lies
_CELL_PX = 8  # whose noise is judged apart
_LAPLACIAN_GAIN = 6.0  # of its mask, on white noise
_WEAK_SHARE = 0.1  # of the cells of a brightness: those of weakest texture
# What that share of cells finds of white noise of standard deviation 1: by simulation.
_WEAK_FINDS = 0.781
_BRIGHTNESSES, _LEAST_CELLS = 4, 12
_CUT_SHARE = 0.1  # of the pixels of a cell at an end of the values: clipped

_BEFORE, _AFTER = 2, 3  # pixels on both sides of an edge
_CLEAR = 10.0  # times the noise: what an edge must rise by
_STEEP_SHARE = 0.15  # of the contrast: likewise
_ALONG = 2.0  # an edge lies across an axis where its slope along it is that many times the other
_LEAST_EDGES = 24
_SHARPEST = 75.0  # percent of the edges are less sharp than what counts: depth of field blurs, too
_SIGMAS = np.linspace(0.2, 3.0, 141)


@dataclass(frozen=True)
class InputQuality:
    """What was measured; NaN where an image does not tell.

    Attributes:
        noise: standard deviation of the noise, as a share of the contrast: of what lies between the
            1st and the 99th percentile of the values. Mean of the channels.
        blur: standard deviation in pixels of a Gaussian that gives the sharper quarter of the clear
            edges their slope. Bicubic reduction of a sharp image has 0.5.
        blocking: how much larger differences across borders of 8 x 8 blocks are than beside them,
            as a share of the mean difference; 0 where the other seven offsets vary as much.
    """

    noise: float
    blur: float
    blocking: float


def block_places(width: int, height: int) -> list[tuple[slice, slice]]:
    """Return the places of the blocks that are measured of an image of a size.

    Returns:
        (X, Y) slices, all of one size, which do not overlap and begin at multiples of 8: up to
        8 x 8 of 64 x 64 pixels; none of images that are too small.
    """
    if min(width, height) < LEAST_SIDE_PX:
        return []
    return list(product(_parts(width), _parts(height)))


def _parts(size: int) -> Iterator[slice]:
    side = min(_SIDE_PX, size)
    count = min(_PER_AXIS, size // side)
    for number in range(count):
        start = (size - side) * number // max(count - 1, 1) // _JPEG_PX * _JPEG_PX
        yield slice(start, start + side)


def measure_quality(
    blocks: Sequence[npt.ArrayLike], valid: Sequence[npt.ArrayLike] | None = None
) -> InputQuality:
    """Measure the blocks of one image, or of several slices of a volume, as one.

    Constant and clipped areas, and pixels that are not valid, tell nothing and are left out.

    Shape: each block (C, X, Y), floating point, any range, all alike; its sides are at least 16.

    Args:
        blocks: parts of the image, see :func:`block_places`.
        valid: (C, X, Y) for each block, which pixels are measurements; None: all.
    """
    values = np.asarray(blocks, dtype=np.float64)
    known = np.isfinite(values)
    if valid is not None:
        known &= np.asarray(valid, dtype=bool)
    values = np.where(known, values, 0.0)
    found = [
        _measure(values[:, channel], known[:, channel])
        for channel in range(values.shape[1] if values.ndim == 4 else 0)
    ]
    return InputQuality(*(_mean([each[i] for each in found]) for i in range(3)))


def _mean(numbers: Sequence[float]) -> float:
    told = [number for number in numbers if not math.isnan(number)]
    return sum(told) / len(told) if told else math.nan


def _measure(values: Array, known: Mask) -> tuple[float, float, float]:
    """Return noise, blur and blocking of the blocks (N, X, Y) of a channel."""
    told = values[known]
    if not told.size:
        return math.nan, math.nan, math.nan
    low, high = np.percentile(told, _ENDS)
    contrast = float(high - low)
    if contrast <= 0:
        return math.nan, math.nan, math.nan
    noise = _noise(values, known, (float(told.min()), float(told.max())))
    rises = max(_STEEP_SHARE * contrast, _CLEAR * (0.0 if math.isnan(noise) else noise))
    return noise / contrast, _blur(values, known, rises), _blocking(values, known)


def _noise(values: Array, known: Mask, ends: tuple[float, float]) -> float:
    """Return the standard deviation of the noise, in units of the values."""
    response = np.diff(np.diff(values, 2, axis=1), 2, axis=2)
    inner = values[:, 1:-1, 1:-1]
    whole = known.copy()
    whole[:, 1:-1, 1:-1] = _all_around(known)
    is_cut = (inner == ends[0]) | (inner == ends[1])
    power = _cells(response**2) / _LAPLACIAN_GAIN**2
    light, lost, cut = (_cells(each) for each in (inner, ~whole[:, 1:-1, 1:-1], is_cut))
    kept = (lost == 0) & (cut <= _CUT_SHARE) & (power > 0)
    power, light = power[kept], light[kept]
    if not power.size:
        return math.nan
    groups = max(1, min(_BRIGHTNESSES, power.size // _LEAST_CELLS))
    ordered = np.array_split(power[np.argsort(light, kind="stable")], groups)
    weak = [float(np.quantile(group, _WEAK_SHARE)) for group in ordered]
    return math.sqrt(float(np.median(weak))) / _WEAK_FINDS


def _all_around(known: Mask) -> Mask:
    """Tell of which inner pixels all eight neighbors are known, too."""
    rows = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    found: Mask = rows[:, :, :-2] & rows[:, :, 1:-1] & rows[:, :, 2:]
    return found


def _cells(values: npt.NDArray[np.generic]) -> Array:
    """Return the mean of each cell of (N, X, Y), flat; a rest at the far edges is left out."""
    count, width, height = values.shape
    across, down = width // _CELL_PX, height // _CELL_PX
    part = values[:, : across * _CELL_PX, : down * _CELL_PX]
    cells = part.reshape(count, across, _CELL_PX, down, _CELL_PX)
    return np.asarray(cells.mean(axis=(2, 4), dtype=np.float64)).reshape(-1)


def _blur(values: Array, known: Mask, rises: float) -> float:
    """Return the standard deviation of the Gaussian of the edges, in pixels."""
    shares = np.concatenate(
        [
            _edge_shares(np.moveaxis(values, axis, -1), np.moveaxis(known, axis, -1), rises)
            for axis in (1, 2)
        ]
    )
    if shares.size < _LEAST_EDGES:
        return math.nan
    share = float(np.percentile(shares, _SHARPEST))
    # The middle step of a Gaussian edge, of its rise between the outer pixels.
    root = math.sqrt(2)
    model = [math.erf(0.5 / (root * s)) / math.erf((_BEFORE + 0.5) / (root * s)) for s in _SIGMAS]
    return float(np.interp(-share, [-m for m in model], _SIGMAS))


def _edge_shares(values: Array, known: Mask, rises: float) -> Array:
    """Return the middle step of each clear edge across the last axis, as a share of its rise."""
    span = values.shape[-1] - _BEFORE - _AFTER
    steps = np.diff(values, axis=-1)
    middle = steps[..., _BEFORE : _BEFORE + span]
    rise = values[..., _BEFORE + _AFTER :] - values[..., :span]
    is_edge = np.abs(rise) >= rises
    for offset in range(_BEFORE + _AFTER):
        step = steps[..., offset : offset + span]
        is_edge &= (step * rise >= 0) & (np.abs(step) <= np.abs(middle))
    for offset in range(_BEFORE + _AFTER + 1):
        is_edge &= known[..., offset : offset + span]
    other = np.zeros_like(values)
    other[:, 1:-1] = (values[:, 2:] - values[:, :-2]) / 2
    pair = [other[..., _BEFORE + i : _BEFORE + i + span] for i in (0, 1)]
    is_edge[:, [0, -1]] = False
    is_edge &= _ALONG * np.maximum(np.abs(pair[0]), np.abs(pair[1])) <= np.abs(middle)
    return np.asarray(np.abs(middle[is_edge] / rise[is_edge]))


def _blocking(values: Array, known: Mask) -> float:
    """Return the excess of differences at the borders of 8 x 8 blocks, of any offset."""
    found = []
    for axis in (1, 2):
        each, told = np.moveaxis(values, axis, -1), np.moveaxis(known, axis, -1)
        steps = np.abs(np.diff(each, axis=-1))
        told = told[..., 3:] & told[..., 2:-1] & told[..., 1:-2] & told[..., :-3]
        excess = steps[..., 1:-1] - (steps[..., :-2] + steps[..., 2:]) / 2
        mean = steps[..., 1:-1][told].mean() if told.any() else 0.0
        offsets = [slice(offset, None, _JPEG_PX) for offset in range(_JPEG_PX)]
        if mean <= 0 or not all(told[..., o].any() for o in offsets):
            return math.nan
        means = np.sort([excess[..., o][told[..., o]].mean() for o in offsets])
        middle, spread = float(means[:-1].mean()), float(means[:-1].std())
        rise = float(means[-1]) - middle
        found.append(rise / float(mean) if rise > _SURE * spread else 0.0)
    return min(found)
