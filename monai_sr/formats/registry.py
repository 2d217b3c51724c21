"""The file formats, and which of them a file is of: its content decides, then its name.

A new format is a folder of this package whose ``format.py`` has a class that derives from
:class:`monai_sr.formats.format.Format`, and one entry of ``FORMATS``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from monai_sr.core import get_logger
from monai_sr.formats.dicom.format import Dicom
from monai_sr.formats.facts import Facts
from monai_sr.formats.format import Format, head_of
from monai_sr.formats.meaning import INTENSITY
from monai_sr.formats.nifti.format import Nifti
from monai_sr.formats.nrrd.format import Nrrd
from monai_sr.formats.ome_zarr.format import OmeZarr
from monai_sr.formats.raster.format import Raster, opens

if TYPE_CHECKING:
    from monai.data import ImageReader

    from monai_sr.core import PathLike

logger = get_logger(__name__)

FORMATS: tuple[Format, ...] = (Nifti(), Nrrd(), OmeZarr(), Dicom(), Raster())
"""Asked in this order. What none claims is left to the last one, for GDAL knows many more."""

_UNKNOWN = Format()
# Images that we do not read: to pass over them without a word would lose them.
_OTHER_SUFFIXES = (
    ".mha", ".mhd", ".mgz", ".mgh", ".heic", ".heif", ".avif", ".jxl", ".dng",
    ".cr2", ".cr3", ".nef", ".arw", ".psd", ".tga", ".exr",
)  # fmt: skip


def format_of(source: PathLike | Sequence[PathLike]) -> Format:
    """Return the format of a file or folder, or of the files of a series.

    Args:
        source: a path, or several of one series.

    Example:
        >>> format_of("scan.nii.gz").title
        'NIfTI'
    """
    if isinstance(source, str | os.PathLike):
        return _by_content(source) or _by_name(source) or FORMATS[-1]
    found = _by_content(source[0])
    return found if found and found.has_series else next(f for f in FORMATS if f.has_series)


def format_of_meta(meta: Mapping[str, Any] | None) -> Format:
    """Return the format that an image was read from, by its metadata.

    Returns:
        Where they tell none, one that stands for arrays and for MONAI's own readers.
    """
    return next((f for f in FORMATS if f.name == Facts(meta).format), _UNKNOWN)


def format_of_suffix(suffix: str) -> Format:
    """Return the format whose results have a suffix; "" is that of a folder of slices."""
    return next(f for f in FORMATS if suffix.lower() in f.side_limits)


def find_reader(source: PathLike | Sequence[PathLike], kind: str = INTENSITY) -> ImageReader:
    """Choose the reader for a file or folder, or for the files of a series.

    Args:
        source: the file or files.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
    """
    found = format_of(source)
    if isinstance(source, str | os.PathLike):
        named = _by_name(source)
        if named and named is not found:
            logger.warning("%s: is %s by its content, whatever its name", source, found.title)
    return found.reader(kind)


def register() -> None:
    """Let this process's ``LoadImage()`` prefer our readers, ``SaveImage`` write DICOM and TIFF.

    Importing monai-sr never does this by itself. A second call changes nothing. Our writers need
    samples that our readers have read, because they copy what the source file says. NIfTI stays
    with MONAI's own writer; name :class:`monai_sr.formats.NiftiWriter` to use ours.
    """
    from monai.data.image_writer import SUPPORTED_WRITERS, register_writer
    from monai.transforms.io.array import SUPPORTED_READERS

    for form in reversed(FORMATS):  # MONAI asks the last one first
        reader, writer = resolve_name(form.reader_name), resolve_name(form.writer_name)
        SUPPORTED_READERS.setdefault(f"monaisr{reader.__name__.lower()}", reader)
        for extension in form.saved_as:
            if writer not in SUPPORTED_WRITERS.get(extension, ()):
                register_writer(extension, writer)  # type: ignore[no-untyped-call]


def claims_image(path: PathLike) -> bool:
    """Tell whether a file is an image, or says so by its content or its name.

    In a folder those must be readable, and the others (READMEs, JSON, PDF, reports in DICOM) are
    passed over.

    Args:
        path: a file.
    """
    path = Path(path)
    found = _by_content(path)
    if found:
        return found.holds_image(path)
    if _by_name(path) or path.name.lower().endswith(_OTHER_SUFFIXES):
        return True
    try:
        is_empty = path.stat().st_size == 0
        with path.open("rb"):
            return not is_empty and opens(path)
    except OSError:
        return True  # its reader will say that it cannot be read


def image_folders(paths: Iterable[Path]) -> set[Path]:
    """Return those of some paths that are folders of one image each, the outermost ones.

    Links are not followed.
    """
    found: set[Path] = set()
    for path in sorted(paths):
        if path.is_dir() and not path.is_symlink() and found.isdisjoint(path.parents):
            found |= {path} if format_of(path).is_folder else set()
    return found


def known_suffix(path: PathLike) -> str:
    """Return what a name ends in where that is the sign of a format, in lower case, else ""."""
    name = os.fspath(path).lower()
    known = (end for each in FORMATS for end in each.suffixes + each.pair_suffixes)
    return max((end for end in known if name.endswith(end)), key=len, default="")


def _by_content(path: PathLike) -> Format | None:
    head = head_of(path)
    return next((each for each in FORMATS if each.claims(head)), None)


def _by_name(path: PathLike) -> Format | None:
    return next((each for each in FORMATS if each.is_named(path)), None)
