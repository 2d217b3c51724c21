"""What pydicom, nibabel and rasterio say about an input and its result, without our readers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gdcm
import nibabel as nib
import numpy as np
import pydicom
import rasterio
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless
from rasterio.enums import ColorInterp, MaskFlags

from monai_sr.formats.raster.bands import associated_alpha

_DECODERS = {RLELossless: "pydicom", JPEGBaseline8Bit: "pillow"}


@dataclass(frozen=True)
class Facts:
    """Values of any axes, and the spacing along those of them that lie in space."""

    values: Any
    spacing: dict[int, float]
    dtype: str


def mismatch(source: str, output: str, scale: int) -> str:
    """Compare a nearest-neighbor result with its input; "" where all agrees.

    Size, spacing, data type, every value, and with them the mean. Where the reference library
    cannot read the input there is nothing to compare with: "unread: ..." then.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = _facts(output)
        except Exception as error:
            return f"result cannot be read ({type(error).__name__})"
        try:
            given = _facts(source)
        except Exception as error:
            return f"unread: {type(error).__name__}: {error}"
        return _compare(given, result, scale)


def _compare(given: Facts, result: Facts, scale: int) -> str:
    sizes = list(zip(given.values.shape, result.values.shape, strict=True))
    grown = [axis for axis, (old, new) in enumerate(sizes) if new == old * scale]
    # Two axes of space grow; of a volume's three, one of the finest spacing never stays.
    known = {axis: mm for axis, mm in given.spacing.items() if np.isfinite(mm)}
    kept = set(known) - set(grown)
    if len(grown) != 2 or any(old != new for i, (old, new) in enumerate(sizes) if i not in grown):
        return f"size {result.values.shape} of {given.values.shape}"
    if any(known[k] < 0.99 * known.get(g, 0) for k in kept for g in grown):
        return f"axes {grown} grew, spacing is {given.spacing}"
    if result.dtype != given.dtype:
        return f"dtype {result.dtype}, must be {given.dtype}"
    for axis, spacing in known.items():
        wanted = spacing / scale if axis in grown else spacing
        if not np.isclose(result.spacing.get(axis, np.nan), wanted, rtol=1e-4):
            return f"spacing {result.spacing}, must be {wanted} on axis {axis}"
    return _differ(given.values, result.values, grown, given.dtype, scale)


def _differ(before: Any, after: Any, grown: list[int], dtype: str, scale: int) -> str:
    """Compare every value of nearest neighbor; equal values have equal means."""
    finite = np.isfinite(before)
    reach = float(before[finite].max()) - float(before[finite].min()) or 1.0
    # float32 lies between: integers of up to 16 bits come back exactly, others to 24 bits.
    tolerance = 2e-6 * reach if dtype.startswith(("float", "int32", "uint32")) else 0.0
    for first, second in np.ndindex(scale, scale):
        every = [slice(None)] * before.ndim
        every[grown[0]], every[grown[1]] = slice(first, None, scale), slice(second, None, scale)
        if tolerance == 0:
            is_equal = np.array_equal(before, after[tuple(every)])
        else:
            is_equal = np.allclose(before, after[tuple(every)], 0, tolerance, equal_nan=True)
        if not is_equal:
            return f"values differ, mean {after.mean():g}, must be {before.mean():g}"
    return ""


def _facts(path: str) -> Facts:
    head = Path(path).read_bytes()[:132]
    if path.lower().endswith((".nii", ".nii.gz")):
        return _nifti(path)
    if head[128:] == b"DICM" or path.endswith(".dcm") or head[:1] in (b"\x08", b"\x02"):
        return _dicom(path)
    return _raster(path)


def _dicom(path: str) -> Facts:
    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        # As PS3.10 asks of readers: the default where nothing is declared.
        implicit = dataset.original_encoding[0]
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" + ("" if implicit else ".1")
        pixels = dataset.pixel_array
    elif dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8:
        pixels = _by_gdcm(path, dataset)  # pydicom has no decoder for it
    else:
        # Decoders make different pictures of damaged pixels (or panic); of whole files the same.
        plugin = _DECODERS.get(dataset.file_meta.TransferSyntaxUID, "")
        pixels = pixel_array(dataset, raw=False, decoding_plugin=plugin)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        pixels = pixels >> 8 if pixels.dtype == np.uint16 and pixels.max() > 255 else pixels
        pixels = pixels.astype(np.uint8)
    # (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3)
    values = pixels.reshape(-1, dataset.Rows, dataset.Columns, _colors(dataset))
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    for shared in dataset.get("SharedFunctionalGroupsSequence") or ():
        if "PixelMeasuresSequence" in shared:
            spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    pair = spacing if spacing is not None and np.size(spacing) == 2 else ()
    along = {axis: float(mm) for axis, mm in zip((1, 2), pair, strict=False)}
    return Facts(values, along, values.dtype.name)


def _by_gdcm(path: str, dataset: pydicom.Dataset) -> Any:
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise OSError("GDCM cannot read it")
    text = reader.GetImage().GetBuffer()
    values = np.frombuffer(text.encode("utf-8", errors="surrogateescape"), np.uint16)
    return values.reshape(dataset.Rows, dataset.Columns)


def _colors(dataset: pydicom.Dataset) -> int:
    is_palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    return 3 if is_palette or dataset.SamplesPerPixel == 3 else 1


def _nifti(path: str) -> Facts:
    image: Any = nib.load(path)
    values = np.asanyarray(image.dataobj.get_unscaled())
    dtype = str(values.dtype.fields or values.dtype.name)
    if values.dtype.names:
        values = np.stack([values[n] for n in values.dtype.names], axis=-1)
    sides = min(values.ndim, 3 if values.shape[2:3] > (1,) else 2)
    zooms = image.header.get_zooms()[:sides]
    return Facts(values, {axis: float(mm) for axis, mm in enumerate(zooms)}, dtype)


def _colored(indices: Any, colors: dict[int, tuple[int, ...]], nodata: float | None) -> Any:
    """Give each pixel its color; as many channels as the whole table needs."""
    table = np.array([colors[i] for i in range(len(colors))], dtype=np.uint8)
    if nodata is not None:
        table[int(nodata), 3] = 0
    looked = np.moveaxis(table[indices[0]], -1, 0)
    if len(indices) > 1:
        return np.concatenate([looked[:3], indices[1:]])
    if (table[:, 3] < 255).any():
        return np.where(looked[3] == 0, 0, looked)
    return looked[:1] if np.ptp(table[:, :3].astype(int), axis=1).max() == 0 else looked[:3]


def _raster(path: str) -> Facts:
    with rasterio.open(path) as dataset:
        bands = [dataset.read(band) for band in dataset.indexes]
        values, step = np.stack(bands), dataset.transform
        if associated_alpha(dataset) >= 0 and dataset.nodata is None:
            # Colors that were multiplied by alpha are no larger than it.
            values = np.minimum(values, values[associated_alpha(dataset)])
        colors = dataset.colorinterp
        if ColorInterp.alpha in colors:  # GDAL makes a mask of it where it is the last band
            alpha = values[colors.index(ColorInterp.alpha)]
            values = np.where((alpha == 0) & alpha.any(), 0, values)
        if colors[0] == ColorInterp.palette:
            values = _colored(values, dataset.colormap(1), dataset.nodata)
        # What alpha or a mask hides is no measurement, and may be anything.
        hidden = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
        values = np.where(dataset.dataset_mask() == 0, 0, values) if hidden else values
    size = np.hypot(step.b, step.e), np.hypot(step.a, step.d)
    # Terms that cannot be inverted, and those that GDAL leaves unset, place nothing.
    is_placed = np.isfinite(step[:6]).all() and abs(step.determinant) > 1e-300
    is_placed = is_placed and not step.is_identity
    spacing = (
        {} if not is_placed else {axis: float(m) for axis, m in zip((1, 2), size, strict=True)}
    )
    return Facts(values, spacing, values.dtype.name)
