"""Tells dates that are coded as numbers, 20240131 or 2024031: between two of them lies none."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

_YEARS = (1850, 2100)
_LEAST_VALUES, _LEAST_SPANS = 12, 2  # of days, and of months or years that they lie in
_NOTHING = (0, -1, -9999)  # where there is no date


def are_dates(parts: Iterable[npt.NDArray[Any]], nodata: float | None = None) -> bool:
    """Tell whether all values are dates, of several months or, counted in days, of several years.

    Within one of these they are numbers like others.

    Args:
        parts: of a band; no more are asked for once one holds something else.
        nodata: a value that does not count.

    Example:
        >>> are_dates([20240101 + np.add.outer(np.arange(3) * 100, np.arange(28))])
        True
        >>> are_dates([20240101 + np.arange(300)])
        False
    """
    known: set[int] = set()
    for part in parts:
        values = np.unique(part[np.isfinite(part)])
        values = values[~np.isin(values, _NOTHING if nodata is None else (*_NOTHING, nodata))]
        if (values != np.rint(values)).any() or not _dates(values.astype(np.int64)):
            return False
        known.update(values.astype(np.int64).tolist())
    days = np.array(sorted(known), np.int64)
    span = 100 if days.size and days[0] >= 10**7 else 1000
    return days.size >= _LEAST_VALUES and np.unique(days // span).size >= _LEAST_SPANS


def _dates(values: npt.NDArray[np.int64]) -> bool:
    """Tell whether all are dates of one form: year, month, day or year and day of the year."""
    if not values.size:
        return True
    if values[0] < 10**7:
        years, days = values // 1000, values % 1000
        are_days = (days >= 1) & (days <= 366)
    else:
        years, months, days = values // 10000, values // 100 % 100, values % 100
        are_days = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    are_years = (years >= _YEARS[0]) & (years <= _YEARS[1])
    return bool((are_days & are_years).all())
