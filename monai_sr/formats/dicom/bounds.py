"""Compares what compressed DICOM pixels unpack to with what the header declares, before decoding.

DICOM PS3.5 A.4 and G (encapsulated and RLE frames), A.5 (deflated datasets); frame headers of
JPEG (T.81 B.2.2), JPEG-LS (T.87 C.2.2) and JPEG 2000 (T.800 A.5.1). Decoders trust their own
stream: a few bytes may claim 65535 x 65535 pixels within an image of 10 x 10.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import rasterio
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from monai_sr.core import BadImageError, PathLike, available_bytes, ignored_warnings

_STRICT_JPEG = {"GDAL_ERROR_ON_LIBJPEG_WARNING": "YES"}
_RLE_HEADER = 64
_RLE_SLACK = 2**10
_BLOCK = 2**20
_DEFLATE_RATIO = 1032  # the most that deflate (RFC 1951) packs
# Pixel data are the largest element, of at most 2^32 - 2 bytes; other elements are small.
_LONGEST_DATASET = 2**32 + 2**28
_SIZE_OF_IMAGE = b"\xff\x4f\xff\x51"  # SOC and SIZ
_CODING_STYLE, _START_OF_TILE = 0x52, 0x90  # COD, SOT
_WAVELET = 13  # bytes from the marker COD to its kind of wavelet
# SOF0 ... SOF15 but for the marks of tables (C4, C8, CC), and SOF55 of JPEG-LS.
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


def check_frames(dataset: FileDataset) -> None:
    """Refuse compressed frames that would unpack to another size than Rows x Columns.

    Args:
        dataset: an opened file.

    Raises:
        ValueError: a frame declares another size, an RLE frame is too long for its pixels, or a
            baseline JPEG frame is damaged.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    is_jpeg = syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes
    is_jpeg_2000 = syntax in JPEG2000TransferSyntaxes
    if not (is_jpeg or is_jpeg_2000 or syntax == RLELossless):
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    pixel_bytes = int(dataset.SamplesPerPixel) * (int(dataset.BitsAllocated) // 8)
    # A literal byte costs two at worst.
    longest = 2 * rows * columns * pixel_bytes + _RLE_HEADER + _RLE_SLACK
    count = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        if syntax == RLELossless:
            if len(frame) > longest:
                raise ValueError("an RLE frame is longer than its pixels can need")
            continue
        size = _jpeg_2000_size(frame) if is_jpeg_2000 else _jpeg_size(frame)
        if size is not None and size != (rows, columns):
            raise ValueError("the size in the compressed pixels is not that of the DICOM header")
        if syntax == JPEGBaseline8Bit:
            _check_baseline(frame)


def _check_baseline(frame: bytes) -> None:
    """Decode once more by GDAL, which can take libjpeg's warnings for errors.

    Pillow cannot: of 40 flipped bits of a JPEG file it noticed 0 to 2, GDAL 3 to 34.
    """
    try:
        with (
            ignored_warnings(NotGeoreferencedWarning),
            rasterio.Env(**_STRICT_JPEG),
            MemoryFile(frame) as memory,
            memory.open(driver="JPEG") as image,
        ):
            image.read()
    except (RasterioError, CPLE_BaseError) as error:
        raise ValueError("the compressed pixels are damaged") from error


def _jpeg_2000_size(frame: bytes) -> tuple[int, int] | None:
    start = frame.find(_SIZE_OF_IMAGE)
    if start < 0 or len(frame) < start + 24:
        return None
    width, height, left, top = struct.unpack(">4L", frame[start + 8 : start + 24])
    return height - top, width - left


def is_irreversible(dataset: FileDataset) -> bool:
    """Tell whether JPEG 2000 pixels went through the 9-7 wavelet, which always loses something.

    Args:
        dataset: an opened file, with pixels compressed by JPEG 2000 (T.800 A.6.1) or HTJ2K.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    frame = next(iter(generate_frames(dataset.PixelData, number_of_frames=count)))
    position = frame.find(_SIZE_OF_IMAGE) + 2
    while frame[position : position + 1] == b"\xff" and frame[position + 1] != _START_OF_TILE:
        if frame[position + 1] == _CODING_STYLE:
            return frame[position + _WAVELET : position + _WAVELET + 1] == b"\0"
        position += 2 + int(struct.unpack(">H", frame[position + 2 : position + 4])[0])
    return False


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Walk from marker to marker until the frame header; None where there is none."""
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _FRAME_HEADERS:
            rows, columns = struct.unpack(">HH", frame[position + 5 : position + 9])
            return rows, columns
        # A fill byte may stand before any marker.
        length = struct.unpack(">H", frame[position + 2 : position + 4])[0]
        position += 1 if marker == 0xFF else 2 + length
    return None


def check_inflated(path: PathLike, stream: BinaryIO) -> None:
    """Refuse a deflated file that inflates to more than the memory or a dataset holds.

    Args:
        path: any file.
        stream: the same, open; its position moves.

    Raises:
        BadImageError: it inflates to too much.
    """
    if stream.read(132)[128:] != b"DICM":
        return
    stream.seek(0)
    read_preamble(stream, False)
    meta = _read_file_meta_info(stream)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    # pydicom holds it once as a whole and once in elements.
    limit = min(available_bytes() / 2, _LONGEST_DATASET)
    if Path(path).stat().st_size * _DEFLATE_RATIO <= limit:
        return
    stream.seek(144 + int(meta.FileMetaInformationGroupLength))
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while size <= limit and not inflater.eof:
        block = inflater.unconsumed_tail or stream.read(_BLOCK)
        if not block:
            return
        size += len(inflater.decompress(block, 16 * _BLOCK))
    if size > limit:
        raise BadImageError(
            f"{path}: must inflate to what memory and a DICOM dataset hold, got more than "
            f"{limit / 1e9:.1f} GB; convert it to uncompressed DICOM where memory is larger."
        )
