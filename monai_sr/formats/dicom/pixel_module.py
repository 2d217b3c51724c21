"""Puts new pixels into a DICOM dataset.

DICOM PS3.3 C.7.6.3 (image pixel module), PS3.5 8.1 and A.2 (Explicit VR Little Endian).
Bits, sign, rescale, windows, display tables and padding value stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from monai_sr.core import OutputError, PathLike, get_logger, unknown_name
from monai_sr.formats.dicom.files import DAMAGE_ERRORS, PIXEL_KEYWORDS
from monai_sr.formats.facts import Facts

MAX_SIDE = 65535
"""Rows and Columns are unsigned 16-bit numbers (PS3.3 C.7.6.3)."""

MAX_BYTES = 2**32 - 2
"""Longest even value of one element: its length is an unsigned 32-bit number (PS3.5 7.1.1)."""

_WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_FLOAT_KEYWORDS = {"float32": "FloatPixelData", "float64": "DoubleFloatPixelData"}
logger = get_logger(__name__)

# The encoder is named: with others installed, equal inputs would no longer give equal files.
_ENCODERS = {
    "rle": (RLELossless, "pylibjpeg"),
    "jpegls": (JPEGLSLossless, "pyjpegls"),
    "jpeg2000": (JPEG2000Lossless, "pylibjpeg"),
}
COMPRESSIONS = ("none", *_ENCODERS)
"""Names of the ways to store pixels; "none" is Explicit VR Little Endian."""


def check_size(name: PathLike, shape: tuple[int, int, int, int], item_bytes: int) -> None:
    """Refuse sizes that DICOM cannot hold.

    Args:
        name: the output, for the message.
        shape: (frames, rows, columns, samples).
        item_bytes: bytes per sample.

    Raises:
        OutputError: a side or the pixel data are too large.
    """
    frames, rows, columns, samples = shape
    if max(rows, columns) > MAX_SIDE:
        raise OutputError(
            f"{name}: DICOM holds at most {MAX_SIDE} rows and columns, got {rows} x {columns}; use "
            "a smaller scale or crop the image."
        )
    size = frames * rows * columns * samples * item_bytes
    if size > MAX_BYTES:
        raise OutputError(
            f"{name}: uncompressed DICOM pixels hold at most {MAX_BYTES} bytes, got {size}; use a "
            "smaller scale or fewer frames."
        )


def check_dicom_size(name: PathLike, meta: Mapping[str, Any], shape: Sequence[int]) -> None:
    """Refuse, before inference, a result whose file, or files of a series, DICOM cannot hold.

    Args:
        name: the image, for the message.
        meta: meta of the source or the result, with facts ``files`` and ``dtype``.
        shape: (C, X, Y[, Z]) of the result; the slices of a series go to one file each.

    Raises:
        OutputError: a side or the pixel data of one file are too large.
    """
    samples, columns, rows, slices = (*shape, 1)[:4]
    frames = slices if len(Facts(meta).files) == 1 else 1
    item_bytes = Facts(meta).dtype.itemsize
    check_size(name, (frames, rows, columns, samples), item_bytes)


def swap_to_little_endian(dataset: FileDataset) -> None:
    """Reverse the bytes of word-valued elements of a big-endian source; pixels come anew."""
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian:
        return
    for element in dataset.iterall():
        width = _WORD_BYTES.get(element.VR)
        if width and isinstance(element.value, bytes) and element.keyword not in PIXEL_KEYWORDS:
            words = np.frombuffer(element.value, dtype=f">u{width}")
            element.value = words.astype(f"<u{width}").tobytes()


def replace_pixels(dataset: Dataset, frames: NDArray[Any]) -> None:
    """Write frames into the pixel module in place.

    Masks of one bit a pixel stay so, packed (PS3.5 8.1.1).

    Shape: frames (N, H, W, C), C = 1 or 3, in the dtype that the source stores, masks as uint8.

    Args:
        dataset: the source's dataset.
        frames: stored values, already rounded and clipped.
    """
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            del dataset[keyword]
    _, rows, columns, samples = frames.shape
    dataset.Rows, dataset.Columns = rows, columns
    if samples > 1:
        _describe_colors(dataset, frames)
    else:
        _update_extremes(dataset, frames)
    is_mask = dataset.BitsAllocated == 1
    data = (
        pack_bits(frames.reshape(-1), pad=False)
        if is_mask
        else frames.astype(frames.dtype.newbyteorder("<"), copy=False).tobytes()
    )
    keyword = _FLOAT_KEYWORDS.get(frames.dtype.name, "PixelData")
    setattr(dataset, keyword, data + b"\0" * (len(data) % 2))
    if keyword == "PixelData":
        bits = 1 if is_mask else frames.dtype.itemsize * 8
        dataset.BitsAllocated = bits
        if frames.dtype.kind == "u" and int(frames.max(initial=0)) >> int(dataset.BitsStored):
            dataset.BitsStored, dataset.HighBit = bits, bits - 1  # the source's were wrong
        dataset["PixelData"].VR = "OB" if frames.dtype.itemsize == 1 else "OW"
        dataset["PixelData"].is_undefined_length = False


def _describe_colors(dataset: Dataset, frames: NDArray[Any]) -> None:
    bits = frames.dtype.itemsize * 8
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PhotometricInterpretation = "RGB"
    dataset.SamplesPerPixel = frames.shape[-1]
    dataset.PlanarConfiguration = 0
    dataset.PixelRepresentation = 0
    for tag in list(dataset.keys()):
        if "PaletteColorLookupTable" in keyword_for_tag(tag):
            del dataset[tag]
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in dataset:
            del dataset[keyword]


def _update_extremes(dataset: Dataset, frames: NDArray[Any]) -> None:
    """Recompute the least and greatest value where the source declared them."""
    extremes = {"SmallestImagePixelValue": frames.min(), "LargestImagePixelValue": frames.max()}
    for keyword, value in extremes.items():
        if keyword not in dataset:
            continue
        del dataset[keyword]
        if frames.dtype.kind in "iu" and frames.dtype.itemsize <= 2:
            dataset.add_new(keyword, "SS" if frames.dtype.kind == "i" else "US", int(value))


def check_compression(kind: str) -> None:
    """Refuse an unknown way to store pixels.

    Args:
        kind: one of ``COMPRESSIONS``.

    Raises:
        OptionError: it is none of them; the nearest is shown.
    """
    if kind not in COMPRESSIONS:
        raise unknown_name("compression", str(kind), COMPRESSIONS)


def compress(dataset: FileDataset, kind: str, name: PathLike) -> None:
    """Compress the pixel data in place; what an encoder cannot hold stays uncompressed.

    Floating-point pixels have no compressed form; RLE and JPEG-LS end at 16 bits, JPEG 2000 at 24.

    Args:
        dataset: a finished object with native pixels.
        kind: one of ``COMPRESSIONS``.
        name: what the warning calls it.
    """
    if kind == "none":
        return
    syntax, plugin = _ENCODERS[kind]
    photometric = dataset.PhotometricInterpretation
    if photometric == "RGB" and syntax == JPEG2000Lossless:
        dataset.PhotometricInterpretation = "YBR_RCT"  # the encoder's own transform, PS3.5 8.2.4
    try:
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    except DAMAGE_ERRORS as error:
        dataset.PhotometricInterpretation = photometric
        logger.warning("%s: %s cannot hold these pixels, left uncompressed.", name, syntax.name)
        logger.debug("encoder", exc_info=error)
