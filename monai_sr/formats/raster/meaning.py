"""What a raster says about the meaning of its bands: color tables, names and the values themselves.

A color table on a map names classes, a palette without one may be that of a picture: there its
values decide. JPEG and lossy WebP hold no codes: they would not survive.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from monai_sr.formats.meaning import (
    CODES,
    COMPLEX,
    FRACTION,
    GRAY,
    LABEL,
    PHASE,
    Meaning,
    Tally,
    by_name,
    few_values,
    is_sure_phase,
    phase_turn,
)
from monai_sr.formats.raster.open import has_category_names
from monai_sr.geometry import has_transform, source_transform

_LOSSY_DRIVERS = frozenset({"JPEG", "WEBP"})
_LOSSY = frozenset({"jpeg", "webp", "jxl", "lerc"})
_PART_PX = 2**18
_MOST_PARTS = 256  # of a large raster, evenly spread: its kind shows in 67 million pixels
# No part of a block can be read without all of it; JPEG 2000 does not tell how large its are.
_LARGEST_BLOCK_PX = 2**27
# Physical bounds by what the description or the unit of a band says, the first that fits.
_NATURAL = (
    (re.compile(r"\b(nd[vwsbmr]i|mndwi|gndvi|ndre\d?|nbr2?)\b"), (-1.0, 1.0)),
    (re.compile(r"^%$|\bper ?cent(age)?\b"), (0.0, 100.0)),
    (re.compile(r"\b(fraction|probability|fapar|fcover|albedo)\b"), (0.0, 1.0)),
    (re.compile(r"\breflectance\b"), (0.0, np.inf)),
)
_UNBOUNDED = (-np.inf, np.inf)
_ALPHA_GROUP = -2
# An alpha band with more levels, most of which are neither transparent nor opaque, is a picture.
_FEW_LEVELS, _ENDS_SHARE = 16, 0.5
_SAMPLED_PX = 512


def raster_meaning(path: Path, dataset: DatasetReader) -> Meaning | None:
    """Return what a raster says; None where nothing speaks against gray values and colors.

    The answer rests on the file, not on a window, so that windows and the whole have one.

    Args:
        path: the file.
        dataset: the same, open.
    """
    if dataset.driver in _LOSSY_DRIVERS or str(_compression(dataset)) in _LOSSY:
        return None
    colors = dataset.colorinterp
    if colors[0] == ColorInterp.palette and is_on_map(dataset):
        return Meaning(LABEL, "a color table on a map")
    if dataset.count == 1 and has_category_names(path):
        return Meaning(LABEL, "category names")
    is_hidden = dataset.driver.startswith("JP2")
    if math.prod(dataset.shape if is_hidden else dataset.block_shapes[0]) > _LARGEST_BLOCK_PX:
        return None
    bands = [band for band in dataset.indexes if colors[band - 1] != ColorInterp.alpha]
    own = {band: by_name(dataset.descriptions[band - 1] or "") for band in bands}
    named = {band: m for band, m in own.items() if m is not None and _is_true(m, dataset, band)}
    codes = tuple(band for band, meaning in named.items() if meaning.kind in CODES)
    if codes and len(codes) < len(bands):
        names = ", ".join(dataset.descriptions[band - 1] for band in codes)
        return Meaning(GRAY, f"bands of codes: {names}", tuple(band - 1 for band in codes))
    if named and len(named) == len(bands):
        return next(iter(named.values()))
    stem = path.name.partition(".")[0]
    of_file = by_name(stem)
    if of_file is not None and all(_is_true(of_file, dataset, band, stem) for band in bands):
        return of_file
    is_whole = np.dtype(dataset.dtypes[0]).kind in "iu"
    if len(bands) > 1 or not is_whole:
        return None
    tally = Tally(dataset.nodatavals[0])
    return few_values(tally) if _counted(dataset, 1, tally, is_named=False) else None


def raster_turn(
    dataset: DatasetReader, *, is_sure: bool = True, band: int = 1
) -> tuple[float, float] | None:
    """Return the stored values of one turn of phase, None where they stay open."""
    low, high = np.inf, -np.inf
    nodata = dataset.nodatavals[band - 1]
    for window in _windows(dataset):
        part = dataset.read(band, window=window)
        valid = part[np.isfinite(part) & (part != (np.nan if nodata is None else nodata))]
        if valid.size:
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
    if low > high:
        return None
    slope, intercept = float(dataset.scales[band - 1] or 1), float(dataset.offsets[band - 1])
    return phase_turn(low, high, slope=slope, intercept=intercept, is_sure=is_sure)


def is_on_map(dataset: DatasetReader) -> bool:
    """Tell whether a raster lies anywhere on Earth."""
    places = (dataset.crs, dataset.gcps[0], dataset.rpcs)
    return any(bool(place) for place in places) or has_transform(source_transform(dataset))


def _is_true(meaning: Meaning, dataset: DatasetReader, band: int, name: str = "") -> bool:
    """Tell whether the values of a band can be what its name says."""
    if meaning.kind in (FRACTION, COMPLEX):
        return True
    if meaning.kind == PHASE:
        if ColorInterp.red in dataset.colorinterp:
            return False
        text = name or dataset.descriptions[band - 1] or ""
        return is_sure_phase(text) or raster_turn(dataset, is_sure=False, band=band) is not None
    tally = Tally(dataset.nodatavals[band - 1])
    _counted(dataset, band, tally, is_named=True)
    return tally.are_codes(is_named=True)


def _counted(dataset: DatasetReader, band: int, tally: Tally, *, is_named: bool) -> bool:
    parts = (dataset.read(band, window=window) for window in _windows(dataset))
    return all(tally.add(part, is_named=is_named) for part in parts)


def _windows(dataset: DatasetReader) -> list[Window]:
    rows = max(_PART_PX // dataset.width, 1)
    tops = range(0, dataset.height, rows)
    tops = tops[:: math.ceil(len(tops) / _MOST_PARTS)]
    return [Window(0, t, dataset.width, min(rows, dataset.height - t)) for t in tops]


def _compression(dataset: DatasetReader) -> str:
    return str(dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", "")).lower()


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
    facts = zip(dataset.descriptions, _units(dataset), dataset.scales, dataset.offsets, strict=True)
    for pair, (description, unit, scale, offset) in zip(bounds, facts, strict=True):
        texts = [re.sub(r"[_\-]+", " ", text.lower()) for text in (description or "", unit)]
        found = (ends for rule, ends in _NATURAL if any(rule.search(text) for text in texts))
        physical = np.asarray(next(found, _UNBOUNDED))
        if scale:
            pair[:] = np.sort((physical - offset) / scale)
    return bounds


def alpha_is_data(dataset: DatasetReader, band: int) -> bool:
    """Tell whether a band that is tagged as alpha is a picture, as the near infrared of NAIP.

    A sample of the band decides. PNG and WebP have an alpha channel and no other fourth band.

    Args:
        dataset: an open raster.
        band: index of the alpha band.
    """
    if dataset.driver in ("PNG", "WEBP") or dataset.colorinterp[band] != ColorInterp.alpha:
        return False
    shape = tuple(min(side, _SAMPLED_PX) for side in dataset.shape)
    sample: npt.NDArray[Any] = dataset.read(band + 1, out_shape=shape)
    levels = np.unique(sample)
    if len(levels) <= _FEW_LEVELS:
        return False
    opaque = 1.0 if sample.dtype.kind == "f" else float(np.iinfo(sample.dtype).max)
    at_ends = float(np.mean((sample == 0) | (sample == opaque)))
    return at_ends < _ENDS_SHARE


def _units(dataset: DatasetReader) -> list[str]:
    return [(unit or "").strip().lower() for unit in dataset.units]
