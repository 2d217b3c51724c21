"""Reads which files a DICOMDIR lists.

DICOM PS3.10 section 8, PS3.3 F.3.2.2: (0004,1500) Referenced File ID names a file by the folders
from that of the DICOMDIR down to it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pydicom.multival import MultiValue

from monai_sr.core import BadImageError, get_logger
from monai_sr.formats.dicom.files import open_dicom, refuse_damage

logger = get_logger(__name__)


def listed_files(path: Path) -> set[Path]:
    """Return the files that a DICOMDIR lists and that lie in its folder or below.

    Args:
        path: the DICOMDIR.

    Raises:
        BadImageError: it is damaged, names files elsewhere, or none that is there.
    """
    header = open_dicom(path)
    found: set[Path] = set()
    missing = 0
    with refuse_damage(f"{path}: records of a DICOMDIR must be valid; name its folder instead."):
        for parts in _file_ids(path, header):
            file = _find(path.parent, parts)
            missing += file is None
            found |= set() if file is None else {file}
    if missing:
        logger.warning("%s: lists %d files that are not there", path, missing)
    if not found:
        raise BadImageError(
            f"{path}: must list files that are there, got none; copy the folders beside it, too."
        )
    return found


def _file_ids(path: Path, header: object) -> Iterator[list[str]]:
    for record in getattr(header, "DirectoryRecordSequence", None) or []:
        value = record.get("ReferencedFileID")
        if not value:
            continue
        parts = [str(part) for part in value] if isinstance(value, MultiValue) else [str(value)]
        if any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts):
            raise BadImageError(
                f"{path}: must list files of its own folder only, got another place; name the "
                "files themselves."
            )
        yield parts


def _find(folder: Path, parts: list[str]) -> Path | None:
    """Return a file below a folder; media that were copied may have changed case."""
    place = folder
    for part in parts:
        if not (place / part).exists():
            try:
                names = os.listdir(place)
            except OSError:
                return None
            part = next((name for name in names if name.casefold() == part.casefold()), part)
        place = place / part
    return place if place.is_file() else None
