"""Reads GeoTIFF, PNG, JPEG, BMP, JPEG 2000 and whatever else GDAL opens, as stored values.

GDAL raster data model: https://gdal.org/user/raster_data_model.html; band masks: GDAL RFC 15.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from monai.data.image_reader import ImageReader
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from monai_sr.core.dtypes import exact_float
from monai_sr.core.errors import BadImageError
from monai_sr.core.memory import check_memory
from monai_sr.geometry.geotransform import has_transform, pixel_affine, source_transform
from monai_sr.readers.common import check_pixels, image_meta, single_path
from monai_sr.readers.raster_photos import check_single, orientation_of, upright

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
RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
# The defaults return the rows that a cut PNG still has and zeros for the rest.
_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES"}


@dataclass(frozen=True)
class RasterImage:
    """A raster in memory, between ``read`` and ``get_data``.

    Shape: pixels (C, H, W), stored dtype; mask (H, W), True where pixels are valid. All upright.
    ``alpha`` is the index of the alpha channel, -1 for none.
    """

    path: Path
    pixels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    nodata: float | None
    bits: int
    is_rgb: bool
    alpha: int = -1
    mask: npt.NDArray[np.bool_] | None = None

    def valid(self) -> npt.NDArray[np.bool_] | None:
        """Tell which pixels alpha and mask declare valid: color does not count under alpha 0.

        Where alpha is 0 everywhere it hides nothing: somebody meant the color to be seen.

        Returns:
            (C, H, W), or None where all are valid.
        """
        result = np.ones(self.pixels.shape, dtype=bool)
        if self.alpha >= 0 and self.pixels[self.alpha].any():
            result[:] = self.pixels[self.alpha] != 0
        if self.mask is not None:
            result &= self.mask
        if self.alpha >= 0:
            result[self.alpha] = True
        return None if result.all() else result


class RasterReader(ImageReader):
    """Read one raster file as channel-first stored values with its geometry.

    Palettes are expanded to gray, RGB or RGBA. An alpha band stays a channel of its own: it is
    enlarged like the others, and the writer marks it as alpha again; a transparent color of PNG
    becomes one. A photo is turned upright by its EXIF orientation unless it has a geotransform,
    which refers to the stored grid. Files of several frames or pages are refused.

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
        except (RasterioError, CPLE_BaseError) as error:
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
        pixels = image.pixels.transpose(0, 2, 1).astype(exact_float(dtype), order="C")
        partial = dtype.kind == "u" and image.bits < 8 * dtype.itemsize
        limits = (0.0, 2.0**image.bits - 1) if partial else None
        valid = image.valid()
        meta = image_meta(
            files=[image.path],
            sr_format="raster",
            affine=image.affine,
            spatial_shape=pixels.shape[1:],
            dtype=dtype,
            storable=limits,
            declared=limits,
            nodata=np.nan if image.nodata is None else image.nodata,
            valid=None if valid is None else valid.transpose(0, 2, 1),
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
    check_single(path, dataset)
    _check_real(path, dataset)
    dtype = np.result_type(*dataset.dtypes)
    # The pixels, which of them are valid, and the reader's floats of them.
    item_bytes = dtype.itemsize + 1 + np.dtype(exact_float(dtype)).itemsize
    remedy = "cut it (gdal_translate -srcwin)"
    check_memory(path, (dataset.count, *dataset.shape), item_bytes, remedy)
    pixels = dataset.read(out_dtype=dtype.name)
    flags = set(dataset.mask_flag_enums[0])
    has_mask = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
    mask = dataset.read_masks(1) != 0 if has_mask else None
    # Both flags: one color is invalid, not the value of each band (transparency of PNG).
    has_color = has_mask and MaskFlags.nodata in flags
    nodata = None if has_color else _nodata(path, dataset, pixels.dtype)
    _check_valid(path, pixels, nodata, mask)
    colors = list(dataset.colorinterp)
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * pixels.dtype.itemsize))
    if colors[0] == ColorInterp.palette:
        pixels, nodata, bits = _expand_palette(dataset, pixels, nodata), None, 8
        colors = list(RGBA[: len(pixels)]) if len(pixels) > 1 else [ColorInterp.gray]
    elif mask is not None and has_color and colors == list(RGBA[:3]):
        opaque = 2**bits - 1
        pixels = np.concatenate([pixels, np.where(mask, opaque, 0)[None].astype(pixels.dtype)])
        mask, colors = None, list(RGBA)
    transform = source_transform(dataset)
    if not has_transform(transform):
        orientation = orientation_of(path, dataset)
        pixels = upright(pixels, orientation)
        mask = None if mask is None else upright(mask[None], orientation)[0]
    return RasterImage(
        path=path,
        pixels=pixels,
        affine=pixel_affine(transform),
        nodata=nodata,
        bits=bits,
        is_rgb=colors[:3] == list(RGBA[:3]),
        alpha=colors.index(ColorInterp.alpha) if ColorInterp.alpha in colors else -1,
        mask=mask,
    )


def _check_real(path: Path, dataset: DatasetReader) -> None:
    for dtype in dataset.dtypes:
        if "complex" in dtype:
            raise BadImageError(
                f"{path}: pixels must be real numbers, got {dtype}; convert to magnitude."
            )


def _check_valid(
    path: Path,
    pixels: npt.NDArray[Any],
    nodata: float | None,
    mask: npt.NDArray[np.bool_] | None,
) -> None:
    check_pixels(path, pixels, nodata, "set nodata (gdal_edit -a_nodata nan) or fill them", mask)
    if mask is not None and not mask.any():
        raise BadImageError(
            f"{path}: must hold valid pixels, got only masked ones; leave it out or drop the mask."
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


def _reason(error: BaseException) -> str:
    """Return GDAL's own words, on one line, without file names."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    return text.rsplit(": ", 1)[-1].rstrip(".")[:100]
