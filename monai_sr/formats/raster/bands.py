"""What the bands of a raster mean: palettes, alpha that colors are multiplied by, nodata of each.

GDAL raster data model: https://gdal.org/user/raster_data_model.html; TIFF 6.0, tag 338
(ExtraSamples: associated alpha).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from monai_sr.core import BadImageError, PathLike, once
from monai_sr.formats.raster.far import open_bytes
from monai_sr.formats.raster.fields import missing_values

_OPAQUE = 255
_EXACT_INTEGER = 2.0**53
_EXTRA_SAMPLES = 338
_ASSOCIATED_ALPHA = 1
_PLACES_OF_PIXELS = (273, 279, 324, 325)  # offsets and lengths of strips and tiles: many
_BIG_TIFF = 43
_MOST_PAGES = 64  # that are looked at
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error,
)  # fmt: skip
"""What Pillow raises of damaged files."""


@dataclass(frozen=True)
class Nodata:
    """Nodata of the bands, and the one value that stands for it in the result.

    Attributes:
        common: value of all bands, None where they differ or have none.
        each: value of each band where they differ, else empty.
        fill: value of the result.
    """

    common: float | None = None
    each: tuple[float | None, ...] = ()
    fill: float | None = None

    @classmethod
    def of(
        cls, values: Sequence[float | None], dtype: np.dtype[Any], has_own_masks: bool
    ) -> Nodata:
        """Tell what to write: GeoTIFF declares one value for all bands and has one mask.

        Where bands differ, the result's is NaN in floats and the first band's in integers; where
        they have masks of their own and no nodata, the lowest value that integers have.

        Args:
            values: as declared; what no pixel can equal counts as none.
            dtype: of the pixels.
            has_own_masks: whether some band has a mask that is not that of all.
        """
        each = tuple(_fitting(value, dtype) for value in values)
        declared = [value for value in each if value is not None]
        is_common = len({str(value) for value in each}) == 1
        if is_common and not has_own_masks:
            return cls(each[0], (), each[0])
        if dtype.kind == "f":
            return cls(None, () if is_common and each[0] is None else each, np.nan)
        fill = declared[0] if declared else float(np.iinfo(dtype).min)
        return cls(None, each, fill)

    def own(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Tell where each band is valid by a value of its own; None where that is not so."""
        if not any(value is not None for value in self.each):
            return None
        valid = np.ones(pixels.shape, dtype=bool)
        for band, value, found in zip(pixels, self.each, valid, strict=True):
            if value is not None:
                found[:] = band != value
        return valid

    def settled(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return pixels in which those that GDAL takes for nodata have that very value.

        Of floats these are all within some last digits of it, which headers often lack: Esri's
        -3.40282306074e+38 stands for -3.4028235e+38 (GDAL, ``ARE_REAL_EQUAL``).
        """
        declared = self.each or (self.common,) * len(pixels)
        if pixels.dtype.kind != "f" or not any(declared):  # None, 0: met by nothing beside it
            return pixels
        values = np.array([np.nan if value is None else value for value in declared], pixels.dtype)
        nodata = values[:, None, None]
        share = np.float32(2 * np.finfo(np.float32).eps)
        with np.errstate(over="ignore", invalid="ignore"):
            is_near = np.abs(pixels - nodata) < np.abs(pixels + nodata) * share
        return np.where(is_near, nodata, pixels)


def _fitting(value: float | None, dtype: np.dtype[Any]) -> float | None:
    """Return a declared nodata as the pixels hold it; None where no pixel can equal it."""
    if value is None:
        return None
    if dtype.kind == "f":
        # The header may hold more digits than float32 pixels do.
        with np.errstate(over="ignore"):
            return float(dtype.type(value))
    limits = np.iinfo(dtype)
    return float(value) if limits.min <= value <= limits.max and value == int(value) else None


def stored_nodata(path: PathLike, dataset: DatasetReader) -> Sequence[float | None]:
    """Return the nodata of each band; None where there is none, nor tags of CF that name one.

    Args:
        path: of the file, for the message.
        dataset: the same, open.

    Raises:
        BadImageError: that of 64-bit integers lies beyond 2^53, as their lowest and highest: no
            result can declare it, for rasterio writes 17 digits, of which GDAL reads another.
    """
    values: Sequence[float | None] = dataset.nodatavals
    for value, dtype, flags in zip(values, dataset.dtypes, dataset.mask_flag_enums, strict=True):
        # The highest is none for rasterio, though GDAL has it.
        is_hidden = value is None and MaskFlags.nodata in flags
        if dtype in ("int64", "uint64") and (is_hidden or abs(value or 0) > _EXACT_INTEGER):
            got = np.iinfo(dtype).max if value is None else int(value)
            raise BadImageError(
                f"{path}: nodata of integers must lie within +-2^53, got {got}; give it another "
                "(gdalwarp -ot Float64 -dstnodata -9999)."
            )
    tagged = [next(iter(missing_values(dataset, band)), None) for band in dataset.indexes]
    return [v if v is not None else t for v, t in zip(values, tagged, strict=True)]


def band_colors(dataset: DatasetReader) -> list[ColorInterp]:
    """Return what each band is; a palette only where the file, not GDAL, made it.

    To gray values of few bits that are white at 0 (tag 262 of TIFF) GDAL adds a table of them.

    Args:
        dataset: an open raster.
    """
    colors = list(dataset.colorinterp)
    if colors[:1] == [ColorInterp.palette] and is_white_at_zero(dataset):
        with suppress(ValueError):  # it has no table
            table = np.array([color for _, color in sorted(dataset.colormap(1).items())])
            is_gray = bool((table[:, :1] == table[:, :3]).all() and (table[:, 3] == _OPAQUE).all())
            if is_gray and bool((np.diff(table[:, 0]) <= 0).all()):
                colors[0] = ColorInterp.gray
    return colors


def is_white_at_zero(dataset: DatasetReader) -> bool:
    """Tell whether a TIFF's gray values are white at 0 (tag 262)."""
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES")


def stored_colors(dataset: DatasetReader) -> list[ColorInterp]:
    """Return what bands are, without the opaque alpha that GDAL adds to RGB of inks."""
    colors = band_colors(dataset)
    is_made = dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") == "CMYK"
    return [c for c in colors if c != ColorInterp.alpha] if is_made else colors


def stored_bits(dataset: DatasetReader, dtype: np.dtype[Any]) -> int:
    """Return how many bits of each value are used, all of them where nothing else is declared.

    Args:
        dataset: an open raster.
        dtype: of the pixels.
    """
    most = 8 * dtype.itemsize
    declared = [dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS") for band in dataset.indexes]
    numbers = [int(text) if str(text).isdecimal() else most for text in declared]
    return max(numbers) if 0 < max(numbers) <= most else most


def color_table(path: Path, dataset: DatasetReader, nodata: float | None) -> npt.NDArray[np.uint8]:
    """Return the palette with as few channels as show all of its colors: gray, RGB or RGBA.

    All of the table counts, used or not, so that every window has the same channels.

    Shape: (entries, 1, 3 or 4). Beside a band of alpha it is RGB and alpha, which is looked up
    nowhere.

    Raises:
        BadImageError: there is none.
    """
    try:
        entries = dataset.colormap(1)
    except ValueError as error:
        raise BadImageError(
            f"{path}: a palette image must have a color table, got none; export it as gray or RGB."
        ) from error
    length = max(*entries, -1 if nodata is None else int(nodata)) + 1
    table = np.zeros((length, 4), dtype=np.uint8)
    for index, color in entries.items():
        table[index] = color
    if nodata is not None and nodata >= 0:
        table[int(nodata), 3] = 0
    has_alpha = dataset.count > 1 or bool((table[:, 3] < _OPAQUE).any())
    is_gray = bool((table[:, :1] == table[:, :3]).all())
    return table if has_alpha else table[:, :1] if is_gray else table[:, :3]


def looked_up(
    path: Path, indices: npt.NDArray[Any], table: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Look the colors up.

    Shape: indices (1, H, W), or (2, H, W) with a band of alpha -> (C, H, W) uint8.

    Raises:
        BadImageError: an index that the table does not have.
    """
    low, high = int(indices[0].min()), int(indices[0].max())
    if low < 0 or high >= len(table):
        raise BadImageError(
            f"{path}: pixels of a palette must be 0 to {len(table) - 1}, got "
            f"{low if low < 0 else high}; export it as gray or RGB."
        )
    colors: npt.NDArray[np.uint8] = np.moveaxis(table[indices[0].astype(np.intp)], -1, 0)
    if len(indices) == 1:
        return colors
    return np.concatenate([colors[:3], indices[1:].astype(np.uint8)])


def premultiplied_alpha(dataset: DatasetReader) -> int:
    """Return the index of the alpha band that colors are to be divided by, -1 for none.

    Beside a nodata value colors stay as they are: the value itself was not multiplied.

    Args:
        dataset: an open raster.
    """
    has_nodata = any(value is not None for value in dataset.nodatavals)
    return -1 if has_nodata else associated_alpha(dataset)


def associated_alpha(dataset: DatasetReader) -> int:
    """Return the index of the alpha band that colors were multiplied by, -1 for none.

    GDAL does not tell: the tag is read from the file, so behind a VRT it stays unknown.

    Args:
        dataset: an open raster.
    """
    colors = list(dataset.colorinterp)
    is_usual = dataset.dtypes[0].startswith(("uint", "float"))
    if dataset.driver != "GTiff" or ColorInterp.alpha not in colors or not is_usual:
        return -1
    band = colors.index(ColorInterp.alpha)
    extra = tuple(np.atleast_1d(tiff_tag(dataset.name, _EXTRA_SAMPLES) or ()))
    position = band - (dataset.count - len(extra))
    is_associated = 0 <= position < len(extra) and extra[position] == _ASSOCIATED_ALPHA
    return band if is_associated else -1


def straight(pixels: npt.NDArray[Any], alpha: int, bits: int) -> npt.NDArray[Any]:
    """Divide colors by alpha; :func:`premultiplied` gives the same integers back.

    Shape: (C, H, W) -> the same. Colors under alpha 0 stay.

    Args:
        pixels: as stored.
        alpha: index of the alpha channel.
        bits: of integers: alpha is opaque where all are set; floats are at 1.
    """
    share = _share(pixels, alpha, bits)
    return _colors_times(pixels, alpha, 1 / np.where(share > 0, share, 1), bits)


def premultiplied(pixels: npt.NDArray[Any], alpha: int, bits: int) -> npt.NDArray[Any]:
    """Multiply colors by alpha: inverse of :func:`straight`, with the same arguments."""
    return _colors_times(pixels, alpha, _share(pixels, alpha, bits), bits)


def _share(pixels: npt.NDArray[Any], alpha: int, bits: int) -> npt.NDArray[np.float64]:
    opaque = 1.0 if pixels.dtype.kind == "f" else 2.0**bits - 1
    share: npt.NDArray[np.float64] = pixels[alpha].astype(np.float64) / opaque
    return share


def _colors_times(
    pixels: npt.NDArray[Any], alpha: int, factor: npt.NDArray[np.float64], bits: int
) -> npt.NDArray[Any]:
    result: npt.NDArray[Any] = pixels.copy()
    for band, values in enumerate(pixels):
        if band != alpha:
            product = values * factor
            if pixels.dtype.kind != "f":
                product = np.minimum(np.rint(product), 2.0**bits - 1)
            result[band] = product
    return result


def tiff_tag(path: PathLike, tag: int) -> Any:
    """Read a tag of the first directory, also where Pillow cannot decode the pixels.

    Pillow does not read directories of big-endian BigTIFF.

    Args:
        path: a TIFF file.
        tag: number of the tag, not one of those that say where pixels are.

    Returns:
        Its value, or None where it is absent or the directory cannot be read.
    """
    return _first_directory(path).get(tag)


def later_widths(path: PathLike) -> list[int]:
    """Return how wide the images behind the first one of a TIFF are.

    Args:
        path: a TIFF file.
    """
    found: list[int] = []
    opener = TiffImagePlugin.TiffImageFile
    with suppress(*PILLOW_ERRORS), open_bytes(path) as stream, opener(stream) as image:
        for number in range(1, min(image.n_frames, _MOST_PAGES)):
            image.seek(number)
            found.append(int(image.width))
    return found


@once
def _first_directory(path: PathLike) -> dict[int, Any]:
    found: dict[int, Any] = {}
    with suppress(*PILLOW_ERRORS), open_bytes(path) as stream:
        header = stream.read(8)
        if _BIG_TIFF in header[2:4]:
            header += stream.read(8)
        directory = TiffImagePlugin.ImageFileDirectory_v2(header)
        stream.seek(directory.next)
        directory.load(stream)
        for tag in directory:
            if tag not in _PLACES_OF_PIXELS:
                with suppress(*PILLOW_ERRORS):  # a damaged tag says nothing of the others
                    found[tag] = directory[tag]
    return found
