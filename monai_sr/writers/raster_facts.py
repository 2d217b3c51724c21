"""Copies what a source raster says beside its pixels to the enlarged raster, rescaled.

TIFF 6.0 tags 270 (ImageDescription), 305 (Software), 282/283 (XResolution, YResolution); PNG
text chunks, W3C PNG 11.3.3.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from monai_sr.geometry.geotransform import (
    corner_transform,
    has_transform,
    scaled_gcps,
    scaled_rpcs,
    scaled_transform,
    source_rpcs,
    source_transform,
)
from monai_sr.readers.raster_source import RGBA
from monai_sr.writers.stored import DISCLAIMER, software

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rasterio.io import DatasetReader, DatasetWriter

logger = logging.getLogger(__name__)

# Domains that GDAL computes itself, or that describe the source's grid.
_SKIPPED_DOMAINS = {
    "IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "RPC", "GEOLOCATION",
    "COLOR_PROFILE", "TIFF",
}  # fmt: skip
# NODATA_VALUES: an invalid color, which the result has as alpha or mask.
_SKIPPED_TAGS = {
    "EXIF_Orientation", "EXIF_PixelXDimension", "EXIF_PixelYDimension", "NODATA_VALUES",
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """How the result's grid lies in the source's, (column, row) order."""

    scale: tuple[float, float]
    offset: tuple[float, float]
    is_aligned: bool


def has_same_bands(src: DatasetReader, count: int) -> bool:
    """Tell whether bands were neither expanded from a palette nor added by the user.

    Args:
        src: source raster.
        count: number of bands of the result.

    Returns:
        True when what the source says of each band holds for the result.
    """
    return bool(src.count == count and src.colorinterp[0] != ColorInterp.palette)


def colors_of(src: DatasetReader, count: int) -> tuple[ColorInterp, ...]:
    """Return the color interpretation of the result's bands.

    Args:
        src: source raster.
        count: number of bands of the result.

    Returns:
        One entry per band.
    """
    if has_same_bands(src, count):
        return tuple(src.colorinterp)
    return RGBA[:count] if count in (3, 4) else (ColorInterp.gray,) * count


def copy_facts(
    src: DatasetReader,
    dst: DatasetWriter,
    meta: Mapping[str, Any],
    grid: Grid,
    driver: str | None = None,
) -> None:
    """Copy georeference, colors, tags, band names, scales, offsets and units.

    Args:
        src: source raster.
        dst: result, open for writing, no pixels written yet.
        meta: meta of the result.
        grid: where the result lies in the source.
        driver: of the file that ``dst`` is to become, where that is another one.
    """
    driver = driver or dst.driver
    if driver == "GTiff":
        _copy_georeference(src, dst, meta, grid)
    dst.colorinterp = colors_of(src, dst.count)
    for domain in src.tag_namespaces():
        if domain not in _SKIPPED_DOMAINS and not domain.startswith(("xml:", "json:")):
            dst.update_tags(ns=domain, **src.tags(ns=domain))
    dst.update_tags(**_tags(src.tags(), meta, grid, driver))
    if not has_same_bands(src, dst.count):
        return
    for band in src.indexes:
        tags = src.tags(band)
        dst.update_tags(band, **{k: v for k, v in tags.items() if not k.startswith("STATISTICS_")})
        if src.descriptions[band - 1]:
            dst.set_band_description(band, src.descriptions[band - 1])
    if any(scale != 1 for scale in src.scales) or any(src.offsets):
        dst.scales, dst.offsets = src.scales, src.offsets
    if any(src.units):
        dst.units = [unit or "" for unit in src.units]


def _copy_georeference(
    src: DatasetReader, dst: DatasetWriter, meta: Mapping[str, Any], grid: Grid
) -> None:
    if src.crs is not None:
        dst.crs = src.crs
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
        return
    if points and has_transform(transform):
        logger.warning(
            "%s: GeoTIFF holds a transform or control points; the points are left out.", src.name
        )
    elif points:
        dst.gcps = (scaled_gcps(points, grid.scale, grid.offset), crs or CRS())
    if rpcs:
        dst.rpcs = scaled_rpcs(rpcs, grid.scale, grid.offset)


def _tags(
    source: Mapping[str, str], meta: Mapping[str, Any], grid: Grid, driver: str
) -> dict[str, str]:
    """Return the source's tags with resolution, software and description brought up to date."""
    tags = {key: value for key, value in source.items() if key not in _SKIPPED_TAGS}
    for key, scale in zip(("TIFFTAG_XRESOLUTION", "TIFFTAG_YRESOLUTION"), grid.scale, strict=True):
        with suppress(KeyError, ValueError):  # absent, or no number
            tags[key] = f"{float(tags[key]) * scale:.9g}"
    is_png = driver == "PNG"
    description, program = (
        ("Description", "Software") if is_png else ("TIFFTAG_IMAGEDESCRIPTION", "TIFFTAG_SOFTWARE")
    )
    before = tags.get(description, "")
    if not before.startswith(DISCLAIMER):
        tags[description] = f"{DISCLAIMER}. {before}".strip()
    tags[program] = software(meta)
    if meta.get("sr_provenance"):
        tags["SUPER_RESOLUTION"] = str(meta["sr_provenance"])
    return tags
