"""Pixels of an array read as those of a raster: with what GDAL says of the GeoTIFF it would be.

The header of that GeoTIFF is written, without pixels, and opened: colors, groups of bands, natural
bounds and what the values mean are found as of a file.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from monai_sr.core import SRError
from monai_sr.formats import RasterSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader
    from rasterio.transform import Affine
    from rasterio.windows import Window

# GDAL takes a fourth band of 8 bits for alpha; in an array it is data, such as near infrared.
_DATA = {"alpha": "UNSPECIFIED"}


@dataclass(frozen=True)
class ArrayHeader:
    """What an array says beside its values.

    Attributes:
        name: of the array, in messages.
        shape: (C, H, W).
        dtype: of the stored values.
        crs: reference system.
        transform: of pixel corners.
        nodata: stored value that is no measurement, None for none.
        descriptions: names of the bands; empty for none.
        scales: of real values, one for each band; empty for none.
        offsets: likewise.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    crs: CRS
    transform: Affine
    nodata: float | None = None
    descriptions: Sequence[str] = ()
    scales: Sequence[float] = ()
    offsets: Sequence[float] = ()

    def write(self, path: Path) -> None:
        """Write a GeoTIFF without pixels."""
        count, height, width = self.shape
        colors = _DATA if count == 4 else {}
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width,
            dtype=self.dtype.name, crs=self.crs, transform=self.transform, nodata=self.nodata,
            tiled=True, sparse_ok=True, bigtiff="IF_SAFER", **colors,
        ) as header:  # fmt: skip
            if self.scales:
                header.scales = self.scales
            if self.offsets:
                header.offsets = self.offsets
            for band, name in enumerate(self.descriptions, 1):
                header.set_band_description(band, name)


class ArraySource(RasterSource):
    """An array as an open raster.

    What its values mean is looked up in them where the header leaves it open; nothing else is read
    until :meth:`of_part` has given it pixels.

    Args:
        header: of the array.
        pixels: (C, H, W), of numpy or of Dask.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.

    Raises:
        BadImageError: it cannot be used.
    """

    def __init__(self, header: ArrayHeader, pixels: Any, kind: str) -> None:
        self._pixels = pixels
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "array.tif"
            header.write(path)
            try:
                super().__init__(path, kind)
                self.dataset.close()
            except SRError as error:
                text = str(error).replace(str(path), header.name)
                raise type(error)(text) from error.__cause__
        self.path = Path(header.name)
        del self._pixels
        self.dataset = ArrayPart(np.zeros((self.shape[0], 1, 1), self.dtype))

    def of_part(self, pixels: npt.NDArray[Any], left: int, top: int) -> ArraySource:
        """Return a raster that can be read within a part of the array.

        Args:
            pixels: (C, h, w) of the part.
            left: its first column.
            top: its first row.
        """
        part = copy.copy(self)
        part.dataset = ArrayPart(pixels, left, top)
        return part

    def _open(self, path: Path, **kwargs: Any) -> Any:
        return _HeaderAndPixels(super()._open(path, **kwargs), self._pixels)


class ArrayPart:
    """Stands for a dataset of rasterio where only pixels are asked for.

    Args:
        pixels: (C, h, w), of numpy or of Dask.
        left: first column.
        top: first row.
    """

    def __init__(self, pixels: Any, left: int = 0, top: int = 0) -> None:
        self._pixels, self._left, self._top = pixels, left, top
        self.dtypes = (pixels.dtype.name,) * len(pixels)

    def read(self, indexes: int | None = None, *, window: Window) -> npt.NDArray[Any]:
        """Return the stored values of a window, of one band or of all."""
        left, top = window.col_off - self._left, window.row_off - self._top
        right, bottom = left + window.width, top + window.height
        height, width = self._pixels.shape[1:]
        if min(left, top) < 0 or right > width or bottom > height:
            raise IndexError(f"window {window} leaves the part of {width} x {height} that is here")
        bands = slice(None) if indexes is None else indexes - 1
        return np.asarray(self._pixels[bands, top:bottom, left:right])

    def close(self) -> None:
        """Do nothing: there is no file."""


class _HeaderAndPixels(ArrayPart):
    """The header's dataset in all but pixels."""

    def __init__(self, header: DatasetReader, pixels: Any) -> None:
        super().__init__(pixels)
        self._header = header

    def __getattr__(self, name: str) -> Any:
        return getattr(self._header, name)

    def close(self) -> None:
        """Close the header."""
        self._header.close()
