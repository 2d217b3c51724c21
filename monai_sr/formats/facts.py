"""What the readers share: checks of the input file and the meta dictionary of a sample."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import SpaceKeys

from monai_sr.core.contents import head
from monai_sr.core.errors import BadImageError
from monai_sr.core.log import get_logger
from monai_sr.formats.meaning import GRAY, Meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from monai_sr.core.types import PathLike

logger = get_logger(__name__)

AS_IT_IS = Meaning(GRAY, "by default")
# Integers above 2^53 have no exact float64.
_EXACT_INTEGER = 2.0**53


def single_path(data: Sequence[PathLike] | PathLike) -> Path:
    """Return the one path of a reader's argument and check that it is a file with content.

    Args:
        data: a path, or the tuple of one path that MONAI's ``LoadImage`` passes.

    Returns:
        The path as given.

    Raises:
        BadImageError: several paths, a missing file, a folder or an empty file.
    """
    if not isinstance(data, (str, os.PathLike)):
        if len(data) != 1:
            names = ", ".join(str(name) for name in data) or "nothing"
            raise BadImageError(f"{names}: must be one file, got {len(data)}; load one at a time.")
        data = data[0]
    path = Path(data)
    if not path.exists():
        raise BadImageError(f"{data}: must exist, got no such file; check the spelling.")
    if path.is_dir():
        raise BadImageError(f"{data}: must be a file, got a folder; name a file in it.")
    try:
        if path.stat().st_size == 0:
            raise BadImageError(
                f"{data}: must hold an image, got an empty file; copy or download it again."
            )
        head(path)
        return path
    except PermissionError as error:
        raise BadImageError(
            f"{data}: must be readable, got 'permission denied'; change its rights."
        ) from error


def storable_range(stored: npt.DTypeLike) -> tuple[float, float]:
    """Return the smallest and largest value that a dtype holds; infinite for floats.

    Args:
        stored: dtype in the file.

    Returns:
        (lo, hi)
    """
    dtype = np.dtype(stored)
    if dtype.kind == "f":
        return -np.inf, np.inf
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def holes_of_infinity(
    path: PathLike, pixels: npt.NDArray[Any], nodata: float | None = None, *, is_said: bool = False
) -> npt.NDArray[Any]:
    """Make infinite pixels, such as 10 log10(0), holes like NaN, unless that is the nodata value.

    Args:
        path: file named in the warning.
        pixels: stored values; integers stay as they are.
        nodata: declared invalid value, None when there is none.
        is_said: leave the warning out.
    """
    if pixels.dtype.kind != "f":
        return pixels
    infinite = np.isinf(pixels) & (True if nodata is None else pixels != nodata)
    if not infinite.any():
        return pixels
    if not is_said:
        logger.warning("%s: infinite pixels are taken as holes, like NaN", path)
    return np.where(infinite, pixels.dtype.type(np.nan), pixels)


def check_pixels(
    path: Path,
    pixels: npt.NDArray[Any],
    nodata: float | None,
    remedy: str,
    valid: npt.NDArray[np.bool_] | None = None,
    *,
    is_whole: bool = True,
) -> None:
    """Refuse pixels that no mapping to [0, 1] can use.

    Args:
        path: file named in the message.
        pixels: stored values of any shape.
        nodata: declared invalid value (NaN allowed), None when there is none.
        remedy: what to do about undeclared NaN pixels.
        valid: False where the file declares pixels invalid; broadcast to ``pixels``.
        is_whole: whether these are all pixels: a window may hold nothing but nodata.

    Raises:
        BadImageError: no pixel, undeclared NaN or infinite pixels, integers beyond 2^53, or
            nothing but nodata.
    """
    if pixels.size == 0:
        shape = " x ".join(str(side) for side in pixels.shape)
        raise BadImageError(f"{path}: must hold pixels, got size {shape}; export it again.")
    finite = np.isfinite(pixels) if pixels.dtype.kind == "f" else np.ones(1, dtype=bool)
    declared = finite if nodata is None else finite | np.isnan(pixels) | (pixels == nodata)
    if valid is not None:
        declared = declared | ~valid
    if not declared.all():
        count = int((~declared).sum())
        raise BadImageError(
            f"{path}: pixels must be finite, got {count} NaN or infinite ones; {remedy}."
        )
    if is_whole and nodata is not None and not (finite & (pixels != nodata)).any():
        raise BadImageError(f"{path}: must hold valid pixels, got only nodata; leave it out.")
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize == 8:
        extreme = max(abs(float(pixels.min())), abs(float(pixels.max())))
        if extreme > _EXACT_INTEGER:
            raise BadImageError(
                f"{path}: integers must lie within +-2^53, got {extreme:g}; convert to int32."
            )


def image_meta(
    *,
    files: Sequence[Path],
    sr_format: str,
    affine: npt.NDArray[np.float64],
    spatial_shape: Sequence[int],
    dtype: npt.DTypeLike,
    storable: Sequence[float] | None = None,
    declared: Sequence[float] | None = None,
    inverted: bool = False,
    nodata: float = float("nan"),
    fill: float | None = None,
    valid: npt.NDArray[Any] | None = None,
    slice_axis: int = -1,
    is_rgb: bool = False,
    unit_mm: float = float("nan"),
    unit: str = "",
    groups: Sequence[int] | None = None,
    natural: npt.NDArray[np.float64] | None = None,
    meaning: Meaning = AS_IT_IS,
    mosaic: int = 1,
) -> dict[str, Any]:
    """Build the meta dictionary of a sample: the same collatable keys for every format.

    Args:
        files: sources in slice order.
        sr_format: "dicom", "nifti" or "raster".
        affine: (4, 4), voxel centers to world.
        spatial_shape: (X, Y[, Z]).
        dtype: stored dtype.
        storable: lowest and highest value the file can hold; by dtype where None.
        declared: value range that the file declares; [0, 255] for uint8 where None, else NaN.
        inverted: whether low stored values are shown bright (MONOCHROME1).
        nodata: stored value of invalid pixels, NaN for none.
        fill: value that they get in the result, where another; ``nodata`` where None.
        valid: (C, X, Y[, Z]), 0 where something beside the values (alpha, a mask) declares them
            invalid; None where all are valid.
        slice_axis: axis along which slices are independent, -1 for 2D images.
        is_rgb: whether the first three channels are declared to be red, green and blue.
        unit_mm: millimeters of one unit of the affine; NaN where the file declares no lengths, or
            none that can be trusted.
        unit: of rasters, unit of the affine; "" where they have no geotransform.
        groups: for each channel a number that those share which are declared to be of one unit, -1
            where nothing is declared; None: all are.
        natural: (C, 2), smallest and largest stored value that each channel can have by its nature;
            None where nothing says so.
        meaning: what the values are; of phases ``declared`` is one turn.
        mosaic: images beside each other along both axes of a mosaic, 1 for a single image.

    Returns:
        Only strings, numbers and numpy arrays.
    """
    stored = np.dtype(dtype)
    if declared is None:
        declared = (0.0, 255.0) if stored == np.uint8 else (np.nan, np.nan)
    return {
        "affine": affine.copy(),
        "original_affine": affine.copy(),
        "spatial_shape": np.asarray(spatial_shape, dtype=np.int64),
        "original_channel_dim": 0,
        "space": SpaceKeys.RAS,
        "filename_or_obj": str(files[0]),
        "sr_format": sr_format,
        "sr_files": json.dumps([os.path.abspath(file) for file in files]),
        "sr_dtype": stored.name,
        "sr_storable": np.asarray(storable or storable_range(stored), dtype=np.float64),
        "sr_declared_range": np.asarray(declared, dtype=np.float64),
        "sr_inverted": int(inverted),
        "sr_nodata": float(nodata),
        "sr_fill": float(nodata if fill is None else fill),
        "sr_valid": np.empty(0, np.uint8) if valid is None else valid.astype(np.uint8),
        "sr_slice_axis": int(slice_axis),
        "sr_rgb": int(is_rgb),
        "sr_unit_mm": float(unit_mm),
        "sr_unit": unit,
        **({} if groups is None else {"sr_groups": np.asarray(groups, dtype=np.int64)}),
        **({} if natural is None else {"sr_natural": natural}),
        "sr_kind": meaning.kind,
        "sr_kind_reason": meaning.reason,
        "sr_code_bands": np.asarray(meaning.bands, dtype=np.int64),
        "sr_mosaic": int(mosaic),
    }
