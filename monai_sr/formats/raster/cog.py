"""Makes cloud-optimized GeoTIFFs, and tells them from others.

OGC 21-026, Cloud Optimized GeoTIFF; GDAL's driver COG, https://gdal.org/drivers/raster/cog.html.
"""

from pathlib import Path

import rasterio.shutil
from rasterio.io import DatasetReader

from monai_sr.core import gdal_name
from monai_sr.formats.meaning import CODES

# Without NUM_THREADS: what threads could not write of an overview nobody would notice.
_COPY = {
    "compress": "deflate", "predictor": "yes", "bigtiff": "if_safer", "sparse_ok": "yes",
    "overview_resampling": "average",
}  # fmt: skip


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


def copy_as_cog(first: Path, path: Path, kind: str) -> None:
    """Write a finished GeoTIFF anew, as a cloud-optimized one with overviews.

    Args:
        first: the GeoTIFF, closed.
        path: the copy.
        kind: what the values mean: overviews of codes choose, others average.

    Raises:
        RasterioError: it cannot be written.
    """
    options = {**_COPY, **({"overview_resampling": "nearest"} if kind in CODES else {})}
    rasterio.shutil.copy(gdal_name(first), gdal_name(path), driver="COG", **options)
