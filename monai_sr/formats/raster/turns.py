"""Tells bands of directions and phases, and the stored values of one turn of them."""

import math
from collections.abc import Sequence

import numpy as np
from rasterio.io import DatasetReader

from monai_sr.formats.meaning import Meaning, phase_turn
from monai_sr.formats.raster.parts import middle, windows_of
from monai_sr.formats.wrapping import by_turn, turn_of

_TURN_PARTS = 16
TURN_PX = 2**15
"""Pixels that are looked at of each of maybe hundreds of bands."""


def by_turns(dataset: DatasetReader) -> Meaning | None:
    """Return what jumps between neighbors say: values on a circle, if their turn is known.

    Args:
        dataset: an open raster of one band.
    """
    windows = windows_of(dataset)[:: max(len(windows_of(dataset)) // _TURN_PARTS, 1)]
    parts = [dataset.read(1, window=window) for window in windows]
    found = turn_of(parts, dataset.nodatavals[0])
    return by_turn(found, lambda seen: raster_turn(dataset, is_sure=False, seen=seen))


def turning(
    dataset: DatasetReader, called: Sequence[int], others: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Return the stored values of one turn of each band of directions or phases.

    Args:
        dataset: an open raster of several bands.
        called: numbers of those that are called so.
        others: those that may be by their values, of which a part is looked at.
    """
    found = {band: raster_turn(dataset, band=band) for band in called}
    found |= {band: _turn_seen(dataset, band) for band in others}
    return {band: turn for band, turn in sorted(found.items()) if turn is not None}


def _turn_seen(dataset: DatasetReader, band: int) -> tuple[float, float] | None:
    part = dataset.read(band, window=middle(dataset, TURN_PX))
    found = by_turn(
        turn_of([part], dataset.nodatavals[band - 1]),
        lambda seen: raster_turn(dataset, is_sure=False, band=band, seen=seen),
    )
    return None if found is None else found.turn


def raster_turn(
    dataset: DatasetReader,
    *,
    is_sure: bool = True,
    band: int = 1,
    seen: float = math.nan,
    code: float = math.nan,
) -> tuple[float, float] | None:
    """Return the stored values of one turn of phase, None where they stay open.

    Args:
        dataset: an open raster.
        is_sure: whether the values are known to be phases.
        band: its number from 1.
        seen: turn after which they begin anew, where that was seen.
        code: a value that stands for none.
    """
    low, high = np.inf, -np.inf
    nodata = dataset.nodatavals[band - 1]
    for window in windows_of(dataset):
        part = dataset.read(band, window=window)
        is_valid = np.isfinite(part) & (part != (np.nan if nodata is None else nodata))
        valid = part[is_valid & (part != code)]
        if valid.size:
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
    if low > high:
        return None
    slope, intercept = float(dataset.scales[band - 1] or 1), float(dataset.offsets[band - 1])
    return phase_turn(low, high, slope=slope, intercept=intercept, is_sure=is_sure, seen=seen)
