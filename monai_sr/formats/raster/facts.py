"""Copies what a source raster says beside its pixels to the enlarged raster, rescaled.

TIFF 6.0 tags 270 (ImageDescription), 305 (Software), 282/283 (XResolution, YResolution); PNG
text chunks, W3C PNG 11.3.3.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, DatasetWriter

from monai_sr.core import get_logger
from monai_sr.formats.facts import Facts
from monai_sr.formats.meaning import CODES, GRAY, kind_of
from monai_sr.formats.raster.bands import band_colors
from monai_sr.formats.raster.keep_list import (
    is_deidentified,
    kept_band,
    kept_crs,
    kept_tags,
    kept_unit,
)
from monai_sr.formats.raster.meaning import RGBA
from monai_sr.formats.raster.microscopy import described
from monai_sr.formats.raster.photos import is_lying, resolution_of, scaled_exif
from monai_sr.formats.raster.texts import domains_of
from monai_sr.formats.stored import disclaimer, provenance_of, software
from monai_sr.geometry import (
    corner_transform,
    has_transform,
    scaled_gcps,
    scaled_rpcs,
    scaled_transform,
    source_rpcs,
    source_transform,
)

logger = get_logger(__name__)

# Domains that GDAL computes itself, that describe the source's grid, or that name other files:
# whoever opens the result must not be led to those.
_SKIPPED_DOMAINS = {
    "IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "RPC", "GEOLOCATION", "COLOR_PROFILE",
    "TIFF", "OVERVIEWS", "VRT_SOURCES", "NEW_VRT_SOURCES", "LOCATIONINFO", "ESRI", "DEBUG", "TRE",
    "CGM",
}  # fmt: skip
_XMP = "xml:XMP"
# Whatever a domain is called: what GDAL or another program would follow.
_NAMES_FILES = re.compile(r"(FILE|FILE_?NAME|DATASET|URL|HREF)$", re.IGNORECASE)
_LEADS_AWAY = re.compile(r"^/vsi|://", re.IGNORECASE)
# Of the source's grid, format or values, by domain: the result has a grid of its own.
_STALE = {
    "": re.compile(
        r"STATISTICS_.*|TIFFTAG_(?:MIN|MAX)SAMPLEVALUE|(?:.*#)?(?:actual_range|GeoTransform)"
        r"|NC_GLOBAL#geospatial_(?:lat|lon)_.*|DTED_(?:Origin.*|PartialCellIndicator)"
        r"|NITF_(?:IGEOLO|ICORDS|IMAG|IALVL|IDLVL|FHDR|IC|ABPP|PVTYPE|CLEVEL"
        r"|(?:ILOC|CCS|BLOCKA|CSEXRA|STDIDC|STDIDB|USE00A|ICHIPB)_.*)"
        # Of HLS, MODIS, Landsat and others, as sizes and pixels are usually called.
        r"|(?i:(?:NC_GLOBAL#)?(?:(?:n|num_?|number_?of_?)(?:cols?|columns|rows|lines|samples|pixels)"
        r"|data(?:columns|rows)|characteristicbin(?:angular)?size\w*"
        r"|(?:reflective|thermal|panchromatic)_(?:lines|samples)|grid_cell_size\w*"
        r"|(?:spatial|pixel|ground|geospatial)_?resolution|[xy]_?res(?:olution)?|gsd"
        r"|(?:[xy]_?)?(?:pixel|cell)_?(?:size|spacing|width|height)(?:_?[xy])?"
        r"|image_?(?:width|height|length|size|lines|columns|rows)))"
    ),
    "ENVI": re.compile(
        r"STATISTICS_.*|samples|lines|bands|(?:header|major_frame|minor_frame)_offsets?|file_type"
        r"|data_type|interleave|byte_order|[xy]_start|map_info|projection_info|pixel_size|geo_points"
        r"|rpc_info|coordinate_system_string|description"
    ),
    "IMD": re.compile(
        r"STATISTICS_.*|(?:.*\.)?(?:num_?(?:rows|columns|tiles)|[ul][lr](?:x|y|h|lon|lat|ht)"
        r"|origin[xy]|(?:line|pixel)offset|(?:mean)?(?:product)?(?:row|col|line)?(?:gsd|spacing))",
        re.IGNORECASE,
    ),
}  # fmt: skip
# Of the stored picture: the result is upright, and larger. DJI gives lenses in pixels.
_XMP_OF_GRID = (
    r"tiff:(?:Orientation|ImageWidth|ImageLength|[XY]Resolution)|exif:(?:Pixel[XY]Dimension"
    r"|FocalPlane[XY]Resolution|Subject(?:Area|Location))|GPano:\w+Pixels"
    r"|drone-dji:(?:Calibrated\w+|DewarpData)"
)
# NODATA_VALUES: an invalid color, which the result has as alpha or mask.
_SKIPPED_TAGS = {
    "EXIF_Orientation", "EXIF_PixelXDimension", "EXIF_PixelYDimension", "EXIF_SubjectArea",
    "EXIF_SubjectLocation", "NODATA_VALUES",
    "XML_com.adobe.xmp",  # of a PNG; GDAL gives it in a domain of its own, too
}  # fmt: skip
# In pixels of the source, of the paper and of the sensor.
_RESOLUTIONS = ("TIFFTAG_{}RESOLUTION", "EXIF_{}Resolution", "EXIF_FocalPlane{}Resolution")


@dataclass(frozen=True)
class Grid:
    """How the result's grid lies in the source's, (column, row) order."""

    scale: tuple[float, float]
    offset: tuple[float, float]
    is_aligned: bool


def has_same_bands(src: DatasetReader, count: int, kind: str = GRAY) -> bool:
    """Tell whether bands were neither expanded from a palette nor added by the user.

    Args:
        src: source raster.
        count: number of bands of the result.
        kind: what its values are: codes keep their palette.

    Returns:
        True when what the source says of each band holds for the result.
    """
    is_expanded = band_colors(src)[0] == ColorInterp.palette and kind not in CODES and count == 1
    return bool(src.count == count and not is_expanded)


def colors_of(src: DatasetReader, count: int, kind: str = GRAY) -> tuple[ColorInterp, ...]:
    """Return the color interpretation of the result's bands.

    Args:
        src: source raster.
        count: number of bands of the result.
        kind: what its values are.

    Returns:
        One entry per band.
    """
    if has_same_bands(src, count, kind):
        return tuple(band_colors(src))
    return RGBA[:count] if count in (3, 4) else (ColorInterp.gray,) * count


def copy_facts(
    src: DatasetReader,
    dst: DatasetWriter,
    meta: Mapping[str, Any],
    grid: Grid,
    driver: str | None = None,
) -> None:
    """Copy georeference, colors, tags, band names, scales, offsets and units.

    Of a de-identified result, what the keep-list has of them.

    Args:
        src: source raster.
        dst: result, open for writing, no pixels written yet.
        meta: meta of the result.
        grid: where the result lies in the source.
        driver: of the file that ``dst`` is to become, where that is another one.
    """
    driver = driver or dst.driver
    has_points = driver == "GTiff" and _copy_georeference(src, dst, meta, grid)
    kind = kind_of(meta)
    _copy_colors(src, dst, kind)
    is_private = is_deidentified(meta)
    for domain in () if is_private else filter(is_kept_domain, domains_of(src)):
        dst.update_tags(ns=domain, **_kept_tags(src.tags(ns=domain), domain))
    tags = kept_tags(src.tags()) if is_private else src.tags()
    if is_lying(src):
        tags = _turned(tags)
    size = (dst.width, dst.height)
    dst.update_tags(**result_tags(tags, meta, grid, driver, size))
    if has_points:
        # GDAL 3.10 shifts control points by half a pixel on writing "Point", and by another half,
        # the same way, on reading it.
        dst.update_tags(AREA_OR_POINT="Area")
    if driver == "GTiff":
        _copy_xmp(src, dst, meta)
    _warn_of_geolocation(src)
    if has_same_bands(src, dst.count, kind):
        _copy_bands(src, dst, is_private)


def _turned(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags of a picture that lies on its side with the resolutions of its upright axes."""
    other = {k.format(a): k.format(b) for k in _RESOLUTIONS for a, b in ("XY", "YX")}
    return {other.get(key, key): value for key, value in tags.items()}


def _copy_bands(src: DatasetReader, dst: DatasetWriter, is_private: bool) -> None:
    for band in src.indexes:
        own = _without_stale(src.tags(band))
        dst.update_tags(band, **(kept_tags(own) if is_private else own))
        for domain in filter(is_kept_domain, domains_of(src, band)):
            given = src.tags(band, ns=domain)
            if tags := kept_tags(given) if is_private else _kept_tags(given, domain):
                dst.update_tags(band, ns=domain, **tags)
        name = src.descriptions[band - 1]
        if name := kept_band(name) if is_private else name:
            dst.set_band_description(band, name)
    if any(scale != 1 for scale in src.scales) or any(src.offsets):
        dst.scales, dst.offsets = src.scales, src.offsets
    if any(src.units):
        dst.units = [kept_unit(unit) if is_private else unit or "" for unit in src.units]


def _copy_colors(src: DatasetReader, dst: DatasetWriter, kind: str) -> None:
    colors = colors_of(src, dst.count, kind)
    others = set(colors[1:]) - {ColorInterp.alpha}
    # TIFF's table is of RGB, for one band of few bits (beside it GDAL takes a second one for
    # alpha): what else the first band has is kept by beside.py.
    if colors[0] == ColorInterp.palette and not others and dst.dtypes[0] in ("uint8", "uint16"):
        with suppress(ValueError):  # a band may be called palette and have none
            dst.write_colormap(1, src.colormap(1))
    if ColorInterp.palette in colors[1:]:
        logger.warning(
            "%s: GeoTIFF has no place for color tables of bands behind the first: they are left "
            "out, codes stay", src.name,
        )  # fmt: skip
    if dst.count > 1 or colors[0] != ColorInterp.palette:
        dst.colorinterp = colors


def scaled_dpi(src: DatasetReader, grid: Grid) -> list[float] | None:
    """Return the pixels an inch of a result that is PNG; None where the source tells none."""
    dpi = resolution_of(src)
    return None if dpi is None else [d * s for d, s in zip(dpi, grid.scale, strict=True)]


def xmp_of(src: DatasetReader, meta: Mapping[str, Any]) -> str:
    """Return the XMP packet of a raster without what it says of the stored grid; empty without one.

    Args:
        src: source raster.
        meta: meta of the result, which has none where it is de-identified.
    """
    if is_deidentified(meta):
        return ""
    packet = "".join(src.tags(ns=_XMP).values())
    packet = re.sub(rf"""\s(?:{_XMP_OF_GRID})\s*=\s*("[^"]*"|'[^']*')""", "", packet)
    return re.sub(rf"(?s)<({_XMP_OF_GRID})(?:\s[^>]*)?>.*?</\1\s*>", "", packet)


def exif_of(src: DatasetReader, meta: Mapping[str, Any], grid: Grid) -> bytes:
    """Return the EXIF of a photo, as a PNG holds it; empty without one, or where de-identified."""
    return b"" if is_deidentified(meta) else scaled_exif(src, grid.scale)


def _copy_xmp(src: DatasetReader, dst: DatasetWriter, meta: Mapping[str, Any]) -> None:
    # GDAL takes the packet as one line; rasterio writes lines as name=value.
    name, is_split, value = xmp_of(src, meta).partition("=")
    if is_split:
        dst.update_tags(ns=_XMP, **{name: value})


def is_kept_domain(domain: str) -> bool:
    """Tell whether a domain describes the scene and no file, grid or format of GDAL's.

    Args:
        domain: of a raster's tags.
    """
    # NITF's own domains are headers and extensions byte by byte, of the source's grid.
    is_structured = domain.lower().startswith(("xml:", "json:", "nitf_"))
    return domain.upper() not in _SKIPPED_DOMAINS and not is_structured


def _without_stale(tags: Mapping[str, str], domain: str = "") -> dict[str, str]:
    """Return the tags of a domain that hold for the result."""
    stale = _STALE.get(domain.upper(), _STALE[""])
    return {key: value for key, value in tags.items() if not stale.fullmatch(key)}


def _kept_tags(tags: Mapping[str, str], domain: str) -> dict[str, str]:
    """Return the tags of a domain that hold for the result and lead to no other file."""
    return {
        key: value
        for key, value in _without_stale(tags, domain).items()
        if not _NAMES_FILES.search(key) and not _LEADS_AWAY.search(value)
    }


def _warn_of_geolocation(src: DatasetReader) -> None:
    if src.tags(ns="GEOLOCATION"):
        logger.warning(
            "%s: its geolocation arrays have the source's grid and are not in the result; bring it "
            "onto a map first (gdalwarp -geoloc).", src.name,
        )  # fmt: skip
    if src.tags(ns="RPC") and source_rpcs(src) is None:
        logger.warning(
            "%s: its rational polynomials cannot be read and are not in the result; orthorectify "
            "it first (gdalwarp -rpc).", src.name,
        )  # fmt: skip


def _copy_georeference(
    src: DatasetReader, dst: DatasetWriter, meta: Mapping[str, Any], grid: Grid
) -> bool:
    """Copy what places the raster on the map; tell whether control points are among it."""
    if src.crs is not None:
        dst.crs = kept_crs(src.crs) if is_deidentified(meta) else src.crs
    transform = source_transform(src)
    if has_transform(transform):
        # From the source's own six terms where possible: exact for scales that are powers of two.
        dst.transform = (
            scaled_transform(transform, grid.scale, grid.offset)
            if grid.is_aligned
            else corner_transform(np.asarray(meta["affine"]))
        )
    (points, crs), rpcs = src.gcps, source_rpcs(src)
    if (points or rpcs) and not grid.is_aligned:
        logger.warning("%s: a turned image loses its control points and RPCs.", src.name)
        return False
    has_points = bool(points) and not has_transform(transform)
    if points and not has_points:
        logger.warning(
            "%s: GeoTIFF holds a transform or control points; the points are left out.", src.name
        )
    elif points:
        if crs and is_deidentified(meta):
            crs = kept_crs(crs)
        dst.gcps = (scaled_gcps(points, grid.scale, grid.offset), crs or CRS())
    if rpcs:
        dst.rpcs = scaled_rpcs(rpcs, grid.scale, grid.offset)
    return has_points


def result_tags(
    source: Mapping[str, Any],
    meta: Mapping[str, Any],
    grid: Grid,
    driver: str,
    size: tuple[int, int],
) -> dict[str, Any]:
    """Return the source's tags with resolution, software and description brought up to date.

    Args:
        source: tags of the source.
        meta: meta of the result.
        grid: where the result lies in the source.
        driver: of the result.
        size: columns and rows of the result.
    """
    tags = {key: value for key, value in _without_stale(source).items() if key not in _SKIPPED_TAGS}
    for axis, scale in zip("XY", grid.scale, strict=True):
        for key in (key.format(axis) for key in _RESOLUTIONS):
            with suppress(KeyError, ValueError):  # absent, or no number
                tags[key] = f"{float(tags[key].strip('() ')) * scale:.9g}"
    is_png = driver == "PNG"
    if is_png:  # which has a place for EXIF; as text it would be public where nobody looks for it
        tags = {
            key: value
            for key, value in tags.items()
            if not key.startswith("EXIF_") and any(c.isprintable() and c != " " for c in key)
        }  # libpng writes no text under a keyword that nobody sees, W3C PNG 11.3.3.2
    description, program = (
        ("Description", "Software") if is_png else ("TIFFTAG_IMAGEDESCRIPTION", "TIFFTAG_SOFTWARE")
    )
    said = f"{disclaimer(provenance_of(meta))}."
    tags[description] = described(tags.get(description, ""), said, grid.scale, size)
    tags[program] = software(meta)
    if Facts(meta).provenance:
        tags["SUPER_RESOLUTION"] = Facts(meta).provenance
    return tags
