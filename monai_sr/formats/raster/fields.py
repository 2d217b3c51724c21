"""What a raster declares of the quantity in each band: names, groups of one unit, possible values.

CF conventions, https://cfconventions.org (attributes of netCDF that GDAL keeps as tags of a band).
"""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetReader
from rasterio.windows import Window

# Physical bounds by what the description or the unit of a band says, the first that fits.
_NATURAL = (
    (re.compile(r"\b(nd[vwsbmr]i|mndwi|gndvi|ndre\d?|nbr2?)\b"), (-1.0, 1.0)),
    (re.compile(r"^%$|\bper ?cent(age)?\b"), (0.0, 100.0)),
    (re.compile(r"\b(fraction|probability|fapar|fcover|albedo)\b"), (0.0, 1.0)),
    (re.compile(r"\breflectance\b"), (0.0, np.inf)),
)
_CF_NAMES = ("standard_name", "long_name", "NETCDF_VARNAME")
# Tags of the whole file, where bands have none, as of MODIS and HLS in GeoTIFF.
_CF_OF_ALL = (
    "valid_range", "valid_min", "valid_max", "_FillValue", "missing_value", "_Unsigned",
    "flag_values", "flag_masks",
)  # fmt: skip
_UNBOUNDED = (-np.inf, np.inf)
_ALPHA_GROUP = -2


def cf_texts(dataset: DatasetReader, band: int) -> list[str]:
    """Return what names a band by the CF conventions, as in netCDF.

    Args:
        dataset: an open raster.
        band: its number from 1.
    """
    tags = dataset.tags(band)
    return [tags[name] for name in _CF_NAMES if name in tags]


def cf_tags(dataset: DatasetReader, band: int) -> dict[str, str]:
    """Return the tags of a band, with what CF attributes of the whole file say of it.

    Args:
        dataset: an open raster.
        band: its number from 1.
    """
    whole = dataset.tags()
    own: dict[str, str] = dataset.tags(band)
    return {key: whole[key] for key in _CF_OF_ALL if key in whole} | own


def band_groups(dataset: DatasetReader, channels: int, alpha: int) -> tuple[int, ...]:
    """Return a number for each band: those of one declared unit, scale and offset share it.

    Args:
        dataset: an open raster.
        channels: as they are read.
        alpha: index of the alpha channel, -1 for none.

    Returns:
        -1 where nothing is declared; the alpha channel is always alone.
    """
    groups = [-1] * channels
    if channels == dataset.count:
        facts = list(zip(_units(dataset), dataset.scales, dataset.offsets, strict=True))
        known = list(dict.fromkeys(facts))
        groups = [-1 if fact == ("", 1.0, 0.0) else known.index(fact) for fact in facts]
    if alpha >= 0:
        groups[alpha] = _ALPHA_GROUP
    return tuple(groups)


def natural_bounds(dataset: DatasetReader, channels: int) -> npt.NDArray[np.float64]:
    """Return the stored values that each band is naturally bounded by: (C, 2), maybe infinite.

    Args:
        dataset: an open raster.
        channels: as they are read.
    """
    bounds = np.tile(np.asarray(_UNBOUNDED), (channels, 1))
    if channels != dataset.count:
        return bounds
    facts = zip(
        dataset.indexes, dataset.descriptions, _units(dataset), dataset.scales, dataset.offsets,
        strict=True,
    )  # fmt: skip
    for pair, (band, description, unit, scale, offset) in zip(bounds, facts, strict=True):
        said = (description or "", unit, *cf_texts(dataset, band))
        texts = [re.sub(r"[_\-]+", " ", text.lower()) for text in said]
        found = (ends for rule, ends in _NATURAL if any(rule.search(text) for text in texts))
        physical = np.asarray(next(found, _UNBOUNDED))
        if scale and math.isfinite(scale) and math.isfinite(offset):
            pair[:] = np.sort((physical - offset) / scale)
        low, high = _valid_range(dataset, band)
        pair[:] = max(pair[0], low), min(pair[1], high)
    return bounds


@dataclass(frozen=True)
class Hidden:
    """What the CF attributes hide beside nodata: codes for why there is no value.

    Attributes:
        ranges: valid stored values of each band, (C, 2), maybe infinite.
        missing: others that are none, of each band.
    """

    ranges: npt.NDArray[np.float64]
    missing: tuple[tuple[float, ...], ...]

    def valid(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Tell which pixels are values.

        Shape: (C, H, W) -> (C, H, W).
        """
        found = within(pixels, self.ranges)
        for band, own, codes in zip(pixels, found, self.missing, strict=True):
            for code in codes:
                own &= band != pixels.dtype.type(code)
        return found


def hidden_codes(
    dataset: DatasetReader, part: Callable[[DatasetReader], Window], nodata: float | None
) -> Hidden | None:
    """Return what the CF attributes hide, None where that is nothing.

    It needs a nodata value, or floats, to become it in the result. A range that most values leave
    is stated in other units.

    Args:
        dataset: an open raster.
        part: tells where to look.
        nodata: of all bands.
    """
    has_place = nodata is not None or all(np.dtype(d).kind == "f" for d in dataset.dtypes)
    if not has_place:
        return None
    ranges = np.array([_valid_range(dataset, band) for band in dataset.indexes])
    missing = tuple(
        tuple(value for value in missing_values(dataset, band) if value != nodata)
        for band in dataset.indexes
    )
    if np.isfinite(ranges).any():
        window = part(dataset)
        sample = np.stack([dataset.read(band, window=window) for band in dataset.indexes])
        known = np.isfinite(sample) & (sample != (np.nan if nodata is None else nodata))
        left = known & ~within(sample, ranges)
        if left.sum() > known.sum() / 2:
            ranges = np.tile(np.asarray(_UNBOUNDED), (len(ranges), 1))
    is_any = np.isfinite(ranges).any() or any(missing)
    return Hidden(ranges, missing) if is_any else None


def missing_values(dataset: DatasetReader, band: int) -> tuple[float, ...]:
    """Return the stored values that CF attributes call missing, the fill value first.

    Args:
        dataset: an open raster.
        band: its number from 1.
    """
    tags, dtype = cf_tags(dataset, band), np.dtype(dataset.dtypes[band - 1])
    found: list[float] = []
    for text in (tags.get(name, "") for name in ("_FillValue", "missing_value")):
        for part in text.strip("{}").split(","):
            with suppress(ValueError, OverflowError), np.errstate(over="ignore"):
                number = _number(part, tags, dtype)
                value = dtype.type(number)
                is_held = dtype.kind == "f" or value == number
                found += [float(value)] if is_held and np.isfinite(value) else []
    return tuple(dict.fromkeys(found))


def within(pixels: npt.NDArray[Any], ranges: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which pixels lie in the range of their band.

    Shape: pixels (C, H, W), ranges (C, 2) -> (C, H, W).
    """
    low, high = ranges[:, 0, None, None], ranges[:, 1, None, None]
    found: npt.NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return found


def _valid_range(dataset: DatasetReader, band: int) -> tuple[float, float]:
    """Return the stored values that CF attributes call valid; readers take others for missing."""
    tags = cf_tags(dataset, band)
    ends = tags.get("valid_range", "").strip("{}").split(",")
    given = ends if len(ends) == 2 else (tags.get("valid_min", ""), tags.get("valid_max", ""))
    found, dtype = list(_UNBOUNDED), np.dtype(dataset.dtypes[band - 1])
    for place, text in enumerate(given):
        with suppress(ValueError):
            value = _number(text, tags, dtype)
            found[place] = value if math.isfinite(value) else found[place]
    return (found[0], found[1]) if found[0] < found[1] else _UNBOUNDED


def _number(text: str, tags: Mapping[str, str], dtype: np.dtype[Any]) -> float:
    """Read a number of an attribute; classic netCDF, as of GOES, writes those of unsigned signed.

    Raises:
        ValueError: it is none.
    """
    value = float(text)
    is_wrapped = value < 0 and dtype.kind == "u" and tags.get("_Unsigned", "").lower() == "true"
    return value + 2.0 ** (8 * dtype.itemsize) if is_wrapped else value


def _units(dataset: DatasetReader) -> list[str]:
    return [(unit or "").strip().lower() for unit in dataset.units]
