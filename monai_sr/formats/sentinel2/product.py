"""Opens Sentinel-2 products (.SAFE folder or .zip) as one raster for each resolution.

GDAL's SENTINEL2 driver reads these products, too, but (3.10) it declares neither nodata nor scale
and offset, and puts classes and atmosphere beside the bands, where a network would blur them. Here
GDAL's VRT format joins the bands, so that everything below reads an ordinary raster.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from monai_sr.core import BadImageError
from monai_sr.formats.raster.open import JPEG_2000, open_raster
from monai_sr.formats.sentinel2.metadata import AGAIN, BANDS, METADATA, Product

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from monai_sr.core import PathLike

_COLORS = {"B04": "Red", "B03": "Green", "B02": "Blue"}
_CLASSES = "SCL"
_CLASSES_M = 20
_NAME = re.compile(r"S2[A-Z]_(MSI|OPER_PRD_MSI)L.*\.(SAFE|zip)", re.IGNORECASE)
_PART = re.compile(rf"(.+):({'|'.join(map(str, BANDS))})m", re.DOTALL)


def is_product(path: PathLike) -> bool:
    """Tell whether a folder or file is a product, or by its name was meant to be one."""
    path = Path(path)
    is_zip = path.suffix.lower() == ".zip" and path.is_file()
    if (is_zip or path.is_dir()) and _NAME.fullmatch(path.name):
        return True
    try:
        if path.is_dir():
            return any(METADATA.fullmatch(name) for name in os.listdir(path))
        if not is_zip:
            return False
        with zipfile.ZipFile(path) as archive:
            return any(METADATA.fullmatch(n.rpartition("/")[2]) for n in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def split_part(name: PathLike) -> tuple[Path, int] | None:
    """Return product and resolution in meters of a name that :meth:`Product.parts` gave."""
    match = _PART.fullmatch(str(name))
    if match is None or Path(name).exists() or not is_product(match[1]):
        return None
    return Path(match[1]), int(match[2])


def write_vrt(product: Product, resolution: int, folder: Path) -> Path:
    """Write a file that GDAL opens as the bands of one resolution.

    The values are those of the product's files. Declared are band names, colors, nodata, and scale
    and offset to reflectance.

    Args:
        product: from :func:`open_product`.
        resolution: in meters.
        folder: where to write ``<product>_<resolution>m.vrt``.

    Raises:
        BadImageError: a band is missing, damaged or of another size than the others.
    """
    bands = product.bands(resolution)
    grids, parts, places = {}, [], [str(product.path)]
    for number, band in enumerate(bands, 1):
        file = image_file(product, band, resolution)
        places.append(file)
        with _opened(product, band, file) as dataset:
            grids[dataset.shape, dataset.transform, dataset.crs, dataset.dtypes] = dataset.profile
        parts.append(
            f'<VRTRasterBand dataType="UInt16" band="{number}">'
            f"<Description>{band}</Description>"
            f"<NoDataValue>{product.nodata:g}</NoDataValue>"
            f"<ColorInterp>{_COLORS.get(band, 'Undefined')}</ColorInterp>"
            f"<Offset>{product.offsets[band] / product.quantification!r}</Offset>"
            f"<Scale>{1 / product.quantification!r}</Scale>"
            f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(file)}</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        )
    grid = next(iter(grids.values()))
    transform = grid["transform"]
    fits = (transform.a, transform.e, grid["dtype"]) == (resolution, -resolution, "uint16")
    if len(grids) > 1 or not fits or grid["crs"] is None:
        raise BadImageError(
            f"{product.path}: bands must share one grid of {resolution} m and be uint16, got "
            f"{len(grids)} grids, pixels of {transform.a:g} x {-transform.e:g} m and "
            f"{grid['dtype']}; {AGAIN}."
        )
    tags = "".join(f'<MDI key="{k}">{escape(v)}</MDI>' for k, v in product.tags.items())
    target = folder / f"{product_stem(product.path)}_{resolution}m.vrt"
    target.write_text(
        f'<VRTDataset rasterXSize="{grid["width"]}" rasterYSize="{grid["height"]}">'
        f"<SRS>{escape(grid['crs'].to_wkt())}</SRS>"
        f"<GeoTransform>{', '.join(map(repr, transform.to_gdal()))}</GeoTransform>"
        f"<Metadata>{tags}</Metadata>{''.join(parts)}</VRTDataset>\n",
        encoding="utf-8",
        errors="surrogateescape",
    )
    # As old as what it shows: an interrupted run knows it again.
    newest = max(os.stat(place).st_mtime_ns for place in places if os.path.exists(place))
    os.utime(target, ns=(newest, newest))
    return target


def class_file(product: Product, resolution: int) -> str | None:
    """Return the scene classification that belongs beside a resolution: 20 m of level 2A.

    Raises:
        BadImageError: it is listed and missing or damaged.
    """
    if resolution != _CLASSES_M or (_CLASSES, _CLASSES_M) not in product.images:
        return None
    file = image_file(product, _CLASSES, _CLASSES_M)
    _opened(product, _CLASSES, file).close()
    return file


def product_stem(path: Path) -> str:
    """Return the name of a product without ``.SAFE`` and ``.zip``."""
    return re.sub(r"(\.SAFE)?(\.zip)?$", "", path.name, flags=re.IGNORECASE)


def image_file(product: Product, band: str, resolution: int) -> str:
    """Return the file of a band, as GDAL opens it.

    Raises:
        BadImageError: it is listed and missing.
    """
    file = product.images[band, resolution]
    if not file:
        raise BadImageError(
            f"{product.path}: must hold all files that its metadata list, got no {band} of "
            f"{resolution} m; {AGAIN}."
        )
    return file


def _opened(product: Product, band: str, file: str) -> DatasetReader:
    try:
        return open_raster(file, (*JPEG_2000, "GTiff"))
    except (RasterioError, CPLE_BaseError) as error:
        raise BadImageError(
            f"{product.path}: {band} must be a JPEG 2000 image, got a damaged file; {AGAIN}."
        ) from error
