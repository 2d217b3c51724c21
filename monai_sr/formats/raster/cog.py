"""Makes cloud-optimized GeoTIFFs, and tells them from others.

OGC 21-026, Cloud Optimized GeoTIFF; GDAL's driver COG, https://gdal.org/drivers/raster/cog.html.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from monai_sr.core import gdal_name, ignored_warnings
from monai_sr.formats.facts import Facts
from monai_sr.formats.meaning import CODES, PHASE, kind_of

# Without NUM_THREADS: what threads could not write of an overview nobody would notice.
_COPY = {"compress": "deflate", "bigtiff": "if_safer", "sparse_ok": "yes"}


def is_cog(source: DatasetReader) -> bool:
    """Tell whether a raster says that it is a cloud-optimized GeoTIFF, as GDAL marks them."""
    return bool(source.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG")


def becomes_cog(asked: bool | None, source: DatasetReader) -> bool:
    """Tell whether a GeoTIFF made of a raster is to be cloud-optimized.

    Args:
        asked: what the user wants; None: what the source is.
        source: the open raster.
    """
    return is_cog(source) if asked is None else asked


def overview_resampling(meta: Mapping[str, Any]) -> Resampling:
    """Return how overviews are made: averages, but no codes and no phases have any.

    One way serves all bands of a file, so those that stand beside bands of codes are chosen, too.

    Args:
        meta: of the result.
    """
    kind = kind_of(meta)
    is_chosen = kind in CODES or kind == PHASE or Facts(meta).code_bands.size
    return Resampling.nearest if is_chosen else Resampling.average


def copy_as_cog(first: Path, path: Path, overviews: Resampling) -> None:
    """Write a finished GeoTIFF anew, as a cloud-optimized one with overviews.

    Args:
        first: the GeoTIFF, closed.
        path: the copy.
        overviews: how they are made, see :func:`overview_resampling`.

    Raises:
        RasterioError: it cannot be written.
    """
    with ignored_warnings(NotGeoreferencedWarning), rasterio.open(gdal_name(first)) as source:
        # TIFF's predictors are for whole bytes.
        is_partial = "NBITS" in source.tags(1, ns="IMAGE_STRUCTURE")
    rasterio.shutil.copy(
        gdal_name(first), gdal_name(path), driver="COG", overview_resampling=overviews.name,
        predictor="no" if is_partial else "yes", **_COPY,
    )  # fmt: skip
