"""Gives a result overviews where its source has some.

GDAL data model, "Overviews": https://gdal.org/user/raster_data_model.html.
"""

from collections.abc import Sequence
from pathlib import Path

import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from monai_sr.core import gdal_name
from monai_sr.formats.meaning import CODES, GRAY

# As in GDAL's COG driver: the smallest overview is no larger than a tile.
_SMALLEST_PX = 512


def has_overviews(src: DatasetReader) -> bool:
    """Tell whether a source has overviews, stored or (JPEG 2000) as resolution levels.

    Args:
        src: source raster.
    """
    return bool(src.count and src.overviews(1))


def overview_factors(shape: Sequence[int]) -> list[int]:
    """Return powers of two, down to the first overview that fits into one tile; at least 2.

    Args:
        shape: (H, W) of the result.

    Example:
        >>> overview_factors((4000, 3000))
        [2, 4, 8]
    """
    factors = [2]
    while max(shape) > factors[-1] * _SMALLEST_PX:
        factors.append(2 * factors[-1])
    return factors


def build_overviews(path: Path, kind: str = GRAY) -> None:
    """Add overviews to a finished GeoTIFF, inside it, averaged over valid pixels; codes are chosen.

    Args:
        path: a file without overviews, not open anywhere.
        kind: what its values are.

    Raises:
        RasterioError: it cannot be written.
    """
    how = Resampling.nearest if kind in CODES else Resampling.average
    with rasterio.open(gdal_name(path), "r+") as dst:
        dst.build_overviews(overview_factors(dst.shape), how)
