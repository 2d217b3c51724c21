"""Reads a raster back before it gets its name: it must be on the disk as it was written.

GDAL compresses in threads of its own, which have nobody to tell that the disk was full: a file may
be closed without a word and lack its last tiles. https://gdal.org/drivers/raster/gtiff.html,
NUM_THREADS.
"""

import contextlib
import ctypes
import os
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from monai_sr.core import OutputError, PathLike, SharedChange, ignored_warnings
from monai_sr.formats.raster.open import open_raster

_STRIP_BYTES = 2**24  # decoded at once
# Damage must be an error: the default fills up what a cut PNG lacks.
_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

Sums = Mapping[tuple[int, int, int, int], tuple[int | None, int | None]]
"""Column, row, width and height of a window -> :func:`checksum` of its pixels and of its mask."""


def checksum(pixels: npt.NDArray[Any]) -> int:
    """Return what tells whether a window is as it was: CRC-32 of its values in C order.

    There is one zero and one NaN: GDAL leaves out tiles of nothing but nodata.
    """
    if pixels.dtype.kind == "f":
        pixels = np.where(np.isnan(pixels), pixels.dtype.type(np.nan), pixels + 0)
    return zlib.crc32(np.ascontiguousarray(pixels).data.cast("B"))


def check_pixels_of(
    path: Path,
    name: PathLike,
    pixels: npt.NDArray[Any] | None = None,
    mask: npt.NDArray[Any] | None = None,
) -> None:
    """Decode a raster, overviews included, and compare it with what was written.

    Shape: pixels (C, H, W), mask (H, W).

    Args:
        path: the closed file.
        name: final name, for the message.
        pixels: what it must hold bit by bit; None: it must be readable.
        mask: what is valid in it; None where no mask was written.

    Raises:
        OutputError: it is incomplete.
    """
    with _reading(path, name) as dataset:
        for window, (rows, columns) in _strips(dataset):
            stored = dataset.read(window=window)
            if pixels is not None and not _is_equal(stored, pixels[:, rows, columns]):
                raise _incomplete(name, "other pixels")
            if mask is not None:
                valid = dataset.read_masks(1, window=window) != 0
                if not np.array_equal(valid, mask[rows, columns] != 0):
                    raise _incomplete(name, "another mask")
    _decode_overviews(path, name)


def check_windows(path: Path, name: PathLike, sums: Sums) -> None:
    """Decode a raster window by window, then its overviews.

    Args:
        path: the closed file, tiled or in strips.
        name: final name, for the message.
        sums: what was written.

    Raises:
        OutputError: it is incomplete.
    """
    with _reading(path, name) as dataset:
        for place, (pixels, mask) in sums.items():
            window = Window(*place)
            stored = dataset.read(window=window)
            if pixels is not None and checksum(stored) != pixels:
                raise _incomplete(name, "other pixels")
            if mask is not None and checksum(dataset.read_masks(1, window=window) != 0) != mask:
                raise _incomplete(name, "another mask")
    _decode_overviews(path, name)


def check_copy(path: Path, name: PathLike, original: Path) -> None:
    """Decode a raster that can only be read from top to bottom (PNG), beside its original.

    Args:
        path: the copy, closed.
        name: final name, for the message.
        original: a raster of the same pixels, which is complete.

    Raises:
        OutputError: they differ.
    """
    with _reading(path, name) as copy, _reading(original, name) as first:
        for window, _ in _strips(copy):
            if not _is_equal(copy.read(window=window), first.read(window=window)):
                raise _incomplete(name, "other pixels")


@contextlib.contextmanager
def writing(name: PathLike) -> Iterator[None]:
    """Turn what GDAL says while a raster is written into one line.

    Args:
        name: final name, for the message.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with ignored_warnings(NotGeoreferencedWarning), _QUIET_LIBTIFF():
            yield
    except (RasterioError, CPLE_BaseError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = " ".join(str(cause).split()).removesuffix(" See previous exception for details.")
        raise OutputError(
            f"{name}: cannot be written, got '{reason}'; free space, raise the limit (quota, "
            "ulimit -f), or check the rights there."
        ) from error


@contextlib.contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """Keep libtiff from printing a line of its own for each tile that it could not write."""
    library = _libtiff()
    if library is None:
        yield
        return
    before = library.TIFFSetErrorHandler(None)
    try:
        yield
    finally:
        library.TIFFSetErrorHandler(before)


_QUIET_LIBTIFF = SharedChange(_quiet_libtiff)


@lru_cache(maxsize=1)
def _libtiff() -> Any:
    """Return the library that rasterio has loaded; None where its packages lie otherwise."""
    for file in Path(rasterio.__file__).parents[1].glob("rasterio.libs/libtiff*"):
        library = ctypes.CDLL(str(file))
        library.TIFFSetErrorHandler.restype = ctypes.c_void_p
        library.TIFFSetErrorHandler.argtypes = [ctypes.c_void_p]
        return library
    return None


def _decode_overviews(path: Path, name: PathLike) -> None:
    with _reading(path, name) as dataset:
        levels = len(dataset.overviews(1))
    for level in range(levels):
        with _reading(path, name, overview_level=level) as dataset:
            for window, _ in _strips(dataset):
                dataset.read(window=window)


def _strips(dataset: DatasetReader) -> Iterator[tuple[Window, tuple[slice, slice]]]:
    """Yield windows of whole blocks, of all columns where they are not too many at once."""
    height, width = dataset.shape
    block_height, block_width = dataset.block_shapes[0]
    item = dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    columns = max(_STRIP_BYTES // (block_height * item * block_width), 1) * block_width
    rows = max(_STRIP_BYTES // (min(columns, width) * item * block_height), 1) * block_height
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            place = slice(top, min(top + rows, height)), slice(left, min(left + columns, width))
            yield Window.from_slices(*place), place


def _is_equal(stored: npt.NDArray[Any], written: npt.NDArray[Any]) -> bool:
    is_float = stored.dtype.kind == "f"
    return stored.dtype == written.dtype and np.array_equal(stored, written, equal_nan=is_float)


@contextlib.contextmanager
def _reading(path: Path, name: PathLike, **options: Any) -> Iterator[DatasetReader]:
    try:
        with (
            ignored_warnings(NotGeoreferencedWarning),
            rasterio.Env(**_STRICT),
        ):
            _check_end(path, name)
            with open_raster(path, **options) as dataset:
                yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise _incomplete(name, "a damaged file") from error


def _check_end(path: Path, name: PathLike) -> None:
    """Look for the last chunk of a PNG, without pixels: decoders do not miss it."""
    with path.open("rb") as stream:
        if stream.read(len(_PNG)) == _PNG:
            stream.seek(-len(_PNG_END), os.SEEK_END)
            if stream.read() != _PNG_END:
                raise _incomplete(name, "a cut file")


def _incomplete(name: PathLike, got: str) -> OutputError:
    return OutputError(
        f"{name}: must be on the disk as it was written, got {got} there; free space, or raise the "
        "limit (quota, ulimit -f), and run again."
    )
