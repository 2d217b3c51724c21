"""Finds the nodata value that an item states and its files do not.

STAC 1.1.0, common metadata: ``nodata`` of bands, else of the asset, else of the item; before,
``raster:bands`` of the raster extension 1.1. A number, or "nan", "inf", "-inf".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rasterio.errors import NotGeoreferencedWarning

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
    said = {key: _said(item, key) for key in keys}
    values = {value for each in said.values() for value in each}
    if values == {None}:
        return None
    label = printable("+".join(keys))
    shown = " and ".join(sorted("none" if v is None else f"{v:g}" for v in values))
    if len(values) > 1:
        if len(keys) > 1:
            raise BadImageError(
                f"{label}: must have one nodata value to be stacked, the item states {shown}; name "
                "each alone"
            )
        logger.warning(
            "%s: the item states nodata %s for its bands, and one value holds for all: none of "
            "them is used; name one by --nodata", label, shown,
        )  # fmt: skip
        return None
    value = float(values.pop() or 0.0)
    far = FarInputs()
    place = far.bring(places[0], Archives()) if is_address(places[0]) else places[0]
    with ignored_warnings(NotGeoreferencedWarning), open_raster(place) as dataset:
        declared, dtype = set(dataset.nodatavals), np.dtype(dataset.dtypes[0])
    if declared != {None}:
        if {str(value)} != {str(None if v is None else float(v)) for v in declared}:
            found = " and ".join(sorted("none" if v is None else f"{v:g}" for v in declared))
            logger.warning(
                "%s: the item states nodata %s, its file %s: the file's holds; if it is wrong, "
                "name the other by --nodata", label, shown, found,
            )  # fmt: skip
        return None
    return value if _fits(value, dtype) else None


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
    return float(value)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether pixels can have a value; what is not finite is no measurement anyway."""
    if not np.isfinite(value) or dtype.kind not in "iu":
        return bool(np.isfinite(value))
    limits = np.iinfo(dtype)
    return value.is_integer() and limits.min <= value <= limits.max
