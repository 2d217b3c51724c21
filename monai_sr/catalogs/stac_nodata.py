"""Finds the nodata value that an item states and its files do not.

STAC 1.1.0, common metadata: ``nodata`` of bands, else of the asset, else of the item; before,
``raster:bands`` of the raster extension 1.1. A number, or "nan", "inf", "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from monai_sr.catalogs.stac_item import said_of_bands
from monai_sr.core import BadImageError, get_logger, ignored_warnings, is_address, printable
from monai_sr.formats import open_raster
from monai_sr.upscaling import Archives, FarInputs

logger = get_logger(__name__)

_NODATA = "nodata"
_WORDS = ("nan", "inf", "-inf")


def nodata_to_use(item: Any, keys: Sequence[str], places: Sequence[str]) -> float | None:
    """Return the stored value that is no measurement by the item alone.

    Args:
        item: ``pystac.Item``.
        keys: of an asset, or of several that are stacked.
        places: their files or addresses.

    Returns:
        None where the item states none, where the files declare one themselves, which holds then,
        and where no pixel can have it.

    Raises:
        BadImageError: it is no number, assets to be stacked have several, or a file is no raster.
    """
    values = {value for key in keys for value in _said(item, key)}
    if values == {None}:
        return None
    label = printable("+".join(keys))
    shown = " and ".join(sorted("none" if v is None else f"{v:g}" for v in values))
    declared, dtype = _declared(label, places[0])
    if len(values) > 1 and len(keys) > 1:
        others = (_declared(label, place)[0] for place in places[1:])
        if declared != {None} and all(map(declared.__eq__, others)):
            return None
        raise BadImageError(
            f"{label}: must have one nodata value to be stacked, the item states {shown}; name "
            "each alone"
        )
    if len(values) > 1:
        logger.warning(
            "%s: the item states nodata %s for its bands, and one value holds for all: none of "
            "them is used; name one by --nodata", label, shown,
        )  # fmt: skip
        return None
    value = values.pop() or 0.0
    if declared != {None}:
        if declared != {value}:
            found = " and ".join(sorted("none" if v is None else f"{v:g}" for v in declared))
            logger.warning(
                "%s: the item states nodata %s, its file %s: the file's holds; if it is wrong, "
                "name the other by --nodata", label, shown, found,
            )  # fmt: skip
        return None
    return value if _fits(value, dtype) else None


def _declared(label: str, place: str) -> tuple[set[float | None], np.dtype[Any]]:
    """Return the nodata values of a file's bands, and its data type."""
    far = FarInputs()
    brought = far.bring(place, Archives()) if is_address(place) else place
    try:
        with ignored_warnings(NotGeoreferencedWarning), open_raster(brought) as dataset:
            return set(map(_of_file, dataset.nodatavals)), np.dtype(dataset.dtypes[0])
    except (RasterioError, CPLE_BaseError) as error:
        raise BadImageError(
            f"{label}: must be a raster, got a damaged or missing file; check the asset"
        ) from error


def _of_file(value: float | None) -> float | None:
    return None if value is None else math.nan if math.isnan(value) else float(value)


def _said(item: Any, key: str) -> list[float | None]:
    """Return what is stated for each band of an asset."""
    general = item.properties.get(_NODATA)
    try:
        bands = said_of_bands(item.assets[key])
    except (AttributeError, TypeError, ValueError) as error:
        raise BadImageError(
            f"{printable(key)}: bands must be a list of objects, got another; mend the item"
        ) from error
    return [_number(key, band.get(_NODATA, general)) for band in bands]


def _number(key: str, value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and value not in _WORDS:
        raise BadImageError(
            f"{printable(key)}: nodata must be a number or {', '.join(_WORDS)}, got "
            f"{printable(repr(value))[:40]}; mend the item"
        )
    return math.nan if value == "nan" else float(value)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether pixels can have a value; what is not finite is no measurement anyway."""
    if not np.isfinite(value) or dtype.kind not in "iu":
        return bool(np.isfinite(value))
    limits = np.iinfo(dtype)
    return value.is_integer() and limits.min <= value <= limits.max
