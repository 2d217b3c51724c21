"""Writes a raster by windows, each of which is finished when it is written.

Windows follow the file's own tiles, in order: nothing is compressed twice, and the same pixels make
the same bytes. GDAL drivers GTiff, COG and PNG, https://gdal.org/drivers/raster.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window

from monai_sr.core import gdal_name, get_logger
from monai_sr.formats.facts import Facts
from monai_sr.formats.raster.bands import premultiplied
from monai_sr.formats.raster.beside import add_png_chunks
from monai_sr.formats.raster.check import check_copy, check_windows, checksum, writing
from monai_sr.formats.raster.cog import copy_as_cog, overview_resampling
from monai_sr.formats.raster.facts import Grid, copy_facts, exif_of, scaled_dpi, xmp_of
from monai_sr.formats.raster.masks import without_holes
from monai_sr.formats.raster.photos import png_colors, png_hdr
from monai_sr.formats.raster.writer import (
    WRITE_OPTIONS,
    build_overviews,
    creation_options,
    has_overviews,
    stored_bits,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from monai_sr.core import PathLike
    from monai_sr.formats.raster.image import RasterImage
    from monai_sr.formats.raster.source import RasterSource

logger = get_logger(__name__)

_CONVERT = {"GDAL_CACHEMAX": 2**27}  # PNG goes line by line through rows of tiles
_CHUNK_PX = 1024  # side of what is written at once
_STRIP_BYTES = 2**24  # or as many strips as this
_PNG = {"write_metadata_as_text": "YES", "zlevel": "6"}


class RasterBlocks:
    """A GeoTIFF that is filled window by window.

    Args:
        path: file to make; a name for the time being.
        source: the raster that the result derives from.
        meta: meta of the result.
        shape: (C, H, W) of the result.
        grid: where the result lies in the source.
        becomes: driver of the file that it is to become: "GTiff", "COG" or "PNG".
        name: what messages call it.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        source: RasterSource,
        meta: Mapping[str, Any],
        shape: tuple[int, int, int],
        grid: Grid,
        becomes: str = "GTiff",
        name: PathLike = "result",
    ) -> None:
        self.path, self.source, self.becomes, self.name = path, source, becomes, name
        self.meta, self._grid = meta, grid
        self.dtype = Facts(meta).dtype
        self._bits = stored_bits(meta, self.dtype)
        options = creation_options(source.dataset, meta, shape, self.dtype, "GTiff", becomes)
        options.update(sparse_ok=True, num_threads="all_cpus")
        with self._guarded():
            self._dst = rasterio.open(gdal_name(path), "w", **options)
            driver = "PNG" if becomes == "PNG" else "GTiff"
            copy_facts(source.dataset, self._dst, meta, grid, driver)
        self._is_premultiplied = options.get("alpha") == "PREMULTIPLIED"
        self._sums: dict[tuple[int, int, int, int], tuple[int | None, int | None]] = {}
        self._writes_mask = source.has_mask and becomes != "PNG"
        if source.has_mask and not self._writes_mask:
            logger.warning("%s: its mask is not in the result, which is not TIFF.", source.path)

    @property
    def has_nodata(self) -> bool:
        """Whether the result declares a nodata value: what is never written reads as that."""
        return self._dst.nodata is not None

    @property
    def starts_as_hole(self) -> bool:
        """Whether every pixel that is no measurement has the declared nodata value."""
        return self.has_nodata and (self.dtype.kind != "f" or bool(np.isnan(self._dst.nodata)))

    def chunks(self) -> Iterator[tuple[slice, slice]]:
        """Yield the rows and columns of each window to write, from top to bottom."""
        height, width = self._dst.shape
        tile_height, tile_width = self._dst.block_shapes[0]
        rows = max(_CHUNK_PX // tile_height, 1) * tile_height
        columns = max(_CHUNK_PX // tile_width, 1) * tile_width
        if tile_width >= width:
            line = width * self._dst.count * self.dtype.itemsize
            rows = max(min(rows, _STRIP_BYTES // line) // tile_height, 1) * tile_height
        for top, left in itertools.product(range(0, height, rows), range(0, width, columns)):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))

    def write(
        self,
        rows: slice,
        columns: slice,
        pixels: npt.NDArray[Any] | None,
        image: RasterImage | None,
        covering: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> None:
        """Write one window; its alpha and mask are those of the source, by blocks.

        Shape: pixels (C, h, w) in the result's dtype, nodata in place; None: nothing but nodata.

        Args:
            rows: of the window in the result.
            columns: of the window in the result.
            pixels: of the window.
            image: a window of the source; None where nothing is hidden in it.
            covering: for each row and each column of the window the one of ``image`` below it.

        Raises:
            OutputError: it cannot be written.
        """
        window = Window.from_slices(rows, columns)
        cells = np.ix_(*covering)
        sums: list[int | None] = [None, None]
        with self._guarded():
            if pixels is not None:
                if image is not None and image.alpha >= 0 and not self.source.has_smooth_alpha:
                    pixels[image.alpha] = image.pixels[image.alpha][cells]
                if self._is_premultiplied:
                    pixels = premultiplied(pixels, self.source.alpha, self._bits)
                self._dst.write(pixels, window=window)
                sums[0] = checksum(pixels)
            if self._writes_mask and image is not None and image.mask is not None:
                shown = without_holes(image, cells, pixels, self._dst.nodata)
                self._dst.write_mask(shown, window=window)
                sums[1] = checksum(shown)
        place = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        self._sums[place] = (sums[0], sums[1])

    def close(self) -> None:
        """Finish the GeoTIFF.

        Raises:
            OutputError: it cannot be written.
        """
        with self._guarded():
            self._dst.close()

    def convert(self, path: Path) -> Path:
        """Make the file that this one is to become, if that is another; else its overviews.

        What is ready has been read back, and holds what was written.

        Args:
            path: a name for the time being.

        Returns:
            The name of what is ready: ``path``, or this file.

        Raises:
            OutputError: it cannot be written, or is not what was written.
        """
        with self._guarded(**_CONVERT):
            if self.becomes == "GTiff" and has_overviews(self.source.dataset):
                build_overviews(self.path, overview_resampling(self.meta))
            if self.becomes != "COG":
                check_windows(self.path, self.name, self._sums)
            if self.becomes == "GTiff":
                return self.path
            if self.becomes == "COG":
                copy_as_cog(self.path, path, overview_resampling(self.meta))
                check_windows(path, self.name, self._sums)
            else:
                options = _PNG | png_colors(self.source.dataset)
                rasterio.shutil.copy(gdal_name(self.path), gdal_name(path), driver="PNG", **options)
                src = self.source.dataset
                dpi = scaled_dpi(src, self._grid)
                exif = exif_of(src, self.meta, self._grid)
                add_png_chunks(path, xmp_of(src, self.meta), dpi, png_hdr(src), exif)
                check_copy(path, self.name, self.path)
        return path

    @contextlib.contextmanager
    def _guarded(self, **options: Any) -> Iterator[None]:
        """Set what writing needs, and turn what GDAL says into one line."""
        with writing(self.name), rasterio.Env(**WRITE_OPTIONS, **options):
            yield
