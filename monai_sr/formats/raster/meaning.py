"""What a raster says about the meaning of its bands: tables, names and the values themselves.

A color table on a map names classes, and so does that of a band among several; a palette of one
band without a map may be that of a picture: there its values decide. JPEG and other lossy
compression hold no codes: they would not survive.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from monai_sr.core import get_logger
from monai_sr.formats.meaning import (
    AS_ASKED,
    CODES,
    COLOR,
    COMPLEX,
    FRACTION,
    GRAY,
    LABEL,
    PHASE,
    Meaning,
    Tally,
    by_name,
    few_colors,
    few_values,
    is_sure_phase,
    many_values,
    packed,
    warn_of_labels,
)
from monai_sr.formats.raster.bands import band_colors
from monai_sr.formats.raster.dates import are_dates
from monai_sr.formats.raster.fields import cf_texts
from monai_sr.formats.raster.joint import color_mosaic, complex_parts, packed_bytes
from monai_sr.formats.raster.opaque import is_dear, is_lossy
from monai_sr.formats.raster.parts import middle, windows_of
from monai_sr.formats.raster.tables import named_bands
from monai_sr.formats.raster.turns import TURN_PX, by_turns, raster_turn, turning
from monai_sr.formats.regions import LIKELY, region_share
from monai_sr.formats.wrapping import turn_of, warn_of_turn
from monai_sr.geometry import has_transform, source_rpcs, source_transform

logger = get_logger(__name__)

_CARRY_PARTS, _MOST_BYTES, _DATE_BYTES = 16, 4, 4
# Directions on a circle, and those of D8: to one of eight neighbors, as powers of two (Jenson &
# Domingue 1988), beside them 0, 255 and 247 of HydroSHEDS for sinks and the sea.
_FLOW = re.compile(r"(?<![a-z0-9])(?:(?:flow|d8)[ _-]?dir(?:ections?)?|fdir|fdr)(?![a-z0-9])")
_DIRECTION = re.compile(
    r"(?<![a-z0-9])(?:aspect(?![ _-]?ratio)|(?:wind|wave|swell|current|flow)[ _-]?dir|directions?"
    r"|(?:wind|wave|swell|current|flow)directions?|azimuth|heading|bearing|fdr|mwd|wdir(?:\d+m)?"
    r"|[vs]aa|hue|longitude|polar[ _-]?angle)(?![a-z0-9])"
)
RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
# Per pixel, not per area: their sum is what was counted.
_COUNTS = re.compile(
    r"(?:per |/ ?|(?<![a-z])p)(?:pixel|cell|px)(?![a-z])|(?<![a-z0-9])(?:ppp|worldpop|landscan"
    r"|ghs_pop|pop(?:ulation)?[ _-]?counts?|inhabitants|persons|people)(?![a-z0-9])"
    r"(?!.*(?:density|km))"
)
_IN_PIXELS = re.compile(r"px|pix(?:el)?s?|samples?", re.IGNORECASE)  # units, as of optical flow
_FLAT = -1.0  # of aspect, where nothing slopes
_EIGHT_WAYS, _NO_WAY = {2.0**n for n in range(8)}, {-1.0, 0.0, 247.0, 255.0}
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
    if is_lossy(dataset):
        return None
    colors, is_map = band_colors(dataset), is_on_map(dataset)
    alphas = {b for b in dataset.indexes if colors[b - 1] == ColorInterp.alpha}
    bands = [b for b in dataset.indexes if b not in alphas or alpha_is_data(dataset, b - 1)]
    reason = "a color table on a map" if is_map else "a color table of one band among several"
    may_be_classes = is_map or len(bands) > 1
    tables = {b: reason for b in bands if may_be_classes and colors[b - 1] == ColorInterp.palette}
    if tables and len(tables) == len(bands):
        return Meaning(LABEL, reason)
    declared = named_bands(dataset) | tables
    if dataset.count == 1 and declared and np.dtype(dataset.dtypes[0]).kind in "iu":
        return Meaning(LABEL, declared[1])
    if not bands or is_dear(dataset):
        return None
    texts = {band: dataset.descriptions[band - 1] or "" for band in bands}
    said = {band: " ".join((texts[band], *cf_texts(dataset, band))) for band in bands}
    if parts := _complex(path, dataset, texts):
        return parts
    named = {
        band: _said(said[band], dataset, band, declared.get(band, "")) or _by_dates(dataset, band)
        for band in bands
    }
    names = {band: texts[band] or f"band {band}" for band in bands}
    return _by_names(path, dataset, named, names) or _by_pixels(path, dataset, bands)


def _by_names(
    path: Path, dataset: DatasetReader, named: dict[int, Meaning | None], names: dict[int, str]
) -> Meaning | None:
    """Return what is said of every band, or of the file, or that some are codes or directions."""
    bands = [*named]
    codes = tuple(band for band, said in named.items() if said is not None and said.kind in CODES)
    around = _around(dataset, bands, named)
    if isinstance(around, Meaning):
        return around
    if all(named.values()) and len(codes) in (0, len(bands)):
        return named[bands[0]]
    if not codes and not around:
        whole, codes = _by_file(path, dataset, bands)
        if whole is not None:
            return whole
    if codes := tuple(sorted((*codes, *around))):
        what = "codes and directions" if around else "codes"
        reason = f"bands of {what}: {', '.join(names[band] for band in codes)}"
        return Meaning(GRAY, reason, tuple(band - 1 for band in codes))
    return None


def _around(
    dataset: DatasetReader, bands: Sequence[int], named: dict[int, Meaning | None]
) -> Meaning | tuple[int, ...]:
    """Return what bands of directions and phases are: all of one turn, or those among others.

    Among others, or with turns of their own, they keep their values like codes: cosine and sine
    are of one turn, and of all bands.
    """
    if len(bands) == 1:
        return ()
    unsaid = [b for b in bands if named[b] is None and dataset.colorinterp[b - 1] not in RGBA]
    called = [b for b, said in named.items() if said is not None and said.kind == PHASE]
    turns = turning(dataset, called, unsaid)
    if len(turns) == len(bands):
        if len({*turns.values()}) > 1:
            return Meaning(LABEL, "directions and phases of several turns")
        return named[bands[0]] or Meaning(PHASE, "bands that begin anew", turn=turns[bands[0]])
    return tuple(turns)


def _complex(path: Path, dataset: DatasetReader, texts: dict[int, str]) -> Meaning | None:
    """Return what the names of bands say of complex numbers; of one without, that of the file."""
    names = [*texts.values()]
    names = names if len(names) > 1 else [names[0] or path.stem]
    window = middle(dataset)
    return complex_parts(names, (dataset.read(band, window=window).min() for band in texts))


def _by_pixels(path: Path, dataset: DatasetReader, bands: Sequence[int]) -> Meaning | None:
    """Return what the pixels of a single band, of colors, or of every band say."""
    found = _by_carries(dataset, bands)
    if found is None and _is_rgb(dataset, bands):
        found = _by_colors(dataset) or _by_regions(path, dataset, is_rgb=True)
    if len(bands) > 1:
        return found or _by_bands(dataset, bands)
    found = _by_values(dataset) or _by_regions(path, dataset)
    return found or color_mosaic(dataset.read(1, window=middle(dataset)))


def _by_carries(dataset: DatasetReader, bands: Sequence[int]) -> Meaning | None:
    """Return that up to four bands are the bytes of one number."""
    if not 2 <= len(bands) <= _MOST_BYTES or {dataset.dtypes[b - 1] for b in bands} != {"uint8"}:
        return None
    windows = windows_of(dataset)[:: max(len(windows_of(dataset)) // _CARRY_PARTS, 1)]
    return packed_bytes(np.stack([dataset.read(b, window=w) for b in bands]) for w in windows)


def _by_bands(dataset: DatasetReader, bands: Sequence[int]) -> Meaning | None:
    """Return what several bands say if each is of classes, as a map of each year; one may be empty.

    Three bands of bytes are red, green and blue in a GeoTIFF unless its writer says otherwise.
    """
    found = None
    for band in bands:
        tally = Tally(dataset.nodatavals[band - 1])
        if not _counted(dataset, band, tally, is_named=False):
            return None
        if len(tally.values) > 1:
            found = few_values(tally)
            if found is None:
                return None
    return found and Meaning(LABEL, f"{found.reason} in every band")


def _is_rgb(dataset: DatasetReader, bands: Sequence[int]) -> bool:
    return tuple(dataset.colorinterp[:3]) == RGBA[:3] and len(bands) == 3


def _by_file(
    path: Path, dataset: DatasetReader, bands: Sequence[int]
) -> tuple[Meaning | None, tuple[int, ...]]:
    """Return what the name of a file says of all bands, or those of which it is true.

    A mask of usable data may come with a band that says how sure it is.
    """
    stem = path.stem  # NASA puts dots between the words of a name
    first = _said(stem, dataset, bands[0])
    if first is None:
        return None, ()
    alike = tuple(band for band in bands if _said(stem, dataset, band) == first)
    if len(alike) == len(bands):
        return first, ()
    return None, alike if first.kind in CODES and not _is_rgb(dataset, bands) else ()


def _by_colors(dataset: DatasetReader) -> Meaning | None:
    """Return what few colors say."""
    return few_colors(_rgb(dataset, window) for window in windows_of(dataset))


def _by_values(dataset: DatasetReader) -> Meaning | None:
    """Return what the values of a single band alone say."""
    tally = Tally(dataset.nodatavals[0])
    if not _counted(dataset, 1, tally, is_named=False):
        return by_turns(dataset)
    is_flow = _EIGHT_WAYS <= tally.values <= _EIGHT_WAYS | _NO_WAY
    return Meaning(LABEL, "flow directions") if is_flow else few_values(tally)


def _by_dates(dataset: DatasetReader, band: int) -> Meaning | None:
    """Return that whole values are dates: from the last day of a month to the next is no step."""
    if np.dtype(dataset.dtypes[band - 1]).itemsize < _DATE_BYTES:
        return None
    parts = (dataset.read(band, window=window) for window in windows_of(dataset))
    return Meaning(LABEL, "dates") if are_dates(parts, dataset.nodatavals[band - 1]) else None


def _rgb(dataset: DatasetReader, window: Window) -> npt.NDArray[Any]:
    # What stands for a dataset, as an array does, gives one band or all.
    return np.stack([dataset.read(band, window=window) for band in (1, 2, 3)])


def _by_regions(path: Path, dataset: DatasetReader, *, is_rgb: bool = False) -> Meaning | None:
    """Return what regions say, as numbers of cells; maps are warned of, for grids lie in blocks."""
    if is_on_map(dataset) or (is_rgb and dataset.dtypes[0] != "uint8"):
        return None
    window = middle(dataset)
    values = _rgb(dataset, window) if is_rgb else dataset.read(1, window=window)
    nodata = None if is_rgb else dataset.nodatavals[0]
    return many_values(path, [packed(values) if is_rgb else values], nodata=nodata)


def warn_of_doubts(path: Path, dataset: DatasetReader, meaning: Meaning) -> None:
    """Say what looks like directions, classes or numbers of regions and is enlarged as amounts.

    Nothing is said where the user said what the values are.

    Args:
        path: the file.
        dataset: the same, open.
        meaning: what is thought of it.
    """
    if meaning.kind not in (GRAY, COLOR) or meaning.reason == AS_ASKED:
        return
    is_opaque, is_map = is_lossy(dataset) or is_dear(dataset), is_on_map(dataset)
    for band in dataset.indexes:
        texts = (dataset.descriptions[band - 1], *cf_texts(dataset, band))
        text = " ".join(filter(None, texts)) or (path.name if dataset.count == 1 else "")
        if band - 1 in meaning.bands:
            continue
        said = f"{text} {dataset.units[band - 1] or ''}".lower()
        if is_map and _COUNTS.search(said):
            logger.warning(
                "%s: band %d looks like counts or amounts of each pixel, whose sum grows with the "
                "number of pixels; divide them by the square of the scale, or give them per area",
                path, band,
            )  # fmt: skip
        if _IN_PIXELS.fullmatch((dataset.units[band - 1] or "").strip()):
            logger.warning(
                "%s: band %d is measured in pixels, and the result says so of pixels of the "
                "source: multiply it by the scale for its own", path, band,
            )  # fmt: skip
        if _DIRECTION.search(text.lower()):
            logger.warning(
                "%s: band %d looks like directions and is enlarged as amounts: wrong where they "
                "begin anew; give it alone (gdal_translate -b %d), with --kind phase or label",
                path, band, band,
            )  # fmt: skip
        elif not is_opaque and dataset.colorinterp[band - 1] not in RGBA:
            part = dataset.read(band, window=middle(dataset, TURN_PX))
            if found := turn_of([part], dataset.nodatavals[band - 1]):
                warn_of_turn(f"{path}: band {band}", found)
    if is_map and not is_opaque:
        _warn_of_codes(path, dataset, meaning)


def _warn_of_codes(path: Path, dataset: DatasetReader, meaning: Meaning) -> None:
    """Look at a part in the middle for what is not taken for codes by its values alone.

    Those are numbers of basins, parcels and segments, which are many, and classes beside other
    bands, such as a stack that has lost their names.
    """
    window, nodata = middle(dataset), dataset.nodatavals
    if dataset.count == 1:
        count, share = region_share(dataset.read(1, window=window), nodata[0])
        if share >= LIKELY:
            warn_of_labels(path, count)
        return
    for band, color in zip(dataset.indexes, dataset.colorinterp, strict=True):
        if color == ColorInterp.alpha or band - 1 in meaning.bands:
            continue
        tally = Tally(nodata[band - 1])
        is_counted = tally.add(dataset.read(band, window=window), is_named=False)
        if is_counted and (found := few_values(tally)):
            logger.warning(
                "%s: band %d looks like classes (%s) and is enlarged as amounts: between them lies "
                "nothing; give it alone (gdal_translate -b %d), or a name such as landcover",
                path, band, found.reason, band,
            )  # fmt: skip


def is_on_map(dataset: DatasetReader) -> bool:
    """Tell whether a raster lies anywhere on Earth."""
    places = (dataset.crs, dataset.gcps[0], source_rpcs(dataset))
    return any(bool(place) for place in places) or has_transform(source_transform(dataset))


def _said(text: str, dataset: DatasetReader, band: int, declared: str = "") -> Meaning | None:
    """Return what is said of a band, by its name or by a table, if its values can be that."""
    is_integer = np.dtype(dataset.dtypes[band - 1]).kind in "iu"
    if declared and (is_integer or _tallied(dataset, band).are_whole):
        return Meaning(LABEL, declared)
    found, named = [by_name(text)], text.lower()
    found += [Meaning(LABEL, f"named {m.group()!r}") for m in [_FLOW.search(named)] if m]
    found += [Meaning(PHASE, f"named {m.group()!r}") for m in [_DIRECTION.search(named)] if m]
    true = next((m for m in found if m is not None and _is_true(m, dataset, band, text)), None)
    if true is None and _DIRECTION.search(named):
        is_around = raster_turn(dataset, is_sure=False, band=band, code=_FLAT) is not None
        return Meaning(LABEL, f"directions, and {_FLAT:g} for none") if is_around else None
    return true


def _is_true(meaning: Meaning, dataset: DatasetReader, band: int, name: str) -> bool:
    """Tell whether the values of a band can be what a name says."""
    if meaning.kind == FRACTION:
        return True
    if meaning.kind in (COMPLEX, PHASE) and ColorInterp.red in dataset.colorinterp:
        return False
    if meaning.kind == COMPLEX:
        return True
    if meaning.kind == PHASE:
        return is_sure_phase(name) or raster_turn(dataset, is_sure=False, band=band) is not None
    return _tallied(dataset, band).are_codes(is_named=True)


def _tallied(dataset: DatasetReader, band: int) -> Tally:
    tally = Tally(dataset.nodatavals[band - 1])
    _counted(dataset, band, tally, is_named=True)
    return tally


def _counted(dataset: DatasetReader, band: int, tally: Tally, *, is_named: bool) -> bool:
    parts = (dataset.read(band, window=window) for window in windows_of(dataset))
    return all(tally.add(part, is_named=is_named) for part in parts)


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
