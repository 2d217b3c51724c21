"""Reads GeoTIFF, PNG, JPEG, BMP, JPEG 2000 and whatever else GDAL opens, as stored values.

GDAL raster data model: https://gdal.org/user/raster_data_model.html. EXIF 2.32, tag 274
(Orientation), CIPA DC-008.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from monai.data.image_reader import ImageReader
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from monai_sr.core.errors import BadImageError
from monai_sr.geometry.geotransform import has_transform, pixel_affine
from monai_sr.readers.common import check_pixels, image_meta, load_dtype, single_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from rasterio.io import DatasetReader

    from monai_sr.core.types import PathLike

_SUFFIXES = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".jp2", ".j2k", ".webp", ".gif", ".vrt",
    ".img", ".ppm", ".pgm", ".pnm", ".asc", ".dem", ".ntf",
)  # fmt: skip
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# The defaults return the rows that a cut PNG still has and zeros for the rest.
_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES"}


@dataclass(frozen=True)
class RasterImage:
    """A raster in memory, between ``read`` and ``get_data``.

    Shape: pixels (C, H, W), stored dtype.
    """

    path: Path
    pixels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    nodata: float | None
    bits: int
    is_rgb: bool


class RasterReader(ImageReader):
    """Read one raster file as channel-first stored values with its geometry.

    Palettes are expanded to gray, RGB or RGBA. An alpha band stays a channel of its own: it is
    enlarged like the others, and the writer marks it as alpha again. A photo is turned upright
    by its EXIF orientation unless it has a geotransform, which refers to the stored grid.

    Shape: file (H, W) with C bands -> (C, W, H) float32, or float64 for wide types.

    Example:
        >>> from skimage import data_dir
        >>> reader = RasterReader()
        >>> pixels, meta = reader.get_data(reader.read(f"{data_dir}/camera.png"))
        >>> pixels.shape, pixels.dtype.name, meta["sr_dtype"]
        ((1, 512, 512), 'float32', 'uint8')
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether the name looks like a raster.

        Args:
            filename: one name, or the tuple that MONAI passes.

        Returns:
            True when every name ends in a raster suffix.
        """
        names = [filename] if isinstance(filename, str) or hasattr(filename, "suffix") else filename
        return all(str(name).lower().endswith(_SUFFIXES) for name in names)  # type: ignore[union-attr]

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> RasterImage:
        """Decode the whole file, so that damage shows here and not later.

        Args:
            data: one path.
            **kwargs: passed to ``rasterio.open``.

        Returns:
            The raster for :meth:`get_data`.

        Raises:
            BadImageError: missing, empty, damaged, not an image, or pixels that cannot be used.
        """
        path = single_path(data)
        try:
            with warnings.catch_warnings(), rasterio.Env(**_STRICT):
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with _open(path, **kwargs) as dataset:
                    return _decode(path, dataset)
        except RasterioError as error:
            raise BadImageError(
                f"{path}: must be a complete raster image, got damaged or truncated data "
                f"({_reason(error)}); copy or download it again."
            ) from error
        except MemoryError as error:
            raise BadImageError(
                f"{path}: must fit into memory, got more pixels than that; "
                "cut it into parts (gdal_translate -srcwin)."
            ) from error

    def get_data(
        self, img: RasterImage | Sequence[RasterImage]
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return the pixels in MONAI's axis order and the meta dictionary.

        Args:
            img: what :meth:`read` returned.

        Returns:
            (C, W, H) stored values and the meta of the sample.
        """
        image = img if isinstance(img, RasterImage) else img[0]
        dtype = image.pixels.dtype
        pixels = image.pixels.transpose(0, 2, 1).astype(load_dtype(dtype), order="C")
        partial = dtype.kind == "u" and image.bits < 8 * dtype.itemsize
        limits = (0.0, 2.0**image.bits - 1) if partial else None
        meta = image_meta(
            files=[image.path],
            sr_format="raster",
            affine=image.affine,
            spatial_shape=pixels.shape[1:],
            dtype=dtype,
            storable=limits,
            declared=limits,
            nodata=np.nan if image.nodata is None else image.nodata,
            is_rgb=image.is_rgb,
        )
        return pixels, meta


def _open(path: Path, **kwargs: Any) -> DatasetReader:
    try:
        return rasterio.open(path, **kwargs)
    except RasterioIOError as error:
        raise BadImageError(
            f"{path}: must be an image that GDAL opens, got an unknown or damaged file; "
            "convert it to GeoTIFF or PNG."
        ) from error


def _decode(path: Path, dataset: DatasetReader) -> RasterImage:
    _check_header(path, dataset)
    pixels = dataset.read(out_dtype=np.result_type(*dataset.dtypes).name)
    nodata = _nodata(path, dataset, pixels.dtype)
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * pixels.dtype.itemsize))
    check_pixels(path, pixels, nodata, "set nodata (gdal_edit -a_nodata nan) or fill them")
    has_palette = dataset.colorinterp[0] == ColorInterp.palette
    if has_palette:
        pixels, nodata, bits = _expand_palette(dataset, pixels, nodata), None, 8
    if not has_transform(dataset.transform):
        pixels = _upright(pixels, dataset.tags().get("EXIF_Orientation", "1"))
    is_rgb = dataset.colorinterp[:3] == _RGB or (has_palette and len(pixels) >= 3)
    return RasterImage(path, pixels, pixel_affine(dataset.transform), nodata, bits, is_rgb)


def _check_header(path: Path, dataset: DatasetReader) -> None:
    if dataset.count == 0:
        found = f"a container of {len(dataset.subdatasets)} images"
        raise BadImageError(
            f"{path}: must hold one image, got {found}; extract one with gdal_translate."
        )
    for dtype in dataset.dtypes:
        if "complex" in dtype:
            raise BadImageError(
                f"{path}: pixels must be real numbers, got {dtype}; convert to magnitude."
            )


def _nodata(path: Path, dataset: DatasetReader, dtype: np.dtype[Any]) -> float | None:
    """Return the declared nodata as the pixels hold it; None where no pixel can equal it."""
    declared = {str(value): value for value in dataset.nodatavals}
    if len(declared) > 1:
        raise BadImageError(
            f"{path}: nodata must be the same in all bands, got {', '.join(declared)}; "
            "unify it with gdalwarp -dstnodata."
        )
    value = dataset.nodata
    if value is None:
        return None
    if dtype.kind == "f":
        # The header may hold more digits than float32 pixels do.
        with np.errstate(over="ignore"):
            return float(dtype.type(value))
    limits = np.iinfo(dtype)
    return float(value) if limits.min <= value <= limits.max and value == int(value) else None


def _expand_palette(
    dataset: DatasetReader, indices: npt.NDArray[Any], nodata: float | None
) -> npt.NDArray[np.uint8]:
    """Look the colors up; as few channels as show all of them: gray, RGB or RGBA."""
    table = np.zeros((int(indices[0].max()) + 1, 4), dtype=np.uint8)
    for index, color in dataset.colormap(1).items():
        if index < len(table):
            table[index] = color
    if nodata is not None and nodata < len(table):
        table[int(nodata), 3] = 0
    colors: npt.NDArray[np.uint8] = np.moveaxis(table[indices[0].astype(np.intp)], -1, 0)
    if len(indices) > 1:  # an alpha band beside the index band
        return np.concatenate([colors[:3], indices[1:].astype(np.uint8)])
    if (colors[3] < np.iinfo(np.uint8).max).any():
        return colors
    is_gray = bool((colors[0] == colors[1]).all() and (colors[0] == colors[2]).all())
    return colors[:1] if is_gray else colors[:3]


def _upright(pixels: npt.NDArray[Any], orientation: str) -> npt.NDArray[Any]:
    """Turn (C, H, W) pixels so that row 0 is the visual top and column 0 the visual left."""
    turned = {
        "2": lambda p: p[:, :, ::-1],
        "3": lambda p: p[:, ::-1, ::-1],
        "4": lambda p: p[:, ::-1, :],
        "5": lambda p: p.transpose(0, 2, 1),
        "6": lambda p: p[:, ::-1, :].transpose(0, 2, 1),
        "7": lambda p: p[:, ::-1, ::-1].transpose(0, 2, 1),
        "8": lambda p: p[:, :, ::-1].transpose(0, 2, 1),
    }.get(orientation.strip())
    return pixels if turned is None else turned(pixels)


def _reason(error: BaseException) -> str:
    """Return GDAL's own words, on one line, without file names."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    return text.rsplit(": ", 1)[-1].rstrip(".")[:100]
