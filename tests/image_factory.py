"""Writes small real images for tests: GeoTIFF, PNG, JPEG and NIfTI with the facts they name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import rasterio
from monai.data import MetaTensor
from monai.transforms import Flip, Orientation, Rotate90
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from monai_sr.formats.facts import Facts
from monai_sr.geometry.target_grid import scaled_affine

NORTH_UP = Affine(30.0, 0.0, 500_000.0, 0.0, -30.0, 4_600_000.0)
ROTATED = Affine(24.0, 11.0, 500_000.0, 9.0, -26.0, 4_600_000.0)
ROTATED_POLE = (
    'GEOGCRS["Rotated_pole",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",'
    'ELLIPSOID["WGS 84",6378137,298.257223563]]],'
    'DERIVINGCONVERSION["Pole rotation (netCDF CF convention)",'
    'METHOD["Pole rotation (netCDF CF convention)"],'
    'PARAMETER["Grid north pole latitude (netCDF CF convention)",39.25],'
    'PARAMETER["Grid north pole longitude (netCDF CF convention)",-162],'
    'PARAMETER["North pole grid longitude (netCDF CF convention)",0]],'
    'CS[ellipsoidal,2],AXIS["latitude",north],AXIS["longitude",east],'
    'ANGLEUNIT["degree",0.0174532925199433]]'
)


def pixels(
    shape: tuple[int, ...] = (1, 5, 7), dtype: Any = "uint8", seed: int = 0
) -> np.ndarray[Any, Any]:
    """Draw values over the whole range of the dtype; (C, H, W), not square."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, shape).astype(kind)
    limits = np.iinfo(kind)
    # float64 holds integers up to 2^53 only
    low, high = max(limits.min, -(2**53)), min(limits.max, 2**53)
    return rng.integers(low, high, shape, dtype=kind, endpoint=True)


def write_raster(
    path: Path,
    array: np.ndarray[Any, Any] | None = None,
    *,
    driver: str | None = None,
    crs: Any = None,
    transform: Affine | None = None,
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    colorinterp: Any = None,
    colormap: dict[int, tuple[int, ...]] | None = None,
    descriptions: tuple[str, ...] = (),
    **options: Any,
) -> Path:
    """Write (C, H, W) pixels through GDAL; the driver goes by the suffix where not given."""
    array = pixels() if array is None else array
    count, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver=driver, count=count, height=height, width=width,
            dtype=array.dtype.name, crs=crs, transform=transform, nodata=nodata, **options,
        ) as dst:  # fmt: skip
            if colorinterp is not None:
                dst.colorinterp = colorinterp
            if colormap is not None:
                dst.write_colormap(1, colormap)
            if tags:
                dst.update_tags(**tags)
            for band, text in enumerate(descriptions, 1):
                dst.set_band_description(band, text)
            dst.write(array)
    return path


def write_vrt(
    path: Path,
    bands: list[tuple[Path, str, float | None, Path | None]],
    shape: tuple[int, int],
    *,
    transform: Affine | None = None,
) -> Path:
    """Write a VRT: for each band a file of one band, its type, its nodata and a file as mask."""

    def source(file: Path) -> str:
        return (
            f"<SimpleSource><SourceFilename relativeToVRT='1'>{file.name}</SourceFilename>"
            "<SourceBand>1</SourceBand></SimpleSource>"
        )

    parts = []
    for number, (file, kind, nodata, mask) in enumerate(bands, 1):
        declared = "" if nodata is None else f"<NoDataValue>{nodata}</NoDataValue>"
        inner = "" if mask is None else f"<VRTRasterBand dataType='Byte'>{source(mask)}"
        hiding = f"<MaskBand>{inner}</VRTRasterBand></MaskBand>" if inner else ""
        parts.append(
            f"<VRTRasterBand dataType='{kind}' band='{number}'>{declared}{source(file)}{hiding}"
            "</VRTRasterBand>"
        )
    terms = "" if transform is None else ", ".join(map(str, transform.to_gdal()))
    place = f"<GeoTransform>{terms}</GeoTransform>" if terms else ""
    path.write_text(
        f"<VRTDataset rasterXSize='{shape[1]}' rasterYSize='{shape[0]}'>{place}"
        f"{''.join(parts)}</VRTDataset>"
    )
    return path


def write_nifti(
    path: Path,
    array: np.ndarray[Any, Any] | None = None,
    *,
    affine: np.ndarray[Any, Any] | None = None,
    sform_code: int = 1,
    qform_code: int = 1,
    slope: float = 1.0,
    inter: float = 0.0,
    version: int = 1,
    **fields: Any,
) -> Path:
    """Write raw values with the given slope and offset; fields go into the header as they are."""
    array = pixels((7, 5, 3), "int16") if array is None else array
    affine = np.diag([0.9, 0.8, 5.0, 1.0]) if affine is None else affine
    image_class = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    header = image_class.header_class()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm", "sec")
    header.set_qform(affine, qform_code)
    header.set_sform(affine, sform_code)
    image = image_class(array, None, header)
    for key, value in fields.items():
        image.header[key] = value
    image.header["scl_slope"], image.header["scl_inter"] = slope, inter
    image.to_filename(path)
    return path


def enlarged(stored: np.ndarray[Any, Any], meta: dict[str, Any], scale: int) -> tuple[Any, Any]:
    """Repeat pixels in plane and update the meta, as a nearest-neighbor upscaler would."""
    steps = [scale] * (stored.ndim - 1)
    if Facts(meta).slice_axis >= 0:
        steps[Facts(meta).slice_axis] = 1
    result = stored
    for axis, step in enumerate(steps, 1):
        result = np.repeat(result, step, axis=axis)
    updated = dict(meta)
    updated["affine"] = scaled_affine(meta["affine"], steps)
    updated["spatial_shape"] = np.array(result.shape[1:])
    updated["sr_scale"] = scale
    updated["sr_provenance"] = json.dumps(
        {"software": "monai-sr", "version": "0.1.0", "scale": scale}
    )
    return result, updated


TURNS = {
    "sagittal": Orientation("SAR", labels=None),
    "coronal": Orientation("ASR", labels=None),
    "left": Orientation("LPS", labels=None),
    "flip": Flip(spatial_axis=0),
    "quarter": Rotate90(spatial_axes=(0, 1)),
    "over": Rotate90(spatial_axes=(1, 2)),
}
"""Transforms of MONAI that turn a volume."""


def turned(stored: np.ndarray[Any, Any], meta: dict[str, Any], turn: str) -> tuple[Any, Any]:
    """Turn an image as MONAI does, which keeps its affine true."""
    image = TURNS[turn](MetaTensor(stored, meta=dict(meta)))
    return image.numpy(), dict(image.meta)


def same_places(
    old: np.ndarray[Any, Any], old_affine: Any, new: np.ndarray[Any, Any], new_affine: Any
) -> bool:
    """Tell whether an image enlarged by repetition has at each place what was there before."""
    index = np.indices(new.shape).reshape(new.ndim, -1)
    index = np.vstack([index, np.zeros((3 - new.ndim, index.shape[1])), np.ones(index.shape[1])])
    there = np.rint(np.linalg.solve(old_affine, np.asarray(new_affine) @ index)).astype(int)
    return bool((old[tuple(there[: old.ndim])] == new.ravel()).all())
