"""Finds what GDAL does not say of photos: orientation, and how many frames or pages there are.

EXIF 2.32 (CIPA DC-008) and TIFF 6.0, tag 274 (Orientation); W3C PNG, third edition (acTL, eXIf).
"""

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import PngImagePlugin, WebPImagePlugin
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from monai_sr.core import BadImageError, PathLike, once
from monai_sr.formats.raster.bands import tiff_tag
from monai_sr.geometry import has_transform, source_transform

_ORIENTATION = 274
# Not Image.open: it refuses large images, which are meant to be read here.
_PILLOW = {"PNG": PngImagePlugin.PngImageFile, "WEBP": WebPImagePlugin.WebPImageFile}
_MOST_BANDS = 4096  # GDAL takes minutes over more, which damaged headers declare
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, KeyError, IndexError, EOFError, struct.error)


def check_single(path: Path, dataset: DatasetReader) -> None:
    """Refuse files of several images; overviews, masks and thumbnails are none.

    Args:
        path: file named in the message.
        dataset: the open file.

    Raises:
        BadImageError: no image or several: frames, pages, subdatasets, thousands of bands.
    """
    pages = len(dataset.subdatasets)
    remedy = "extract one with gdal_translate (gdalinfo lists them)"
    if dataset.count > _MOST_BANDS:
        found, remedy = f"{dataset.count} bands", "cut it into parts of bands (gdal_translate -b)"
    elif not dataset.count:
        found = f"a container of {pages} images"
    elif pages > 1 and dataset.driver != "JPEG":  # there: thermal data beside the photo
        found = f"{pages} pages"
    elif (frames := _frame_count(path, dataset)) > 1:
        found, remedy = f"{frames} frames", "save one frame as PNG"
    else:
        return
    raise BadImageError(f"{path}: must hold one image, got {found}; {remedy}.")


def _frame_count(path: Path, dataset: DatasetReader) -> int:
    """Count the frames of an animation: GDAL makes bands of them, or passes the first one."""
    colors = dataset.colorinterp
    if colors[0] == ColorInterp.palette:
        return sum(color != ColorInterp.alpha for color in colors)
    return _seen_by_pillow(path, dataset)[0]


def _seen_by_pillow(path: Path, dataset: DatasetReader) -> tuple[int, Any]:
    """Return the number of frames and, of a file without geotransform, the EXIF orientation."""
    if dataset.driver not in _PILLOW:
        return 1, None
    return _opened_by_pillow(path, dataset.driver, has_transform(source_transform(dataset)))


@once
def _opened_by_pillow(path: PathLike, driver: str, has_place: bool) -> tuple[int, Any]:
    frames, orientation = 1, None
    with suppress(*_PILLOW_ERRORS), _PILLOW[driver](path) as image:  # GDAL judges what is damaged
        frames = int(getattr(image, "n_frames", 1))
        # Pillow decodes all of a PNG for what may stand behind the pixels.
        orientation = None if has_place else image.getexif().get(_ORIENTATION)
    return frames, orientation


def orientation_of(path: Path, dataset: DatasetReader) -> int:
    """Return the EXIF orientation of a file without geotransform.

    Args:
        path: the file.
        dataset: the same file, open.

    Returns:
        1 (upright) to 8; 1 where nothing is declared.
    """
    declared: Any = dataset.tags().get("EXIF_Orientation")
    try:
        if declared is None:
            declared = _seen_by_pillow(path, dataset)[1]
        if declared is None and dataset.driver == "GTiff":
            declared = tiff_tag(path, _ORIENTATION)
        return int(declared or 1)
    except _PILLOW_ERRORS:
        return 1  # no orientation that anybody can read


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn pixels so that row 0 is the visual top and column 0 the visual left.

    Shape: (C, H, W) -> (C, H, W), or (C, W, H) for orientations 5 to 8.

    Args:
        pixels: as stored.
        orientation: 1 to 8; other values turn nothing.

    Returns:
        A view.
    """
    turned = {
        2: lambda p: p[:, :, ::-1],
        3: lambda p: p[:, ::-1, ::-1],
        4: lambda p: p[:, ::-1, :],
        5: lambda p: p.transpose(0, 2, 1),
        6: lambda p: p[:, ::-1, :].transpose(0, 2, 1),
        7: lambda p: p[:, ::-1, ::-1].transpose(0, 2, 1),
        8: lambda p: p[:, :, ::-1].transpose(0, 2, 1),
    }.get(orientation)
    return pixels if turned is None else turned(pixels)
