"""Chooses the decoder of each DICOM transfer syntax and keeps the fragile ones from damaged data.

DICOM PS3.5 A.4 (encapsulated pixel data) and 10.
"""

import copy
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from monai_sr.core import BadImageError, PathLike, SharedChange

# On damaged data gdcm may end the process and pylibjpeg-rle panics, and Python can handle neither;
# so gdcm comes last, and only behind a check of the frame's header.
_PLUGINS: dict[UID, tuple[str, ...]] = {
    RLELossless: ("pydicom",),
    JPEGBaseline8Bit: ("pillow",),
    JPEGExtended12Bit: ("pillow", "gdcm"),
    JPEGLossless: ("gdcm",),
    JPEGLosslessSV1: ("gdcm",),
    **dict.fromkeys(JPEGLSTransferSyntaxes, ("pyjpegls", "gdcm")),
    **dict.fromkeys(JPEG2000TransferSyntaxes, ("pylibjpeg",)),
}
# What lies above BitsStored is for the caller to judge: pydicom clears it, whatever it is.
_OPTIONS: dict[str, Any] = {"raw": False, "correct_unused_bits": False}
# Extended and lossless JPEG (T.81 B.2.2), JPEG-LS (T.87 C.1.1).
_START_OF_FRAME = (b"\xff\xc1", b"\xff\xc3", b"\xff\xf7")


def run_decoder(dataset: FileDataset, name: PathLike) -> tuple[NDArray[Any], dict[str, Any]]:
    """Decode all frames with the first plug-in that can.

    Args:
        dataset: an opened file with pixel data.
        name: what messages call it.

    Returns:
        The values, YBR as RGB and bits above BitsStored as they are, and pydicom's description.

    Raises:
        BadImageError: a compression without decoder.
        ValueError: a JPEG header that contradicts the DICOM header, or damaged data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise BadImageError(
            f"{name}: must be compressed as DICOM still images are, got {_syntax_name(syntax)}; "
            "convert it to uncompressed DICOM."
        ) from error
    failure: RuntimeError | None = None
    for plugin in _PLUGINS.get(syntax, ("",)):
        if plugin == "gdcm":
            _check_jpeg_headers(dataset)
            if syntax == JPEGExtended12Bit:
                return _run_gdcm_extended(dataset)
        try:
            return decoder.as_array(dataset, decoding_plugin=plugin, **_OPTIONS)
        except RuntimeError as error:
            failure = error
    raise BadImageError(
        f"{name}: pixels must be decodable, got {_syntax_name(syntax)} that is damaged or of a "
        "kind no installed decoder reads; convert it to uncompressed DICOM (dcmdjpeg, gdcmconv)."
    ) from failure


def _run_gdcm_extended(dataset: FileDataset) -> tuple[NDArray[Any], dict[str, Any]]:
    """Decode 12-bit JPEG Extended: pydicom bars gdcm from it, which reads it as any other JPEG.

    On pydicom's sample it differs from libjpeg, the reference, by at most 1 (0.014 in the mean).
    """
    relabeled = copy.copy(dataset)
    relabeled.file_meta = copy.copy(dataset.file_meta)
    relabeled.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    with _QUIET():
        return get_decoder(JPEGBaseline8Bit).as_array(relabeled, decoding_plugin="gdcm", **_OPTIONS)


@contextmanager
def _quiet_codec() -> Iterator[None]:
    """Hide what gdcm's codecs print in C: it tries them by depth, 8 bits first."""
    try:
        saved = os.dup(2)
    except OSError:  # a process without standard error
        yield
        return
    hidden = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(hidden, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(hidden)


_QUIET = SharedChange(_quiet_codec)


def _check_jpeg_headers(dataset: FileDataset) -> None:
    """Compare precision, lines, samples and components of each frame with the DICOM header."""
    count = int(dataset.get("NumberOfFrames") or 1)
    expected = (int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        start = max(frame.find(marker) for marker in _START_OF_FRAME)
        precision, *found = struct.unpack(">BHHB", frame[start + 4 : start + 10])
        if start < 0 or tuple(found) != expected or precision > int(dataset.BitsAllocated):
            raise ValueError("the JPEG header does not match the DICOM header")


def _syntax_name(syntax: UID) -> str:
    return "an unknown compression" if syntax.name == syntax else syntax.name
