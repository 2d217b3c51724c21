"""Writes enlarged rasters as GeoTIFF or PNG with everything the source says, rescaled.

GeoTIFF 1.1, OGC 19-008r4; GDAL GTiff and PNG drivers, https://gdal.org/drivers/raster.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader

from monai_sr.core import OutputError, PathLike, atomic_file, gdal_name, get_logger
from monai_sr.formats.facts import Facts
from monai_sr.formats.identity import check_unchanged
from monai_sr.formats.meaning import kind_of
from monai_sr.formats.naming import check_output_size
from monai_sr.formats.raster.bands import (
    associated_alpha,
    band_colors,
    is_white_at_zero,
    premultiplied,
    premultiplied_alpha,
)
from monai_sr.formats.raster.beside import add_png_chunks, beside_text, side_car
from monai_sr.formats.raster.check import check_pixels_of, writing
from monai_sr.formats.raster.cog import becomes_cog, copy_as_cog, overview_resampling
from monai_sr.formats.raster.facts import (
    Grid,
    colors_of,
    copy_facts,
    exif_of,
    has_same_bands,
    scaled_dpi,
    xmp_of,
)
from monai_sr.formats.raster.format import PNG_DTYPES
from monai_sr.formats.raster.keep_list import is_deidentified, kept_profile
from monai_sr.formats.raster.masks import copy_mask, hidden_in, keep_alpha
from monai_sr.formats.raster.meaning import RGBA
from monai_sr.formats.raster.open import open_raster
from monai_sr.formats.raster.photos import png_colors, png_hdr, profile_of
from monai_sr.formats.stored import StoredWriter, as_stored, in_rows, map_meaning, source_path
from monai_sr.geometry import grid_change, pixel_affine, source_rpcs, source_transform

logger = get_logger(__name__)

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".png": "PNG"}
WRITE_OPTIONS = {"GDAL_PAM_ENABLED": "NO", "GDAL_TIFF_INTERNAL_MASK": "YES"}
"""GDAL writes no .aux.xml and no .msk; see :mod:`monai_sr.formats.raster.beside`."""
_INKS = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)
_TILE_PX = 256
# Measured on a photo: 6, the default, takes 5.7 times as long and saves 9 % of the bytes.
_PNG_LEVEL = 2
# A relative error of float64 affines at map coordinates of 1e7 m.
_SNAP_PX = 1e-6
# As in GDAL's COG driver: the smallest overview is no larger than a tile.
_SMALLEST_PX = 512


class RasterWriter(StoredWriter):
    """Write a result in the source's dtype, with georeference and tags of the source.

    Georeference: transform, reference system, ground control points and RPCs, rescaled. Kept:
    nodata, color interpretation, band names, scales, offsets, units, tags, ICC profile, internal
    mask. GeoTIFFs are deflated with a predictor, unless a TIFF source is not compressed at all, and
    become BigTIFF when they may pass 4 GB. A cloud-optimized GeoTIFF gives another one.

    Args:
        cog: whether GeoTIFFs are cloud-optimized; None: where the source is.
        **kwargs: options of the writers of other formats, not used.

    Example:
        >>> import tempfile
        >>> from skimage import data_dir
        >>> from monai_sr.formats.raster.reader import RasterReader
        >>> reader = RasterReader()
        >>> pixels, meta = reader.get_data(reader.read(f"{data_dir}/camera.png"))
        >>> writer = RasterWriter()
        >>> writer.set_data_array(pixels)
        >>> writer.set_metadata(meta)
        >>> writer.write(Path(tempfile.mkdtemp()) / "camera.png")
    """

    def __init__(self, *, cog: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cog = cog

    def write(self, filename: PathLike, verbose: bool = True, **kwargs: Any) -> None:
        """Write the file; it appears whole or not at all.

        Args:
            filename: ends in .tif, .tiff or .png.
            verbose: log the name.
            **kwargs: more creation options of the GDAL driver, whose files are cloud-optimized only
                where that was asked for.

        Raises:
            OutputError: the format cannot hold the result, or the file cannot be written.
        """
        super().write(filename, verbose=verbose)
        source = source_path(self._meta, "raster", filename)
        pixels = as_stored(self._array, self._meta, filename)
        if pixels.ndim != 3:
            raise OutputError(
                f"{filename}: a raster has channels, width and height, got shape {pixels.shape}; "
                "pass a 2D image, channel first."
            )
        pixels = in_rows(pixels.transpose(0, 2, 1))
        driver = _driver(filename, pixels)
        check_output_size(Path(filename).suffix, self._array.shape)
        # The source first: its own .aux.xml counts.
        with writing(filename), open_raster(source) as src:
            image = hidden_in(source, src, kind_of(self._meta))
            grid = _grid(src, self._meta, pixels.shape, filename)
            shape, dtype = pixels.shape, pixels.dtype
            asked = bool(self._cog) if kwargs else self._cog
            is_cog = driver == "GTiff" and becomes_cog(asked, src)
            becomes = "COG" if is_cog else driver
            options = creation_options(src, self._meta, shape, dtype, driver, becomes)
            options.update(kwargs)
            if image is not None:
                pixels = keep_alpha(pixels, image, grid)
            if options.get("alpha") == "PREMULTIPLIED":
                alpha = premultiplied_alpha(src)
                pixels = premultiplied(pixels, alpha, stored_bits(self._meta, pixels.dtype))
            with (
                rasterio.Env(**WRITE_OPTIONS),
                side_car(Path(filename)) as write_beside,
                atomic_file(filename) as temporary,
                writing(filename),
            ):
                first = temporary.with_name("first.tif") if is_cog else temporary
                with rasterio.open(gdal_name(first), "w", **options) as dst:
                    copy_facts(src, dst, self._meta, grid)
                    dst.write(pixels)
                    mask = None if image is None else copy_mask(image, dst, grid, pixels)
                if is_cog:
                    copy_as_cog(first, temporary, overview_resampling(self._meta))
                elif driver == "GTiff" and has_overviews(src):
                    build_overviews(temporary, overview_resampling(self._meta))
                # Options of the caller may lose data.
                if driver == "PNG":
                    xmp, dpi = xmp_of(src, self._meta), scaled_dpi(src, grid)
                    exif = exif_of(src, self._meta, grid)
                    add_png_chunks(temporary, xmp, dpi, png_hdr(src), exif)
                check_pixels_of(temporary, filename, None if kwargs else pixels, mask)
                check_unchanged(Facts(self._meta).input)
                write_beside(beside_text(src, temporary, self._meta))


def write_map(
    result: Path, target: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]
) -> None:
    """Write a map of uncertainty, see :mod:`monai_sr.formats.naming`."""
    bands = half_width.transpose(0, 2, 1)
    with writing(target), open_raster(result) as src:
        gcps, gcps_crs = src.gcps
        place: dict[str, Any] = (
            {"gcps": gcps, "crs": gcps_crs}
            if gcps
            else {"transform": src.transform, "crs": src.crs}
        )
        scales, has_bands = np.ones(len(bands), dtype=np.float32), src.count == len(bands)
        if has_bands:
            scales = np.abs(np.asarray(src.scales, dtype=np.float32))
        values = bands * scales[:, None, None]
        with (
            rasterio.Env(**WRITE_OPTIONS),
            side_car(target) as write_beside,
            atomic_file(target) as temporary,
            writing(target),
        ):
            with rasterio.open(
                gdal_name(temporary), "w", driver="GTiff", count=len(bands), dtype="float32",
                height=bands.shape[1], width=bands.shape[2], nodata=float("nan"),
                compress="deflate", BIGTIFF="IF_SAFER", **place,
            ) as dst:  # fmt: skip
                if (rpcs := source_rpcs(src)) is not None:
                    dst.rpcs = rpcs
                if has_bands:
                    dst.descriptions = src.descriptions
                    dst.units = [unit or "" for unit in src.units]
                dst.update_tags(TIFFTAG_IMAGEDESCRIPTION=map_meaning(meta))
                dst.write(values)
            check_pixels_of(temporary, target, values)
            write_beside(beside_text(src, temporary, meta, has_values=False))


def _driver(filename: PathLike, pixels: npt.NDArray[Any]) -> str:
    driver = _DRIVERS.get(Path(filename).suffix.lower())
    if driver is None:
        raise OutputError(
            f"{filename}: must end in {', '.join(_DRIVERS)}, got '{Path(filename).suffix}'; "
            "choose one of these names."
        )
    if driver == "PNG" and (pixels.dtype.name not in PNG_DTYPES or len(pixels) > len(RGBA)):
        raise OutputError(
            f"{filename}: PNG holds 1 to 4 channels of {' or '.join(PNG_DTYPES)}, got "
            f"{len(pixels)} of {pixels.dtype.name}; write a .tif."
        )
    return driver


def _grid(
    src: DatasetReader, meta: Mapping[str, Any], shape: tuple[int, ...], filename: PathLike
) -> Grid:
    matrix, scale = grid_change(pixel_affine(source_transform(src)), np.asarray(meta["affine"]))
    if np.allclose(scale[:2], 1) and shape[1] * shape[2] >= 4 * src.width * src.height:
        raise OutputError(
            f"{filename}: the affine must belong to the enlarged image, got that of the source; "
            "update it with monai_sr.geometry.target_grid.scaled_affine."
        )
    nearest = np.rint(scale)
    scale = np.where(np.abs(scale - nearest) < _SNAP_PX, nearest, scale)
    # From the first center to the first corner, both in source pixels.
    offset = matrix[:2, 3] - matrix[:2, :2].sum(axis=1) / 2 + 0.5
    offset[np.abs(offset) < _SNAP_PX] = 0.0
    crossed = abs(matrix[0, 1]) + abs(matrix[1, 0]) > _SNAP_PX
    is_aligned = not crossed and bool((np.diag(matrix)[:2] > 0).all())
    sx, sy, dx, dy = map(float, (*scale[:2], *offset))
    return Grid((sx, sy), (dx, dy), is_aligned)


def creation_options(
    src: DatasetReader,
    meta: Mapping[str, Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    driver: str,
    becomes: str | None = None,
) -> dict[str, Any]:
    """Return what ``rasterio.open`` needs to make a result.

    Args:
        src: source raster.
        meta: meta of the result.
        shape: (C, H, W) of the result.
        dtype: of its pixels.
        driver: "GTiff" or "PNG".
        becomes: driver of the file that it is to become ("COG", "PNG"), where that is another one.
    """
    count, height, width = shape
    kind = kind_of(meta)
    options: dict[str, Any] = {
        "driver": driver, "count": count, "height": height, "width": width, "dtype": dtype.name,
    }  # fmt: skip
    if has_same_bands(src, count, kind):
        options["nodata"] = _fitting_nodata(src, meta, dtype)
    bits = stored_bits(meta, dtype)
    is_partial = 0 < bits < 8 * dtype.itemsize
    if is_partial and (driver == "GTiff" or bits in (1, 2, 4)):
        options["nbits"] = bits
    colors = colors_of(src, count, kind)
    profile = profile_of(src, colors)
    if profile and is_deidentified(meta):
        profile = kept_profile(profile, src.name)
    if profile:
        options["source_icc_profile"] = profile
    is_last = becomes in (None, driver)
    is_inverse = has_inverse_gray(src) and has_same_bands(src, count, kind)
    if is_inverse and not (is_last and driver == "GTiff"):
        logger.warning(
            "%s: its zeros are white, which %s cannot say: the result looks like a negative; write "
            "a .tif that is not cloud-optimized (--no-cog)", src.name, becomes or driver,
        )  # fmt: skip
    if driver == "PNG":
        own = {"write_metadata_as_text": "YES", "zlevel": _PNG_LEVEL}
        return options | own | png_colors(src)
    options["bigtiff"] = "IF_SAFER"
    # Who stores pixels as they are wants them quickly.
    if src.driver != "GTiff" or src.compression is not None:
        predictor = 3 if dtype.kind == "f" else 1 if is_partial else 2
        options.update(compress="deflate", predictor=predictor, num_threads="ALL_CPUS")
    if min(height, width) >= _TILE_PX:
        options.update(tiled=True, blockxsize=_TILE_PX, blockysize=_TILE_PX)
    by_band = src.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE", "PIXEL") != "PIXEL" and count > 1
    is_rgb = colors[:3] == RGBA[:3] and dtype.name in PNG_DTYPES
    gray = "MINISWHITE" if is_inverse and is_last else "MINISBLACK"
    gray = "CMYK" if colors == _INKS and dtype.name in PNG_DTYPES else gray
    options.update(interleave="band" if by_band else "pixel", photometric="RGB" if is_rgb else gray)
    if ColorInterp.alpha in colors and has_same_bands(src, count, kind):
        # A copy into another format says of alpha only that it is one.
        is_associated = is_last and associated_alpha(src) >= 0
        options["alpha"] = "PREMULTIPLIED" if is_associated else "YES"
    return options


def has_inverse_gray(src: DatasetReader) -> bool:
    """Tell whether a TIFF's gray values are white at 0 (tag 262) and no color table says so.

    Args:
        src: source raster.
    """
    return is_white_at_zero(src) and band_colors(src)[0] != ColorInterp.palette


def stored_bits(meta: Mapping[str, Any], dtype: np.dtype[Any]) -> int:
    """Return how many bits of unsigned integers are stored, 0 for other types."""
    return int(Facts(meta).storable[1]).bit_length() if dtype.kind == "u" else 0


def _fitting_nodata(
    src: DatasetReader, meta: Mapping[str, Any], dtype: np.dtype[Any]
) -> float | None:
    is_common = len(set(map(str, src.nodatavals))) == 1 and all(src.mask_flag_enums)
    value = src.nodata if is_common else Facts(meta).fill
    if value is None and np.isfinite(Facts(meta).nodata):  # named by the user
        value = Facts(meta).nodata
    if value is None or dtype.kind == "f":
        return None if value is None else float(value)
    limits = np.iinfo(dtype)
    return value if limits.min <= value <= limits.max else None


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


def build_overviews(path: Path, how: Resampling) -> None:
    """Add overviews to a finished GeoTIFF, inside it, made of valid pixels.

    Args:
        path: a file without overviews, not open anywhere.
        how: see :func:`monai_sr.formats.raster.cog.overview_resampling`.

    Raises:
        RasterioError: it cannot be written.
    """
    with rasterio.open(gdal_name(path), "r+") as dst:
        dst.build_overviews(overview_factors(dst.shape), how)
