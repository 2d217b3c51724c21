"""Decode reference images: photos by Pillow, scenes, DICOM and NIfTI by our own readers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image, UnidentifiedImageError

from monai_sr.core import BadImageError, sha256
from monai_sr.formats import Facts, format_of, is_plain_photo
from monai_sr.training import Area, Box, window_of
from monai_sr.transforms import ScaleToUnit, enlarged_axes, load_image

# Pillow gives the stored values; for some other formats it runs a PostScript interpreter.
_PILLOW = ("PNG", "JPEG", "BMP")
_ID_DIGITS = 12

Array = np.ndarray[Any, Any]
Files = tuple[Path, ...]
"""One file, or the files of a DICOM series."""


def read_image(files: Files) -> tuple[Array, int]:
    """Read an image of one slice.

    Returns:
        (C, H, W) float64 in [0, 1], and the largest stored value where values are stored as whole
        numbers of a known range (255, 65535), else 1.

    Raises:
        BadImageError: if it cannot be read, holds pixels without data, or is a volume.
    """
    if is_plain_photo(files[0]):
        photo = _photo(files[0])
        levels = int(np.iinfo(photo.dtype).max)
        planes = photo[..., None] if photo.ndim == 2 else photo
        return planes.astype(np.float64).transpose(2, 0, 1) / levels, levels
    values, meta = _scaled(files)
    if values.ndim != 3:
        raise BadImageError(
            f"{files[0]}: must be an image of one slice, got a volume; set slice_step to judge "
            "its slices"
        )
    low, high = (float(v) for v in Facts(meta).range.ravel()[:2])
    levels = 255 if (low, high) == (0.0, 255.0) else 1
    return np.ascontiguousarray(values.swapaxes(1, 2)), levels


def read_raster(path: Path, channels: int, area: Box | None) -> tuple[Array, int]:
    """Read the stored integers of a raster, nodata like any other.

    Args:
        path: the file.
        channels: how many bands it must have.
        area: west, south, east and north of what is read; all of it if None.

    Returns:
        As :func:`read_image`; the largest value is that of the data type.

    Raises:
        BadImageError: if it has other bands, or other values than unsigned integers.
    """
    image = load_image(path)
    dtype = Facts(image.meta).dtype
    if image.ndim != 3 or image.shape[0] != channels or dtype.kind != "u":
        raise BadImageError(
            f"{path}: must be a raster of {channels} bands of unsigned integers, got {dtype} of "
            f"shape {tuple(image.shape)}; remove it from the benchmark"
        )
    stored = image.numpy()
    if area is not None:
        columns, rows = window_of(Area(path, area), image.meta["affine"], stored.shape[1:])
        stored = stored[:, columns, rows]
    levels = int(np.iinfo(dtype).max)
    values = stored.swapaxes(1, 2).astype(dtype).astype(np.float64) / levels
    return np.ascontiguousarray(values), levels


@lru_cache(maxsize=1)
def read_volume(files: Files) -> Array:
    """Read a volume of one channel as (slices, rows, columns), float64 in [0, 1].

    Raises:
        BadImageError: if it cannot be read or is something else.
    """
    values, meta = _scaled(files)
    if values.ndim != 4 or values.shape[0] != 1:
        raise BadImageError(
            f"{files[0]}: must be a volume of one channel, got shape {values.shape}; remove it"
        )
    (slice_axis,) = set(range(3)) - set(enlarged_axes(meta, 3))
    return np.ascontiguousarray(np.moveaxis(values[0], slice_axis, 0).swapaxes(1, 2))


def is_volume(files: Files) -> bool:
    """Tell whether an image has slices.

    Raises:
        BadImageError: if it cannot be read.
    """
    if is_plain_photo(files[0]):
        return False
    return len(files) > 1 or load_image(files[0]).ndim == 4


def photo_pixels(path: Path) -> int:
    """Return how many pixels a photo has, from its header; 0 where it cannot be read."""
    try:
        with Image.open(path, formats=_PILLOW) as image:
            return int(image.width) * int(image.height)
    except (UnidentifiedImageError, OSError):
        return 0


def dicom_patient(files: Files) -> str:
    """Return a name for the patient of a DICOM file that tells nothing; empty where unknown.

    It is the start of the SHA-256 of (0010,0020) Patient ID, PS3.3 C.7.1.1.
    """
    if not format_of(files[0]).has_series:
        return ""
    header = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=["PatientID"])
    identity = str(header.get("PatientID") or "")
    return sha256(identity)[:_ID_DIGITS] if identity else ""


def _scaled(files: Files) -> tuple[Array, dict[str, Any]]:
    image = load_image(files if len(files) > 1 else files[0])
    scaled, valid = ScaleToUnit(is_exact=True)(image)
    if valid.numel() and not bool(valid.all()):
        raise BadImageError(
            f"{files[0]}: must have data everywhere, got pixels without (nodata, padding or NaN); "
            "crop it to where there is some"
        )
    return scaled.numpy().astype(np.float64), dict(scaled.meta)


def _photo(path: Path) -> Array:
    try:
        with Image.open(path, formats=_PILLOW) as image:
            if image.mode == "P" and "transparency" not in image.info:
                image = image.convert("RGB")
            if image.mode not in ("L", "RGB", "I;16"):
                raise BadImageError(
                    f"{path}: must be a grey or RGB image, got mode {image.mode}; convert it"
                )
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise BadImageError(
            f"{path}: must be a readable image, got {type(error).__name__}; replace the file"
        ) from error
