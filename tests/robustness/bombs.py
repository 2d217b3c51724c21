"""Small files that declare, or unpack to, far more than a machine holds."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests import dicom_factory
from tests.robustness.runner import Case

_SIDE = 65535
_MIB = 2**20
_CHUNK = 16 * _MIB


def bombs(folder: Path, quick: bool = False) -> Iterator[Case]:
    """Write one bomb after another; each is removed when the next is asked for.

    Args:
        folder: where they lie.
        quick: without those that take seconds to make or to refuse.
    """
    for name, make in list(globals().items()):
        if not name.startswith("make_") or (quick and make in _SLOW):
            continue
        for name, content in make():
            path = folder / name
            path.write_bytes(content)
            yield Case("bombs", path, is_mutant=True)
            path.unlink()


Made = Iterator[tuple[str, bytes]]


def make_deflated_dicom() -> Made:
    """8 GiB of zeros, as pixels that Rows and Columns do not declare; and as declared ones."""
    zeros = _deflated_zeros(8 * 2**30)
    yield "deflate_8gib.dcm", _deflated(zeros, 6, 9)
    yield "deflate_8gib_declared.dcm", _deflated(zeros, _SIDE, _SIDE)
    yield "deflate_short.dcm", _deflated(_deflated_zeros(_CHUNK), _SIDE, _SIDE)


def make_rle() -> Made:
    """A segment of 512 MiB for an image of 54 pixels; frames that are not there."""
    run = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * (4 * _MIB)
    yield "rle_512mib.dcm", _encapsulated(RLELossless, [run], 6, 9)
    tiny = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 4
    yield "rle_square.dcm", _encapsulated(RLELossless, [tiny], _SIDE, _SIDE)
    yield "rle_frames.dcm", _encapsulated(RLELossless, [tiny], 512, 512, 2**31 - 1)


def make_jpeg2000() -> Made:
    """A codestream of the largest size in a few bytes, for a small and for a large image."""
    for name, size in (("small", (6, 9)), ("square", (_SIDE, _SIDE))):
        yield f"j2k_{name}.dcm", _encapsulated(JPEG2000Lossless, [_jpeg2000(_SIDE)], *size)
    yield "j2k_20000.dcm", _encapsulated(JPEG2000Lossless, [_jpeg2000(20000)], 20000, 20000)
    yield "j2k.j2k", _jpeg2000(_SIDE)


def make_jpeg() -> Made:
    """Baseline, lossless and JPEG-LS headers of the largest size over little data."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(buffer, "JPEG")
    baseline = _patched(buffer.getvalue(), b"\xff\xc0")
    yield "jpeg_small.dcm", _encapsulated(JPEGBaseline8Bit, [baseline], 64, 64)
    yield "jpeg_square.dcm", _encapsulated(JPEGBaseline8Bit, [baseline], _SIDE, _SIDE)
    yield "jpeg_square.jpg", baseline
    lossless = baseline.replace(b"\xff\xc0", b"\xff\xc3")
    yield "lossless_small.dcm", _encapsulated(JPEGLosslessSV1, [lossless], 64, 64)
    yield "lossless_square.dcm", _encapsulated(JPEGLosslessSV1, [lossless], _SIDE, _SIDE)
    import jpeg_ls

    encoded = bytes(jpeg_ls.encode(np.zeros((64, 64), np.uint8)))
    patched = _patched(encoded, b"\xff\xf7")
    yield "jpegls_small.dcm", _encapsulated(JPEGLSLossless, [patched], 64, 64)
    yield "jpegls_square.dcm", _encapsulated(JPEGLSLossless, [patched], _SIDE, _SIDE)


def make_native_dicom() -> Made:
    """Sizes without data, and one element that claims to be 4 GB long."""
    yield "native_square.dcm", _written(dicom_factory.dataset(bits=8), Rows=_SIDE, Columns=_SIDE)
    most = {"Rows": _SIDE, "Columns": _SIDE, "NumberOfFrames": 2**31 - 1}
    yield "native_frames.dcm", _written(dicom_factory.dataset(bits=8), **most)
    whole = _written(dicom_factory.dataset())
    at = whole.index(b"\xe0\x7f\x10\x00") + 8
    yield "length_4gb.dcm", whole[:at] + struct.pack("<L", 0xFFFFFFFE) + whole[at + 4 :]
    at = whole.index(b"PN") + 2
    yield "name_64kb.dcm", whole[:at] + b"\xff\xff" + whole[at + 2 :]
    yield "elements_many.dcm", whole[:132] + _many_elements(whole[132:])


def make_nifti() -> Made:
    """Zeros as declared (2000 to the third), more than declared, and behind a far offset."""
    packed = _gzip_zeros(8 * 10**9)
    yield "gzip_8gb.nii.gz", _nifti((2000, 2000, 2000), packed)
    yield "gzip_undeclared.nii.gz", _nifti((8, 8, 8), packed)
    yield "gzip_offset.nii.gz", _nifti((8, 8, 8), packed, offset=7.9e9)
    yield "gzip_extension.nii.gz", _nifti((8, 8, 8), packed, offset=2e9, extension=1_999_000_000)
    yield "gzip_short.nii.gz", _nifti((2000, 2000, 2000), _gzip_zeros(_CHUNK))
    yield "gzip_2.nii.gz", _nifti2((2**31, 2**31, 2**31), _gzip_zeros(_CHUNK))
    yield "plain_2.nii", gzip.decompress(_nifti2((2**62, 2**62, 1), _gzip_zeros(0)))


def make_raster() -> Made:
    """PNG and TIFF that declare the largest sizes over nothing."""
    yield "square.png", _png(_SIDE, zlib.compress(b"\0" * 1000))
    yield "sparse.tif", _sparse_tiff(2**18)


def make_many() -> Made:
    """Twenty thousand frames, and a picture of 400 megapixels: right in all, but large."""
    tiny = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 4
    yield "rle_many.dcm", _encapsulated(RLELossless, [tiny] * 20000, 6, 9, 20000)
    yield "filled_20000.png", _png(20000, zlib.compress(bytes(20001 * 20000), 9))


_SLOW = (make_deflated_dicom, make_many)


def _deflated_zeros(count: int) -> bytes:
    """Return raw deflate: one block, flushed so that it stands for itself, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(_CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (count // _CHUNK) + packer.compress(b"") + packer.flush()


def _gzip_zeros(count: int) -> bytes:
    """Return members of gzip one after another, which read as one."""
    return gzip.compress(bytes(_CHUNK)) * (count // _CHUNK)


def _deflated(zeros: bytes, rows: int, columns: int) -> bytes:
    made = dicom_factory.dataset(np.zeros((6, 9), np.uint8), bits=8)
    made.Rows, made.Columns = rows, columns
    made.PixelData = b""
    whole = _written(made)
    head, pixels = whole[:-12], struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFE)
    meta_end = 144 + struct.unpack("<L", head[140:144])[0]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    first = packer.compress(head[meta_end:] + pixels) + packer.flush(zlib.Z_FULL_FLUSH)
    deflated = DeflatedExplicitVRLittleEndian.encode()
    meta = head[:meta_end].replace(b"1.2.840.10008.1.2.1\0", deflated)
    grown = len(meta) - meta_end
    meta = meta[:140] + struct.pack("<L", meta_end - 144 + grown) + meta[144:]
    return _fix_uid_length(meta) + first + zeros


def _fix_uid_length(meta: bytes) -> bytes:
    at = meta.index(DeflatedExplicitVRLittleEndian.encode())
    length = len(DeflatedExplicitVRLittleEndian)
    return meta[: at - 2] + struct.pack("<H", length) + meta[at:]


def _encapsulated(syntax: UID, frames: list[bytes], rows: int, columns: int, n: int = 1) -> bytes:
    made = dicom_factory.dataset(np.zeros((6, 9), np.uint8), bits=8)
    made.Rows, made.Columns, made.NumberOfFrames = rows, columns, n
    made.PixelData = encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    return _written(made)


def _written(made: Any, **tags: Any) -> bytes:
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _many_elements(dataset: bytes) -> bytes:
    """Put 200 000 private elements before the pixels."""
    many = b"".join(
        struct.pack("<HH2sH", 0x0009 + 2 * (i >> 15), i & 0x7FFF, b"SH", 2) + b"x "
        for i in range(200_000)
    )
    at = dataset.index(b"\x18\x00") if b"\x18\x00" in dataset else dataset.index(b"\x28\x00")
    return dataset[:at] + many + dataset[at:]


def _jpeg2000(side: int) -> bytes:
    """Return a codestream whose single tile has no packet: every pixel is mid-gray."""
    size = struct.pack(">H8LH3B", 0, side, side, 0, 0, side, side, 0, 0, 1, 7, 1, 1)
    style = struct.pack(">BBHB5B", 0, 0, 1, 0, 5, 4, 4, 0, 1)
    steps = bytes([0x40]) + bytes([8 << 3] * 16)
    main = b"\xff\x4f" + b"".join(
        mark + struct.pack(">H", len(body) + 2) + body
        for mark, body in ((b"\xff\x51", size), (b"\xff\x52", style), (b"\xff\x5c", steps))
    )
    tile = b"\xff\x90" + struct.pack(">HHLBB", 10, 0, 0, 0, 1) + b"\xff\x93"
    return main + tile + b"\x00" * 64 + b"\xff\xd9"


def _patched(jpeg: bytes, marker: bytes) -> bytes:
    """Give the frame header the largest lines and samples."""
    at = jpeg.index(marker) + 5
    return jpeg[:at] + struct.pack(">HH", _SIDE, _SIDE) + jpeg[at + 4 :]


def _nifti(
    shape: tuple[int, ...], packed: bytes, offset: float = 352.0, extension: int = 0
) -> bytes:
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header["dim"][: len(shape) + 1] = [len(shape), *shape]
    header["pixdim"][1:4] = 1
    header["magic"], header["vox_offset"] = b"n+1", offset
    begin = bytes([1, 0, 0, 0]) + struct.pack("<ii", extension, 6) if extension else bytes(4)
    # Members of gzip follow one another: the header is one of its own.
    return gzip.compress(header.binaryblock + begin) + packed


def _nifti2(shape: tuple[int, ...], packed: bytes) -> bytes:
    import nibabel as nib

    header = nib.Nifti2Header()
    header.set_data_dtype(np.uint8)
    header["dim"][: len(shape) + 1] = [len(shape), *shape]
    header["vox_offset"] = 544
    return gzip.compress(header.binaryblock + bytes(4)) + packed


def _png(side: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">L", zlib.crc32(kind + body))
        return struct.pack(">L", len(body)) + kind + body + check

    head = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _sparse_tiff(side: int) -> bytes:
    """Return a tiled TIFF without any tile, written by GDAL as a sparse file."""
    import rasterio
    from rasterio.io import MemoryFile

    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=side, height=side, count=1, dtype="uint8", tiled=True,
            blockxsize=2**14, blockysize=2**14, SPARSE_OK=True, compress="deflate",
            transform=rasterio.transform.from_origin(10, 10, 1, 1),
        ):  # fmt: skip
            pass
        return bytes(memory.read())
