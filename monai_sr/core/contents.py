"""Reads each file once where several ask: its first bytes, all of a small one, facts of its header.

What is kept is of the file as it lies there: one that was written to since has another time, size
or inode, and is read again. Files that changed a moment ago are never kept, for clocks of file
systems tick slowly (Git calls such entries racy).
"""

import functools
import hashlib
import io
import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar

from monai_sr.core.memory import available_bytes
from monai_sr.core.recent import Recent
from monai_sr.core.types import PathLike

HEAD_BYTES = 2048
"""How much :func:`head` returns: GDAL looks at 1024, DICOM's mark ends at 132."""

_Rest = ParamSpec("_Rest")
_Found = TypeVar("_Found")
Version = tuple[int, ...]

_CALM_NS = 2 * 10**9  # since the last change; FAT counts in two seconds, others in milliseconds
_MOST_FACTS = 1024
_MOST_BYTES = 2**28  # of contents that are kept
_SHARE = 1 / 8  # of the memory that is left, which one of them may take
_CHUNK_BYTES = 2**20
_ENDS = "ends"


def version(path: PathLike) -> Version | None:
    """Return what changes with a file; None where it is gone or changed a moment ago."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    if time.time_ns() - changed < _CALM_NS:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_FACTS: Recent[Any, Any] = Recent(_MOST_FACTS)
_CONTENTS: Recent[Version, bytes] = Recent(_MOST_BYTES)


def once(
    look: Callable[Concatenate[PathLike, _Rest], _Found],
) -> Callable[Concatenate[PathLike, _Rest], _Found]:
    """Remember what a function finds in a file, until the file changes.

    Args:
        look: (path, ...) -> what is found, which nobody changes; errors are not remembered.
    """
    return _remembering(look, version)


def once_in_folder(
    look: Callable[Concatenate[PathLike, _Rest], _Found],
) -> Callable[Concatenate[PathLike, _Rest], _Found]:
    """Do as :func:`once`, for what also depends on which files lie beside the file."""
    return _remembering(look, _version_in_folder)


def _version_in_folder(path: PathLike) -> Version | None:
    own, folder = version(path), version(os.path.dirname(os.path.abspath(path)))
    return None if own is None or folder is None else own + folder


def _remembering(
    look: Callable[Concatenate[PathLike, _Rest], _Found],
    version_of: Callable[[PathLike], Version | None],
) -> Callable[Concatenate[PathLike, _Rest], _Found]:
    def remembered(path: PathLike, /, *args: _Rest.args, **kwargs: _Rest.kwargs) -> _Found:
        known = version_of(path)
        if known is None:
            return look(path, *args, **kwargs)
        key = (look.__module__, look.__qualname__, os.fspath(path), known, args, *kwargs.items())
        found: tuple[_Found] | None = _FACTS.get(key)
        if found is None:
            found = (look(path, *args, **kwargs),)
            _FACTS.put(key, found)
        return found[0]

    functools.update_wrapper(remembered, look)
    return remembered


@once
def head(path: PathLike) -> bytes:
    """Return the first bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read(HEAD_BYTES)


def content(path: PathLike) -> bytes | None:
    """Return all of a file and keep it for a while; None where it is large.

    What is kept goes when :func:`file_sha256` reads the file anew, or others come.

    Raises:
        OSError: it cannot be read.
    """
    known, found = version(path), kept(path)
    if found is None and os.stat(path).st_size <= min(_MOST_BYTES, available_bytes() * _SHARE):
        with open(path, "rb") as stream:
            found = stream.read()
        if known is not None:
            _CONTENTS.put(known, found, len(found))
    return found


def kept(path: PathLike) -> bytes | None:
    """Return all of a file where :func:`content` has kept it."""
    known = version(path)
    return None if known is None else _CONTENTS.get(known)


def reading(path: PathLike) -> BinaryIO:
    """Open a file, or its content where that is kept.

    Raises:
        OSError: it cannot be read.
    """
    found = kept(path)
    return open(path, "rb") if found is None else io.BytesIO(found)


def file_sha256(path: PathLike, *, anew: bool = False) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Args:
        path: the file.
        anew: read the disk whatever is kept of the file, which is then forgotten.

    Raises:
        OSError: it cannot be read.
    """
    known = version(path)
    if anew:
        if known is not None:
            _CONTENTS.drop(known)
    elif (found := kept(path)) is not None:
        return hashlib.sha256(found).hexdigest()
    total, ends, before, last = hashlib.sha256(), hashlib.sha256(), b"", b""
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            total.update(chunk)
            ends.update(b"" if last else chunk)
            before, last = last, chunk
    ends.update((before + last)[-_CHUNK_BYTES:])
    if known is not None:
        _FACTS.put((_ENDS, known), ends.hexdigest())
    return total.hexdigest()


def ends_sha256(path: PathLike) -> str:
    """Return the SHA-256 of the first and the last MiB of a file: large ones are told by it.

    Raises:
        OSError: it cannot be read.
    """
    known = version(path)
    found: str | None = _FACTS.get((_ENDS, known))
    if found is None:
        with open(path, "rb") as stream:
            ends = hashlib.sha256(stream.read(_CHUNK_BYTES))
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _CHUNK_BYTES))
            ends.update(stream.read(_CHUNK_BYTES))
        found = ends.hexdigest()
        if known is not None:
            _FACTS.put((_ENDS, known), found)
    return found
