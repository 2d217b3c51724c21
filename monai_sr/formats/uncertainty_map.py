"""Writes a map of uncertainty beside a result: the half width of its 90 % interval, pixel by pixel.

Units are those of the result's values after its rescaling (slope, scale): HU, reflectance, ... The
result itself gives geometry and tags: a DICOM parametric map, a NIfTI or a TIFF of float32. Pixels
that are no measurements have no uncertainty: NaN, in DICOM the declared padding value.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_sr.core import PathLike
from monai_sr.formats.facts import Facts
from monai_sr.formats.registry import FORMATS, format_of_meta

_MARK = "_uncertainty"
_SUFFIXES = sorted({end for form in FORMATS for end in form.side_limits if end}, key=len)[::-1]


def stem_and_suffix(result: Path) -> tuple[str, str]:
    """Divide the name of a result; only the extensions of our formats count as such."""
    suffix = next((s for s in _SUFFIXES if result.name.lower().endswith(s)), "")
    return result.name[: len(result.name) - len(suffix)], suffix


def uncertainty_path(result: PathLike) -> Path:
    """Name the map that belongs to a result.

    Args:
        result: file, or the folder of a DICOM series, whose map is one multi-frame file.

    Returns:
        ``<name>_uncertainty`` with the result's extension; PNG holds no floats: ``.tif``.

    Example:
        >>> uncertainty_path("out/a_x4.png").name
        'a_x4_uncertainty.tif'
    """
    path = Path(result)
    stem, suffix = stem_and_suffix(path)
    return path.with_name(f"{stem}{_MARK}{ {'.png': '.tif', '': '.dcm'}.get(suffix, suffix) }")


def write_uncertainty(result: PathLike, meta: Mapping[str, Any]) -> Path:
    """Write the map of a result that is already written.

    Args:
        result: the written file or folder.
        meta: its metadata, with fact ``uncertainty`` (C, X, Y[, Z]) in stored units.

    Returns:
        The written file.

    Raises:
        OutputError: it cannot be written.
        MissingDependencyError: a DICOM map needs highdicom.
    """
    target = uncertainty_path(result)
    half_width = np.asarray(Facts(meta).uncertainty, dtype=np.float32)
    format_of_meta(meta).write_map(Path(result), target, half_width, meta)
    return target
