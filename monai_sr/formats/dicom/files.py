"""Opens DICOM files and tells them from others.

DICOM PS3.10 section 7.1: a file starts with 128 free bytes and "DICM". Older files lack both and
are recognized by their first element.
"""

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import DSfloat

from monai_sr.core import (
    BadImageError,
    PathLike,
    SRError,
    get_logger,
    head,
    ignored_warnings,
    once,
    reading,
    silent_pydicom,
)
from monai_sr.formats.dicom.bounds import check_inflated

logger = get_logger(__name__)

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
DAMAGE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise, by experiment, on damaged or unsupported files."""

_PREAMBLE_BYTES = 128
_NO_META_SYNTAX = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Hide pydicom's remarks on odd but harmless headers, which quote values and alarm users."""
    is_wanted = logger.isEnabledFor(logging.DEBUG)
    with ignored_warnings(module=r"pydicom"), nullcontext() if is_wanted else silent_pydicom():
        yield


def format_ds(value: float) -> str:
    """Format a number for a Decimal String: at most 16 characters, all digits that fit.

    A string, for pydicom takes no float where a program has asked it for decimals.
    """
    return str(DSfloat(value, auto_format=True))


@contextmanager
def refuse_damage(message: str) -> Iterator[None]:
    """Turn what pydicom raises on a damaged file into one line; elements decode when touched.

    Args:
        message: the line for the user.

    Raises:
        BadImageError: with ``message``; errors of this package pass as they are.
    """
    try:
        with quiet_pydicom():
            yield
    except SRError:
        raise
    except DAMAGE_ERRORS as error:
        raise BadImageError(message) from error


@once
def is_dicom(path: PathLike) -> bool:
    """Tell whether a file is DICOM, from its "DICM" mark or else its first elements.

    Args:
        path: any path; folders and files that cannot be read are not DICOM.

    Returns:
        True for DICOM files, with or without images in them.
    """
    try:
        first = head(path)[: _PREAMBLE_BYTES + 4]
    except OSError:
        return False
    return first[_PREAMBLE_BYTES:] == b"DICM" or (_may_start_dataset(first) and _parses(path))


def open_dicom(path: PathLike, *, stop_before_pixels: bool = False) -> FileDataset:
    """Read one DICOM file; files without preamble or meta header are completed.

    Args:
        path: the file.
        stop_before_pixels: leave the pixel data on the disk.

    Returns:
        The dataset; its ``file_meta`` names a transfer syntax.

    Raises:
        BadImageError: the file is missing, empty, not DICOM, or damaged.
    """
    file = Path(path)
    if not file.is_file():
        got = "a folder" if file.is_dir() else "no such file"
        raise BadImageError(f"{path}: must be a DICOM file, got {got}; check the path.")
    damaged = f"{path}: must be a whole DICOM file, got a damaged header; copy it again."
    try:
        if file.stat().st_size == 0:
            raise BadImageError(f"{path}: must be a DICOM file, got 0 bytes; copy it again.")
        if not is_dicom(file):
            raise BadImageError(
                f"{path}: must be a DICOM file, got another kind of file; "
                "use the reader of its format or remove it from the input."
            )
        with refuse_damage(damaged):
            dataset = read_elements(file, stop_before_pixels=stop_before_pixels)
            resolve_unknown(dataset)
            _complete_meta(dataset)
    except OSError as error:
        if not error.strerror:  # pydicom's own, where a sequence does not end
            raise BadImageError(damaged) from error
        raise BadImageError(
            f"{path}: must be readable, got '{error.strerror}'; check it."
        ) from error
    return dataset


def read_elements(path: PathLike, **options: Any) -> FileDataset:
    """Read a file's elements as pydicom does; one that inflates to more than memory is refused.

    Args:
        path: the file.
        **options: of ``pydicom.dcmread``.

    Raises:
        BadImageError: it inflates to too much.
    """
    with reading(path) as stream:
        check_inflated(path, stream)
        stream.seek(0)
        dataset = pydicom.dcmread(stream, force=True, **options)
    # Zeros behind the last element, as of media written in blocks, read as command elements.
    for tag in list(dataset.keys()):
        if tag.group == 0:
            del dataset[tag]
    # All of it is read: what it was read from is not to live as long.
    dataset.filename, dataset.buffer = str(path), None
    return dataset


def _complete_meta(dataset: FileDataset) -> None:
    """Give files without a transfer syntax the one that their elements are encoded in."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        syntax = _NO_META_SYNTAX.get((bool(implicit), little is not False))
        dataset.file_meta.TransferSyntaxUID = syntax or ImplicitVRLittleEndian


def _may_start_dataset(head: bytes) -> bool:
    """Check the first element: group 0002 or 0008, then a value representation or a length."""
    if len(head) < 12 or not any(
        head[:4] == struct.pack(o, g, e)
        for o in ("<HH", ">HH")
        for g in (2, 8)
        for e in (0, 1, 5, 6, 8, 0x10, 0x12, 0x16, 0x18)
    ):
        return False
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    return is_explicit or struct.unpack("<I", head[4:8])[0] < 4096


def _parses(path: PathLike) -> bool:
    """Read the first groups of a file without preamble and look for what images declare."""
    try:
        with quiet_pydicom():
            header = pydicom.dcmread(
                path,
                force=True,
                stop_before_pixels=True,
                specific_tags=["SOPClassUID", "Modality", "Rows", "Columns"],
            )
            sop_class = str(header.get("SOPClassUID") or "")
            return sop_class.startswith("1.2.840.10008.") or (
                isinstance(header.get("Rows"), int) and isinstance(header.get("Columns"), int)
            )
    except (OSError, *DAMAGE_ERRORS):
        return False


def sequences(item: Dataset) -> Iterator[DataElement]:
    """Yield the sequences of a dataset or an item; other elements are not decoded.

    Text that is not of the declared character set stays byte for byte so.

    Args:
        item: as read, or changed.
    """
    for tag in list(item.keys()):
        kind = getattr(item.get_item(tag), "VR", None)
        if kind is None and not tag.is_private and dictionary_has_tag(tag):
            kind = dictionary_VR(tag)
        if kind == "SQ":
            yield item[tag]


def name_representations(dataset: Dataset) -> None:
    """Let a dataset of Implicit VR Little Endian be written as an explicit one, in place.

    pydicom decodes all text to write it so. Here elements get the dictionary's representation, and
    text that is not of the declared character set stays byte for byte so.

    Args:
        dataset: as read, with changes; one that is explicit stays as it is.
    """
    # What is declared explicit and is not has elements without representation, too.
    raw = map(dataset.get_item, list(dataset.keys()))
    is_named = all(getattr(element, "VR", None) is not None for element in raw)
    if dataset.original_encoding != (True, True) and is_named:
        return
    _name_representations(dataset)
    correct_ambiguous_vr(dataset, True)


def _name_representations(item: Dataset) -> None:
    for tag in list(item.keys()):
        element: object = item.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR is None:
            known = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
            # Private ones, and those with a choice, are pydicom's matter.
            item[tag] = element._replace(VR=known) if len(known) == 2 else item[tag]
        if getattr(item.get_item(tag), "VR", None) == "SQ":
            for inner in item[tag].value or []:
                _name_representations(inner)
    if item.original_encoding == (True, True):
        item.set_original_encoding(False, True, item.original_character_set)


def resolve_unknown(dataset: Dataset) -> None:
    """Replace UN by the dictionary's representation in place, at every depth.

    Args:
        dataset: as read; private elements, and those with a choice of representations, stay.
    """
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR == "UN" and dictionary_has_tag(tag):
            known = dictionary_VR(tag)
            if " or " not in known and element.length:
                dataset[tag] = element._replace(
                    VR=known, is_implicit_VR=True, is_little_endian=True
                )
        if getattr(dataset.get_item(tag), "VR", None) == "SQ":
            for item in dataset[tag].value or []:
                resolve_unknown(item)
