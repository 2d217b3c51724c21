"""Measures how fine the detail is that an image holds, noise apart: what blur takes away.

Of a wave of f cycles a pixel, second differences are tan(pi f) times as large as differences of
pixels two apart. So the root of the ratio of their powers, over all waves of an image, tells the
frequency of its finest detail. White noise adds 6 and 2 times its variance to the two; that is
taken away first. Values times a number, plus another, measure alike.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SECOND_GAIN, _FIRST_GAIN = 6.0, 2.0  # of differences, on the variance of white noise
_CLEAR = 4.0  # times what noise adds: what a block must hold beside it to tell anything
_SHARPER_SHARE = 0.75  # of the blocks are coarser than what counts: depth of field blurs, too


def detail_frequency(
    blocks: Sequence[npt.ArrayLike],
    noise: Sequence[float],
    valid: Sequence[npt.ArrayLike] | None = None,
) -> float:
    """Measure the blocks of one image.

    Letters and lines that were drawn into a blurred image lie in few of its blocks: what three
    quarters of them stay below counts.

    Shape: each block (C, X, Y), floating point, any range; sides of at least 3.

    Args:
        blocks: parts of the image, see :func:`monai_sr.functional.block_places`.
        noise: standard deviation of each channel's noise, in units of the values.
        valid: (C, X, Y) for each block, which pixels are measurements; None: all.

    Returns:
        Cycles a pixel, 0 to 0.5; NaN where no block holds far more than noise.
    """
    variance = np.square(np.nan_to_num(np.asarray(noise, dtype=np.float64)))[:, None, None]
    found = []
    for number, block in enumerate(blocks):
        values = np.asarray(block, dtype=np.float64)
        known = np.isfinite(values)
        if valid is not None:
            known &= np.asarray(valid[number], dtype=bool)
        fine, coarse, added = _powers(np.where(known, values, 0.0), known, variance)
        if coarse > _CLEAR * added:
            ratio = max(fine - _SECOND_GAIN / _FIRST_GAIN * added, 0.0) / coarse
            found.append(math.atan(math.sqrt(ratio)) / math.pi)
    return float(np.quantile(found, _SHARPER_SHARE)) if found else math.nan


def _powers(
    values: npt.NDArray[np.float64],
    known: npt.NDArray[np.bool_],
    variance: npt.NDArray[np.float64],
) -> tuple[float, float, float]:
    """Return the sums of squares: second differences, differences less noise, and that noise."""
    fine = coarse = added = 0.0
    for axis in (1, 2):
        each, told = np.moveaxis(values, axis, -1), np.moveaxis(known, axis, -1)
        first, middle, last = each[..., :-2], each[..., 1:-1], each[..., 2:]
        three = told[..., :-2] & told[..., 1:-1] & told[..., 2:]
        fine += float(((first - 2 * middle + last) ** 2)[three].sum())
        coarse += float(((last - first) ** 2)[three].sum())
        added += float((_FIRST_GAIN * variance * three).sum())
    return fine, coarse - added, added
