"""Writes a map of uncertainty beside a result: the half width of its 90 % interval, pixel by pixel.

Units are those of the result's values after its rescaling (slope, scale): HU, reflectance, ... The
result itself gives geometry and tags: a DICOM parametric map, a NIfTI or a TIFF of float32. Pixels
that are no measurements have no uncertainty: NaN, in DICOM the declared padding value.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import rasterio

from monai_sr.core.atomic import atomic_file
from monai_sr.formats.dicom.map import write_parametric_map
from monai_sr.formats.nifti.header import raw_header
from monai_sr.formats.nifti.reader import stored_layout
from monai_sr.formats.nifti.writer import write_image
from monai_sr.formats.raster.check import check_pixels_of, writing
from monai_sr.formats.raster.open import open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from monai_sr.core.types import PathLike
from monai_sr.core.text import gdal_name

MEANING = "Half width of the 90 % interval"
_MARK = "_uncertainty"
_SUFFIXES = (".nii.gz", ".nii", ".dcm", ".tiff", ".tif", ".png")


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
        meta: its metadata, with ``sr_uncertainty`` (C, X, Y[, Z]) in stored units.

    Returns:
        The written file.

    Raises:
        OutputError: it cannot be written.
        MissingDependencyError: a DICOM map needs highdicom.
    """
    target = uncertainty_path(result)
    half_width = np.asarray(meta["sr_uncertainty"], dtype=np.float32)
    kind = str(meta["sr_format"])
    if kind == "dicom":
        write_parametric_map(Path(result), target, half_width, meta)
    elif kind == "nifti":
        _write_nifti(Path(result), target, half_width)
    else:
        _write_raster(Path(result), target, half_width)
    return target


def _write_nifti(result: Path, target: Path, half_width: npt.NDArray[np.float32]) -> None:
    image: Any = nib.load(result)
    slope = float(raw_header(result, image)["scl_slope"])
    if np.isfinite(slope) and slope != 0:
        half_width = half_width * np.float32(abs(slope))
    if image.header.get_data_dtype().names:  # RGB: one volume each
        values = np.moveaxis(half_width.reshape(-1, *(*half_width.shape[1:], 1)[:3]), 0, -1)
    else:
        values = stored_layout(half_width, image.shape, np.dtype(np.float32))
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    header.set_data_shape(values.shape)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["descrip"] = MEANING.encode()
    with atomic_file(target) as temporary:
        write_image(type(image)(values, None, header), temporary)


def _write_raster(result: Path, target: Path, half_width: npt.NDArray[np.float32]) -> None:
    bands = half_width.transpose(0, 2, 1)
    with writing(target), open_raster(result) as src:
        gcps, gcps_crs = src.gcps
        place: dict[str, Any] = (
            {"gcps": gcps, "crs": gcps_crs}
            if gcps
            else {"transform": src.transform, "crs": src.crs}
        )
        scales = np.ones(len(bands), dtype=np.float32)
        if src.count == len(bands):
            scales = np.abs(np.asarray(src.scales, dtype=np.float32))
        values = bands * scales[:, None, None]
        with atomic_file(target) as temporary, writing(target):
            with rasterio.open(
                gdal_name(temporary), "w", driver="GTiff", count=len(bands), dtype="float32",
                height=bands.shape[1], width=bands.shape[2], nodata=float("nan"),
                compress="deflate", BIGTIFF="IF_SAFER", **place,
            ) as dst:  # fmt: skip
                dst.update_tags(TIFFTAG_IMAGEDESCRIPTION=MEANING)
                dst.write(values)
            check_pixels_of(temporary, target, values)
