"""One object on its way into the spool: its file, and whether it is what it says.

Status of C-STORE: DICOM PS3.4 table B.2-1; failure reasons of STOW-RS: PS3.18 section 10.5.3.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from monai_sr.core import SRError, get_logger
from monai_sr.formats import read_elements
from monai_sr.node.names import Names, is_uid

logger = get_logger(__name__)

SUFFIX = ".dcm"
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Status of C-STORE, PS3.4 table B.2-1, and failure reason of STOW-RS, PS3.18 table 10.5.1-4."""

_HEADER = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]


class RefusedError(SRError):
    """An object is not accepted; the message names nothing of it.

    Args:
        status: what the sender hears, such as ``OUT_OF_RESOURCES``.
        reason: in words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Stored:
    """An object that is safe.

    Args:
        study, series, instance: its names in the spool.
        sop_class, sop_instance, study_uid: as it says itself, for the answer; never to be logged.
        is_new: whether it had not been received before.
        is_conflict: whether another object has its UID: then it lies in quarantine.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    sop_instance: str
    study_uid: str
    is_new: bool
    is_conflict: bool = False


class Part:
    """A file that an object is written to before it is checked.

    Args:
        path: where.
        limit: how many bytes it may have.

    Raises:
        RefusedError: the disk takes no more.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self._limit, self.size = path, limit, 0
        with on_disk():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._stream: IO[bytes] = os.fdopen(handle, "wb")

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes of a DICOM file (PS3.10), preamble and meta information first.

        Raises:
            RefusedError: it is too large, or the disk takes no more.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise _too_large(self._limit)
        with on_disk():
            self._stream.write(data)

    def flush(self) -> None:
        """Make the bytes durable; nothing may be added afterwards."""
        with on_disk():
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()

    def discard(self) -> None:
        """Forget it, if it has not become an object."""
        with suppress(OSError):
            self._stream.close()
        self.path.unlink(missing_ok=True)


def split_name(file: Path) -> tuple[str, str]:
    """Return the names of an object and of its content, of a file in the spool."""
    instance, _, digest = file.stem.partition("-")
    return instance, digest


def _too_large(limit: int) -> RefusedError:
    """Return the error for an object of more bytes than the limit."""
    return RefusedError(OUT_OF_RESOURCES, f"object: must have {limit} bytes at most, got more")


def checked_header(part: Part, said: tuple[str, str, str]) -> list[str]:
    """Flush an object and return its four UIDs.

    Args:
        part: the object.
        said: class, instance and study that the request names, "" where it does not.
    """
    part.flush()
    try:
        header = read_elements(part.path, stop_before_pixels=True, specific_tags=_HEADER)
        uids = [str(header.get(keyword) or "") for keyword in _HEADER]
        has_syntax = bool(header.file_meta.get("TransferSyntaxUID"))
    except Exception:  # whatever pydicom meets in hostile bytes
        raise RefusedError(CANNOT_UNDERSTAND, "object: must be DICOM, got a damaged one") from None
    if not has_syntax:
        raise RefusedError(CANNOT_UNDERSTAND, "object: must name its transfer syntax, got none")
    for keyword, uid in zip(_HEADER, uids, strict=True):
        if not is_uid(uid):
            raise RefusedError(
                CANNOT_UNDERSTAND, f"{keyword}: must be a UID, got none or a bad one"
            )
    for keyword, uid, named in zip(_HEADER[:3], uids[:3], said, strict=True):
        if named and named != uid:
            raise RefusedError(DOES_NOT_MATCH, f"{keyword}: must be that of the request, is not")
    return uids


def _data_set_offset(stream: IO[bytes]) -> int:
    """Return where the data set begins: after group 2, whose length (0002,0000) tells."""
    head = stream.read(144)
    if head[128:132] != b"DICM" or head[132:138] != b"\x02\x00\x00\x00UL":
        return 0
    return 144 + int.from_bytes(head[140:144], "little")


@contextmanager
def on_disk() -> Iterator[None]:
    """Refuse the object where the disk does."""
    try:
        yield
    except OSError as error:
        logger.error("spool: must be writable, got '%s'; check the disk", error.strerror)
        raise RefusedError(OUT_OF_RESOURCES, "spool: takes no more; try again later") from error


def content_digest(path: Path, names: Names) -> str:
    """Hash the data set, without the meta information that each receiver writes anew."""
    digest = names.content()
    with path.open("rb") as stream:
        stream.seek(_data_set_offset(stream))
        while piece := stream.read(1 << 20):
            digest.add(piece)
    return str(digest)
