"""Keeps what a raster hides: masks and alpha of two levels are enlarged exactly, by blocks.

GDAL RFC 15 (band masks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from monai_sr.core import get_logger
from monai_sr.formats.meaning import CODES, INTENSITY
from monai_sr.formats.raster.bands import band_colors
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.geometry import covering_samples

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from rasterio.io import DatasetReader, DatasetWriter

    from monai_sr.formats.raster.facts import Grid
    from monai_sr.formats.raster.image import RasterImage

logger = get_logger(__name__)


def hidden_in(source: Path, src: DatasetReader, kind: str = INTENSITY) -> RasterImage | None:
    """Read a source again where it may hide pixels: the result's values cannot tell.

    Args:
        source: path of the source.
        src: the same file, open.
        kind: what its values are: the palette of classes hides nothing.

    Returns:
        The source with its alpha and mask, None where it has neither.
    """
    is_code = kind in CODES
    colors = (ColorInterp.alpha, *(() if is_code else (ColorInterp.palette,)))
    may_hide = any(color in colors for color in band_colors(src))
    if not may_hide and MaskFlags.per_dataset not in src.mask_flag_enums[0]:
        return None
    image = RasterReader(kind if is_code else INTENSITY).read(source)
    return image if image.alpha >= 0 or image.mask is not None else None


def keep_alpha(pixels: npt.NDArray[Any], image: RasterImage, grid: Grid) -> npt.NDArray[Any]:
    """Replace alpha by blocks of the source's where that knows only two levels.

    Shape: (C, H, W) -> the same.

    Args:
        pixels: result in the source's dtype.
        image: the source.
        grid: where the result lies in the source.

    Returns:
        ``pixels`` itself where alpha is smooth, or where the result is a crop.
    """
    if image.alpha < 0 or len(pixels) != len(image.pixels):
        return pixels
    alpha = image.pixels[image.alpha]
    cells = _cells(alpha.shape, grid, pixels.shape[1:])
    if cells is None or not ((alpha == alpha.min()) | (alpha == alpha.max())).all():
        return pixels
    result: npt.NDArray[Any] = pixels.copy()
    result[image.alpha] = alpha[cells]
    return result


def copy_mask(
    image: RasterImage, dst: DatasetWriter, grid: Grid, pixels: npt.NDArray[Any]
) -> npt.NDArray[Any] | None:
    """Enlarge the mask of the source: each source pixel becomes a block.

    Args:
        image: the source; its alpha channel and nodata are not masks here.
        dst: result, pixels written.
        grid: where the result lies in the source.
        pixels: what was written, (C, H, W).

    Returns:
        What was written; None where nothing was.
    """
    if image.mask is None:
        return None
    cells = _cells(image.mask.shape, grid, dst.shape) if dst.driver == "GTiff" else None
    if cells is None:
        logger.warning(
            "%s: its mask is not in the result, which is a crop or not TIFF.", image.path.name
        )
        return None
    mask = without_holes(image, cells, pixels, dst.nodata)
    dst.write_mask(mask)
    return mask


def without_holes(
    image: RasterImage,
    cells: tuple[npt.NDArray[Any], ...],
    pixels: npt.NDArray[Any] | None,
    nodata: float | None,
) -> npt.NDArray[Any]:
    """Return the mask of a result; beside a mask GDAL asks no nodata.

    So it hides what became nodata in all bands, too. What the source has so itself is shown as in
    the source: its mask says that it is a value.

    Shape: pixels (C, h, w) -> (h, w).

    Args:
        image: the source, or a part of it, with a mask.
        cells: the rows and columns of ``image`` below those of the result, as of ``np.ix_``.
        pixels: of the result, of which no valid one has the nodata value; None: all have.
        nodata: of the result, None for none.
    """
    mask: npt.NDArray[Any] = np.asarray(image.mask)[cells]
    if nodata is None:
        return mask
    holes = _are_nodata(pixels, nodata) if pixels is not None else np.ones(mask.shape, bool)
    shown: npt.NDArray[Any] = mask & (~holes | _are_nodata(image.pixels, image.nodata)[cells])
    return shown


def _are_nodata(pixels: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[Any]:
    """Tell where all bands have a value: (C, H, W) -> (H, W)."""
    if nodata is None:
        return np.zeros(pixels.shape[1:], bool)
    found: npt.NDArray[Any] = np.isnan(pixels) if np.isnan(nodata) else pixels == nodata
    everywhere: npt.NDArray[Any] = np.asarray(found.all(axis=0))
    return everywhere


def _cells(
    sides: tuple[int, ...], grid: Grid, shape: tuple[int, ...]
) -> tuple[npt.NDArray[Any], ...] | None:
    """Return the source's rows and columns below those of a result; None where it is a crop."""
    covered = [round(n * f) for n, f in zip(sides, reversed(grid.scale), strict=True)]
    if any(grid.offset) or covered != list(shape):
        return None
    return np.ix_(*(covering_samples(n, m) for n, m in zip(sides, shape, strict=True)))
