"""Damaged copies of real files: cut off, with flipped bits, and with tags that cannot be true."""

from __future__ import annotations

import gzip
import itertools
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.robustness.real_files import real_files
from tests.robustness.runner import Case

_MOST_BYTES = 800_000  # of a file whose copies are damaged
_OPEN = 0xFFFFFFFF  # a length that a delimiter ends
_HEADER = 600  # bytes within which both headers of NIfTI, and what DICOM begins with, lie

Make = tuple[str, str, Callable[[], bytes]]  # group, name, content


def mutants(folder: Path, step: int = 1) -> Iterator[Case]:
    """Write one damaged file after another; each is removed when the next is asked for.

    Args:
        folder: where they lie.
        step: only every so many of each group.
    """
    for makes in (_cut(), _flipped_header(), _flipped(), _dicom_tags(), _nifti_fields()):
        for group, name, make in itertools.islice(makes, 0, None, step):
            path = folder / name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the damage
                path.write_bytes(make())
            yield Case(group, path, is_mutant=True)
            path.unlink()


def _bases() -> Iterator[tuple[str, bytes, np.random.Generator]]:
    seen = set()
    for number, case in enumerate(real_files()):
        is_text = case.path.suffix in {".txt", ".json", ".md", ".rst", ".PAR", ".m", ".HEAD"}
        if is_text or "TINY_ALPHA" in case.path.parts or "palettes" in case.path.parts:
            continue
        content = case.path.read_bytes()
        key = zlib.crc32(content)
        if len(content) <= _MOST_BYTES and key not in seen:
            seen.add(key)
            yield f"{number:03d}_{case.path.name}", content, np.random.default_rng(key)


def _cut() -> Iterator[Make]:
    for name, content, rng in _bases():
        keep = int(len(content) * rng.uniform(0.02, 0.999))
        yield "cut off", f"cut_{name}", lambda c=content, k=keep: c[:k]


def _flipped_header() -> Iterator[Make]:
    for name, content, rng in _bases():
        yield "bits of header", f"head_{name}", lambda c=content, r=rng: _flip(c, r, 6, _HEADER)


def _flipped() -> Iterator[Make]:
    for name, content, rng in _bases():
        yield "bits anywhere", f"bits_{name}", lambda c=content, r=rng: _flip(c, r, 20, len(c))


def _flip(content: bytes, rng: np.random.Generator, count: int, within: int) -> bytes:
    """Flip bits; of a gzip file those of its content, so that its checksum does not tell."""
    is_gzip = content[:2] == b"\x1f\x8b"
    raw = bytearray(gzip.decompress(content) if is_gzip and rng.random() < 0.8 else content)
    for position in rng.integers(0, min(within, len(raw)), count):
        raw[position] ^= 1 << int(rng.integers(8))
    return gzip.compress(bytes(raw), 1) if is_gzip and raw[:2] != b"\x1f\x8b" else bytes(raw)


_NATIVE = (
    "CT_small.dcm",
    "MR_small.dcm",
    "SC_rgb_small_odd.dcm",
    "examples_palette.dcm",
    "rtdose.dcm",
)
_TAGS: dict[str, dict[str, Any]] = {
    "rows_65535": {"Rows": 65535},
    "square_65535": {"Rows": 65535, "Columns": 65535},
    "columns_0": {"Columns": 0},
    "rows_absent": {"Rows": None},
    "frames_most": {"NumberOfFrames": 2**31 - 1},
    "frames_negative": {"NumberOfFrames": -3},
    "frames_1000": {"NumberOfFrames": 1000},
    "square_and_frames": {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2**31 - 1},
    "allocated_7": {"BitsAllocated": 7},
    "allocated_0": {"BitsAllocated": 0},
    "allocated_64": {"BitsAllocated": 64},
    "allocated_65535": {"BitsAllocated": 65535},
    "stored_0": {"BitsStored": 0},
    "stored_above_allocated": {"BitsStored": 40, "HighBit": 39},
    "high_bit_0": {"HighBit": 0},
    "sign_5": {"PixelRepresentation": 5},
    "sign_absent": {"PixelRepresentation": None},
    "samples_255": {"SamplesPerPixel": 255},
    "samples_3": {"SamplesPerPixel": 3},
    "planar_9": {"PlanarConfiguration": 9, "SamplesPerPixel": 3},
    "photometric_strange": {"PhotometricInterpretation": "HSV"},
    "photometric_empty": {"PhotometricInterpretation": ""},
    "photometric_palette": {"PhotometricInterpretation": "PALETTE COLOR"},
    "photometric_ybr": {"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3},
    "spacing_0": {"PixelSpacing": [0, 0]},
    "spacing_negative": {"PixelSpacing": [-1, 0.5]},
    "spacing_nan": {"PixelSpacing": ["nan", "nan"]},
    "spacing_tiny": {"PixelSpacing": ["1e-300", "1e-300"]},
    "spacing_three": {"PixelSpacing": [1, 1, 1]},
    "orientation_zero": {"ImageOrientationPatient": [0] * 6},
    "orientation_skew": {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    "orientation_short": {"ImageOrientationPatient": [1, 0, 0]},
    "position_infinite": {"ImagePositionPatient": ["inf", 0, 0]},
    "position_huge": {"ImagePositionPatient": ["1e30", "-1e30", 0]},
    "thickness_nan": {"SliceThickness": "nan"},
    "slope_nan": {"RescaleSlope": "nan", "RescaleIntercept": "inf"},
    "padding_all": {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 65535},
    "instance_text": {"InstanceNumber": "99999999999"},
    "syntax_jpeg": {"TransferSyntaxUID": JPEGBaseline8Bit},
    "syntax_jpeg2000": {"TransferSyntaxUID": JPEG2000Lossless},
    "syntax_jpegls": {"TransferSyntaxUID": JPEGLSLossless},
    "syntax_rle": {"TransferSyntaxUID": RLELossless},
    "syntax_video": {"TransferSyntaxUID": UID("1.2.840.10008.1.2.4.102")},
    "syntax_unknown": {"TransferSyntaxUID": UID("1.2.3.4")},
    "pixels_empty": {"PixelData": b""},
    "pixels_odd": {"PixelData": b"abc"},
    "charset_unknown": {"SpecificCharacterSet": "ISO_IR 999"},
    "palette_short": {"RedPaletteColorLookupTableData": b"\0\0"},
    "groups_empty": {"PerFrameFunctionalGroupsSequence": [], "SharedFunctionalGroupsSequence": []},
    "nested": {"ReferencedImageSequence": 5000},
}  # fmt: skip


def _dicom_tags() -> Iterator[Make]:
    for (change, tags), name in itertools.product(_TAGS.items(), _NATIVE):
        yield "DICOM tags", f"{change}_{name}", lambda t=tags, n=name: _with_tags(n, t)


def _with_tags(name: str, tags: dict[str, Any]) -> bytes:
    dataset = pydicom.dcmread(_real(name))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in tags.items():
        if keyword == "TransferSyntaxUID":
            dataset.file_meta.TransferSyntaxUID = value
        elif keyword == "ReferencedImageSequence":
            return _nested(dataset, value)
        elif value is None:
            dataset.pop(keyword, None)
        else:
            # Text as it stands: "nan" is no decimal string that pydicom would write.
            element = dataset.setdefault(keyword, pydicom.DataElement(keyword, _vr(keyword), None))
            if isinstance(value, (str, list)) and element.VR in ("DS", "IS"):
                parts = value if isinstance(value, list) else [value]
                element.VR, element.value = "SH", [str(part) for part in parts]
            else:
                element.value = value
    return _bytes(dataset)


def _vr(keyword: str) -> str:
    return pydicom.datadict.dictionary_VR(pydicom.datadict.tag_for_keyword(keyword)).split(" ")[0]


def _nested(dataset: Dataset, depth: int) -> bytes:
    """Put a sequence within an item within a sequence ... before the dataset."""
    begin = struct.pack("<HH2sHL HHL", 8, 0x1140, b"SQ", 0, _OPEN, 0xFFFE, 0xE000, _OPEN)
    end = struct.pack("<HHL HHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    whole, tags = _bytes(dataset), len(_bytes(dataset, only_meta=True))
    return whole[:tags] + begin * depth + end * depth + whole[tags:]


def _real(name: str) -> str:
    return str(next(case.path for case in real_files() if case.path.name == name))


_FIELDS: dict[str, dict[str, Any]] = {
    "dims_32767": {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
    "dims_2000": {"dim": [3, 2000, 2000, 2000, 1, 1, 1, 1]},
    "dims_flat": {"dim": [2, 32767, 32767, 1, 1, 1, 1, 1]},
    "dims_negative": {"dim": [3, -4, 10, 10, 1, 1, 1, 1]},
    "dims_zero": {"dim": [3, 0, 10, 10, 1, 1, 1, 1]},
    "dims_7": {"dim": [7, 4, 4, 2, 2, 2, 2, 2]},
    "dims_count_9": {"dim": [9, 4, 4, 2, 2, 2, 2, 2]},
    "dims_count_0": {"dim": [0, 4, 4, 2, 1, 1, 1, 1]},
    "dims_count_1": {"dim": [1, 64, 1, 1, 1, 1, 1, 1]},
    "dims_time": {"dim": [4, 4, 4, 4, 32767, 1, 1, 1]},
    "offset_0": {"vox_offset": 0.0},
    "offset_odd": {"vox_offset": 353.0},
    "offset_far": {"vox_offset": 1e15},
    "offset_negative": {"vox_offset": -400.0},
    "offset_nan": {"vox_offset": np.nan},
    "offset_half": {"vox_offset": 352.5},
    "slope_nan": {"scl_slope": np.nan, "scl_inter": np.nan},
    "slope_0": {"scl_slope": 0.0, "scl_inter": 5.0},
    "slope_infinite": {"scl_slope": np.inf},
    "slope_huge": {"scl_slope": 3e38, "scl_inter": -3e38},
    "bits_0": {"bitpix": 0},
    "bits_64": {"bitpix": 64},
    "bits_negative": {"bitpix": -16},
    "type_0": {"datatype": 0},
    "type_1": {"datatype": 1, "bitpix": 1},
    "type_float": {"datatype": 16, "bitpix": 32},
    "type_double": {"datatype": 64, "bitpix": 64},
    "type_complex": {"datatype": 32, "bitpix": 64},
    "type_quadruple": {"datatype": 1536, "bitpix": 128},
    "type_rgb": {"datatype": 128, "bitpix": 24},
    "type_unknown": {"datatype": 9999},
    "pixdim_0": {"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]},
    "pixdim_nan": {"pixdim": [1, np.nan, np.nan, np.nan, 1, 1, 1, 1]},
    "pixdim_negative": {"pixdim": [1, -1, -1, -1, 1, 1, 1, 1]},
    "pixdim_infinite": {"pixdim": [1, np.inf, 1, 1, 1, 1, 1, 1]},
    "qfac_7": {"pixdim": [7, 1, 1, 1, 1, 1, 1, 1]},
    "sform_nan": {"sform_code": 1, "srow_x": [np.nan] * 4},
    "sform_zero": {"sform_code": 1, "srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4},
    "qform_nan": {"qform_code": 1, "sform_code": 0, "quatern_b": np.nan},
    "qform_long": {"qform_code": 1, "sform_code": 0, "quatern_b": 5.0, "quatern_c": -9.0},
    "codes_strange": {"qform_code": 999, "sform_code": -7},
    "units_strange": {"xyzt_units": 255},
    "magic": {"magic": b"nope"},
    "magic_pair": {"magic": b"ni1"},
    "header_size": {"sizeof_hdr": 12345},
    "slices_strange": {"slice_start": -5, "slice_end": 30000, "slice_code": 77, "dim_info": 255},
    "description": {"descrip": b"\xff" * 80},
}
_VOLUMES = ("anatomical.nii", "brain_mr.nii.gz")


def _nifti_fields() -> Iterator[Make]:
    for (change, fields), name in itertools.product(_FIELDS.items(), _VOLUMES):
        yield "NIfTI fields", f"{change}_{name}", lambda f=fields, n=name: _with_fields(n, f)


def _with_fields(name: str, fields: dict[str, Any]) -> bytes:
    from nibabel.nifti1 import header_dtype

    content = Path(_real(name)).read_bytes()
    raw = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
    order = "<" if struct.unpack("<i", raw[:4])[0] == 348 else ">"
    header = np.frombuffer(bytes(raw[:348]), header_dtype.newbyteorder(order)).copy()
    for field, value in fields.items():
        header[field] = value
    raw[:348] = header.tobytes()
    return gzip.compress(bytes(raw), 1) if name.endswith(".gz") else bytes(raw)


def _bytes(dataset: Dataset, only_meta: bool = False) -> bytes:
    """Write a dataset in Explicit VR Little Endian, whatever its meta header and tags declare."""
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    buffer.write(b"\0" * 128 + b"DICM")
    with pydicom.config.disable_value_validation():
        pydicom.filewriter.write_file_meta_info(buffer, dataset.file_meta)
        if not only_meta:
            pydicom.filewriter.write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())
