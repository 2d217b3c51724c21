"""Writes the classes of a scene beside a result, on the result's grid.

Each pixel of the source becomes a block of equal ones: there is nothing between two classes.
Legend: Sen2Cor, scene classification (SCL) of Sentinel-2 level 2A.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from monai_sr.core import BadImageError, OutputError, appear_together, atomic_file, gdal_name
from monai_sr.formats.raster.check import check_pixels_of, writing
from monai_sr.formats.raster.open import open_raster
from monai_sr.formats.stored import CODES_DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from rasterio.io import DatasetReader

    from monai_sr.core import PathLike

    Indices = npt.NDArray[np.intp]

CLASSES = "classes"
"""Key of a sample: the file of the classes that belong beside its result."""
LEGEND = (
    ("no data", (0, 0, 0)),
    ("saturated or defective", (255, 0, 0)),
    ("dark or cast shadow", (47, 47, 47)),
    ("cloud shadow", (100, 50, 0)),
    ("vegetation", (0, 160, 0)),
    ("not vegetated", (255, 230, 90)),
    ("water", (0, 0, 255)),
    ("unclassified", (128, 128, 128)),
    ("cloud, medium probability", (192, 192, 192)),
    ("cloud, high probability", (255, 255, 255)),
    ("thin cirrus", (100, 200, 255)),
    ("snow or ice", (255, 150, 255)),
)
"""Meaning and color of each class; its place is the stored value."""

_MARK = "_SCL"
_TILE_PX = 256
# Centers of the result that lie on an edge between two pixels of the source belong to the later.
_EDGE_PX = 1e-6


def classes_path(result: PathLike) -> Path:
    """Name the classes that belong to a result.

    Example:
        >>> classes_path("out/scene_20m_x4.tif").name
        'scene_20m_x4_SCL.tif'
    """
    path = Path(result)
    return path.with_name(f"{path.stem}{_MARK}.tif")


@contextmanager
def with_classes(output: Path, classes: str | None) -> Iterator[Path]:
    """Yield where to write a result; it and its classes get their names together, or neither.

    Args:
        output: the final name of the result.
        classes: as for :func:`write_classes`; None: the result has none, and is written as it is.

    Raises:
        BadImageError: the classes cannot be read.
        OutputError: they cannot be written, or ``output`` is a folder.
    """
    if classes is None:
        yield output
        return
    if output.is_dir():
        raise OutputError(f"{output}: must be a file, got a folder; remove or rename that folder.")
    with appear_together(output.parent) as hidden:
        yield hidden / output.name
        write_classes(hidden / output.name, classes)


def write_classes(result: PathLike, classes: str) -> Path:
    """Write the classes of a result that is already written.

    Args:
        result: the written raster, whose grid is taken.
        classes: file of one band of uint8 in the same reference system, as GDAL opens it.

    Returns:
        The path of the written file.

    Raises:
        BadImageError: the classes cannot be read.
        OutputError: they cannot be written.
    """
    target = classes_path(result)
    with writing(target), open_raster(result) as grid:
        values, rows, columns = _read(classes, grid)
        with atomic_file(target) as temporary, writing(target):
            with rasterio.open(
                gdal_name(temporary), "w", driver="GTiff", count=1, dtype="uint8", nodata=0,
                height=grid.height, width=grid.width, crs=grid.crs, transform=grid.transform,
                compress="deflate", tiled=True, blockxsize=_TILE_PX, blockysize=_TILE_PX,
                bigtiff="IF_SAFER",
            ) as dst:  # fmt: skip
                dst.write_colormap(1, dict(enumerate(color for _, color in LEGEND)))
                dst.set_band_description(1, "SCL")
                dst.update_tags(TIFFTAG_IMAGEDESCRIPTION=CODES_DISCLAIMER)
                dst.update_tags(1, **{f"CLASS_{i}": name for i, (name, _) in enumerate(LEGEND)})
                for start in range(0, grid.height, _TILE_PX):
                    part = rows[start : start + _TILE_PX]
                    window = Window(0, start, grid.width, len(part))
                    dst.write(values[np.ix_(part, columns)], 1, window=window)
            check_pixels_of(temporary, target)
    return target


def _read(classes: str, grid: DatasetReader) -> tuple[npt.NDArray[np.uint8], Indices, Indices]:
    """Return the classes, and for each row and column of the grid which of them is there."""
    try:
        with open_raster(classes) as src:
            return src.read(1), *_covering(src, grid)
    except (RasterioError, CPLE_BaseError) as error:
        raise BadImageError(
            f"{classes}: must be a whole image of scene classes, got a damaged one; "
            "download the product again."
        ) from error


def _covering(src: DatasetReader, grid: DatasetReader) -> tuple[Indices, Indices]:
    """Return for each row and column of the grid that of the source which covers its center."""
    sides = []
    for length, size, at, place in (
        (
            src.height,
            grid.height,
            (src.transform.f, src.transform.e),
            (grid.transform.f, grid.transform.e),
        ),
        (
            src.width,
            grid.width,
            (src.transform.c, src.transform.a),
            (grid.transform.c, grid.transform.a),
        ),
    ):
        centers = place[0] + place[1] * (np.arange(size) + 0.5)
        found = np.floor((centers - at[0]) / at[1] + _EDGE_PX).astype(np.intp)
        sides.append(found.clip(0, length - 1))
    return sides[0], sides[1]
