"""Finds what GDAL does not say of photos: orientation, frames or pages, resolution, color space.

EXIF 2.32 (CIPA DC-008) and TIFF 6.0, tags 262 (PhotometricInterpretation) and 274 (Orientation);
W3C PNG, third edition (acTL, eXIf, pHYs, gAMA, cHRM, sRGB); ITU-T T.871 (JFIF), 10.1; ICC.1:2022,
7.2.8 (data color space).
"""

import base64
import operator
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from monai_sr.core import BadImageError, PathLike, get_logger, once
from monai_sr.formats.raster.bands import PILLOW_ERRORS, later_widths, tiff_tag
from monai_sr.geometry import has_transform, source_transform

logger = get_logger(__name__)

_ORIENTATION, _X_RESOLUTION, _PHOTOMETRIC = 274, 282, 262
_EXIF_RESOLUTIONS = ((282, 283), (0xA20E, 0xA20F))  # of the picture and of the sensor, x and y
# Of the stored grid: orientation, sizes, places in the picture; and MakerNote, whose offsets move.
_EXIF_OF_GRID = (256, 257, _ORIENTATION, 0xA002, 0xA003, 0x9214, 0xA214, 0x927C)
_CIELAB, _COLOR_FILTER = 8, 32803
_SUBFILE, _SUB_IMAGES = 254, 330
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_COLORS, _PROFILE = "COLOR_PROFILE", "SOURCE_ICC_PROFILE"
_OF_PNG = ("PNG_GAMMA", "SOURCE_WHITEPOINT", *(f"SOURCE_PRIMARIES_{c.name.upper()}" for c in _RGB))
_SRGB = {("SOURCE_ICC_PROFILE_NAME", "sRGB")}  # other names are those of profiles
# Not Image.open: it refuses large images, which are meant to be read here.
_PILLOW: dict[str, Any] = {
    "PNG": PngImagePlugin.PngImageFile, "WEBP": WebPImagePlugin.WebPImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile, "GIF": GifImagePlugin.GifImageFile,
    "BIGGIF": GifImagePlugin.GifImageFile, "BMP": BmpImagePlugin.BmpImageFile,
}  # fmt: skip
_PNG_SIGNATURE = 8  # bytes
_EXIF_BEGIN = b"Exif\0\0"  # in a JPEG
_HDR_CHUNKS = (b"cICP", b"mDCV", b"cLLI")
_MOST_DPI = 1e7  # of what a file of PNG can hold, in pixels a meter of 31 bits
_MOST_BANDS = 4096  # GDAL takes minutes over more, which damaged headers declare


def check_single(path: Path, dataset: DatasetReader) -> None:
    """Refuse files of several images, and colors that GDAL gives as numbers whose ends meet.

    Overviews, masks and thumbnails are no images of their own.

    Args:
        path: file named in the message.
        dataset: the open file.

    Raises:
        BadImageError: no image or several: frames, pages, subdatasets, thousands of bands; CIELAB,
            whose white GDAL makes yellow, and of 16 bits whose a* and b* are signed.
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
        if _is_cielab(path, dataset):
            raise BadImageError(
                f"{path}: colors must be RGB or gray, got CIELAB; convert it to RGB."
            )
        if _is_raw(path, dataset):
            raise BadImageError(
                f"{path}: must be a developed image, got the raw data of a camera or its "
                "thumbnail; develop it to TIFF first (darktable-cli, rawtherapee-cli)."
            )
        if _is_thumbnail(path, dataset):
            raise BadImageError(
                f"{path}: must begin with its image, got a thumbnail of it in front; extract the "
                f"image (gdal_translate GTIFF_DIR:2:{path.name} image.tif)."
            )
        return
    raise BadImageError(f"{path}: must hold one image, got {found}; {remedy}.")


def _is_cielab(path: Path, dataset: DatasetReader) -> bool:
    """Tell whether a TIFF's colors are L*a*b*, which GDAL gives as RGB of 8 bits or as numbers.

    The RGB is that of a display whose white is D50: beside others it is yellow, by some 15 of 255.
    """
    if dataset.driver != "GTiff" or dataset.count < 3:
        return False
    is_made = dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") == "CIELAB"
    is_deep = dataset.dtypes[:3] == ("uint16",) * 3
    return bool(is_made or (is_deep and tiff_tag(path, _PHOTOMETRIC) == _CIELAB))


def _is_raw(path: Path, dataset: DatasetReader) -> bool:
    """Tell whether a TIFF is a mosaic of a color filter, or one whose first image is a thumbnail.

    So are DNG, NEF and ARW: GDAL opens the thumbnail, the mosaic lies behind it.
    """
    if dataset.driver != "GTiff" or has_transform(source_transform(dataset)):
        return False
    is_reduced = bool(int(tiff_tag(path, _SUBFILE) or 0) & 1)
    is_behind = is_reduced and tiff_tag(path, _SUB_IMAGES) is not None
    return bool(is_behind or tiff_tag(path, _PHOTOMETRIC) == _COLOR_FILTER)


def _is_thumbnail(path: Path, dataset: DatasetReader) -> bool:
    """Tell whether the first image of a TIFF is a smaller version of one behind it."""
    if dataset.driver != "GTiff" or not int(tiff_tag(path, _SUBFILE) or 0) & 1:
        return False
    return bool(max(later_widths(path), default=0) > dataset.width)


def _frame_count(path: Path, dataset: DatasetReader) -> int:
    """Count the frames of an animation.

    GDAL makes bands of those of a GIF that are as large as the first, and drops those that hold no
    more than what changes; of other formats it passes the first one.
    """
    return _seen_by_pillow(path, dataset).frames


@dataclass(frozen=True)
class _Photo:
    """What Pillow says of a file: frames, orientation, profile, pixels an inch, HDR, EXIF."""

    frames: int = 1
    orientation: Any = None
    profile: bytes = b""
    dpi: tuple[float, float] | None = None
    hdr: bytes = b""
    exif: bytes = b""


def _seen_by_pillow(path: Path, dataset: DatasetReader) -> _Photo:
    """Return what is said of a file; of one with a geotransform no orientation."""
    if dataset.driver not in _PILLOW:
        return _Photo()
    return _opened_by_pillow(path, dataset.driver, has_transform(source_transform(dataset)))


@once
def _opened_by_pillow(path: PathLike, driver: str, has_place: bool) -> _Photo:
    found = _Photo()
    with suppress(*PILLOW_ERRORS), _PILLOW[driver](path) as image:  # GDAL judges what is damaged
        frames = int(getattr(image, "n_frames", 1))
        profile, dpi = image.info.get("icc_profile") or b"", image.info.get("dpi")
        hdr = _hdr_chunks(image.fp) if driver == "PNG" else b""
        found = _Photo(frames, None, profile, None, hdr)
        # Pillow decodes all of a PNG for what may stand behind the pixels.
        exif: Any = {} if has_place else image.getexif()
        if driver == "JPEG" and not (image.info.get("jfif_unit") or exif.get(_X_RESOLUTION)):
            dpi = None  # Pillow says 72 where nothing is said
        found = _Photo(frames, exif.get(_ORIENTATION), profile, dpi, hdr)
        if exif:  # Pillow cannot write all that it reads
            found = replace(found, exif=exif.tobytes())
    return found


def resolution_of(dataset: DatasetReader) -> tuple[float, float] | None:
    """Return the pixels an inch along columns and rows of an upright photo; None where unknown."""
    dpi = _seen_by_pillow(Path(dataset.name), dataset).dpi
    if dpi is None or not all(0 < each < _MOST_DPI for each in dpi):
        return None
    x, y = map(float, dpi)
    return (y, x) if is_lying(dataset) else (x, y)


def is_lying(dataset: DatasetReader) -> bool:
    """Tell whether a photo is stored with rows and columns exchanged."""
    is_placed = has_transform(source_transform(dataset))
    return not is_placed and orientation_of(Path(dataset.name), dataset) >= 5


def profile_of(dataset: DatasetReader, colors: Sequence[ColorInterp]) -> str:
    """Return the color profile for a result, base64 as GDAL takes it; "" where there is none.

    One of other colors than those of the result (of inks, which GDAL makes RGB of, of the RGB of a
    palette that is gray) would mislead whoever opens it: it is left out, and a warning says so.

    Args:
        dataset: the source, open.
        colors: of the bands of the result.
    """
    own = base64.b64encode(_seen_by_pillow(Path(dataset.name), dataset).profile).decode()
    profile: str = dataset.tags(ns=_COLORS).get(_PROFILE, own)
    space = base64.b64decode(profile)[16:20].strip()
    is_color, is_gray = tuple(colors[:3]) == _RGB, colors[0] == ColorInterp.gray
    if profile and ((is_color and space != b"RGB") or (is_gray and space != b"GRAY")):
        logger.warning(
            "%s: its color profile is for %s and the result is %s: it is left out, colors may look "
            "different; convert it to sRGB first", dataset.name,
            space.decode("ascii", "replace"), "RGB" if is_color else "gray",
        )  # fmt: skip
        return ""
    return profile


def png_colors(dataset: DatasetReader) -> dict[str, str]:
    """Return what a file without color profile says of its gray and colors: options for a PNG."""
    said = dataset.tags(ns=_COLORS)
    if _PROFILE in said:
        return {}
    return {key: said[key] for key in _OF_PNG if key in said} | dict(said.items() & _SRGB)


def png_hdr(dataset: DatasetReader) -> bytes:
    """Return the chunks of a PNG that say how its numbers become light; empty where there are none.

    Those are cICP, such as PQ or HLG, and what they were mastered for; GDAL drops them.

    Args:
        dataset: the source, open.
    """
    return _seen_by_pillow(Path(dataset.name), dataset).hdr


def scaled_exif(dataset: DatasetReader, scale: Sequence[float]) -> bytes:
    """Return the EXIF of a photo for its upright, larger picture; empty where there is none.

    Args:
        dataset: the source, open.
        scale: of columns and rows.
    """
    photo, exif = _seen_by_pillow(Path(dataset.name), dataset), Image.Exif()
    with suppress(*PILLOW_ERRORS):
        exif.load(photo.exif)
        for part in (exif, exif.get_ifd(ExifTags.IFD.Exif)):
            for tag in _EXIF_OF_GRID:
                part.pop(tag, None)
            for axes in _EXIF_RESOLUTIONS:
                told = [float(part[tag]) for tag in axes if part.get(tag)]
                turned = told[::-1] if is_lying(dataset) else told
                if len(told) == len(axes):
                    part.update(zip(axes, map(operator.mul, turned, scale), strict=True))
        return exif.tobytes().removeprefix(_EXIF_BEGIN) if exif else b""
    return b""  # it cannot be read


def _hdr_chunks(stream: BinaryIO) -> bytes:
    """Return those of a PNG; the stream stays where it is."""
    found, place = b"", stream.tell()
    stream.seek(_PNG_SIGNATURE)
    while (head := stream.read(8))[4:] not in (b"IDAT", b"IEND", b""):
        body = stream.read(int.from_bytes(head[:4], "big") + 4)
        found += head + body if head[4:] in _HDR_CHUNKS else b""
    stream.seek(place)
    return found


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
            declared = _seen_by_pillow(path, dataset).orientation
        if declared is None and dataset.driver == "GTiff":
            declared = tiff_tag(path, _ORIENTATION)
        return int(declared or 1)
    except PILLOW_ERRORS:
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
