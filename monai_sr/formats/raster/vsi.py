"""Asks GDAL's virtual file systems for bytes, sizes and versions of files that lie elsewhere.

rasterio opens rasters there, and tells nothing of the files. So these few functions of GDAL's C API
are called in the library that rasterio has loaded, with the same credentials, proxies, timeouts and
retries: https://gdal.org/api/cpl.html#cpl-vsi-h.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import rasterio
import rasterio._base

from monai_sr.core import MissingDependencyError, without_secrets

_CHUNK_BYTES = 2**23
_LONGEST = 160  # of a reason


class VsiError(OSError):
    """A file cannot be reached or read; the text is GDAL's reason, without addresses."""


@dataclass(frozen=True)
class FileState:
    """What tells a version of a file from another one.

    Attributes:
        size: in bytes.
        etag: of the server, "" where it has none.
        modified: its Last-Modified, "" where it tells none.
        head: the first bytes.
    """

    size: int
    etag: str
    modified: str
    head: bytes

    @property
    def is_versioned(self) -> bool:
        """Whether the server tells versions apart."""
        return bool(self.etag or self.modified)


def look(name: str, network: str, head_bytes: int) -> FileState:
    """Ask for the state of a file, anew.

    Args:
        name: GDAL's, such as ``/vsicurl/https://host/a.tif``.
        network: what of it is on a network: of a member of a zip the zip; "" for nothing.
        head_bytes: how many of the first bytes are wanted.

    Raises:
        VsiError: there is none, or it cannot be read.
    """
    if network:
        _gdal().VSICurlPartialClearCache(network.encode())
    with VsiFile(name) as file:
        head = file.read(min(file.size, head_bytes))
        size = file.size
    headers = _headers(network) if network else {}
    return FileState(size, headers.get("etag", ""), headers.get("last-modified", ""), head)


def fetch(name: str, target: Path) -> None:
    """Copy a file to this machine.

    Raises:
        VsiError: it cannot be read to its end.
        OSError: the target cannot be written.
    """
    with VsiFile(name) as file, target.open("xb") as out:
        left = file.size
        while left:
            out.write(chunk := file.read(min(left, _CHUNK_BYTES)))
            left -= len(chunk)


class VsiFile:
    """A file of GDAL's virtual systems, to be read.

    Args:
        name: GDAL's.

    Attributes:
        size: in bytes.

    Raises:
        VsiError: there is none, or it tells no size.
    """

    def __init__(self, name: str) -> None:
        library = _gdal()
        library.CPLErrorReset()
        library.VSIErrorReset()
        self._file = library.VSIFOpenExL(name.encode(), b"rb", 1)
        if not self._file:
            raise _error("no such file, or nobody answers")
        if library.VSIFSeekL(self._file, 0, os.SEEK_END) != 0:
            self.close()
            raise _error("its size is unknown")
        self.size = int(library.VSIFTellL(self._file))
        self.seek(0)

    def __enter__(self) -> VsiFile:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            _gdal().VSIFCloseL(self._file)
        self._file = None

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; return it."""
        _gdal().VSIFSeekL(self._file, position, whence)
        return self.tell()

    def tell(self) -> int:
        """Return the position."""
        return int(_gdal().VSIFTellL(self._file))

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the file alone.

        Raises:
            VsiError: they cannot be read.
        """
        wanted = max(0, min(count, self.size - self.tell()))
        buffer = ctypes.create_string_buffer(max(wanted, 1))
        if int(_gdal().VSIFReadL(buffer, 1, wanted, self._file)) < wanted:
            raise _error("the connection ended")
        return buffer.raw[:wanted]


def _headers(name: str) -> dict[str, str]:
    """Return the headers of the server's answer by their names in lower case, those it has."""
    library = _gdal()
    found = library.VSIGetFileMetadata(name.encode(), b"HEADERS", None)
    headers: dict[str, str] = {}
    position = 0
    while found and (line := found[position]):
        key, _, value = line.decode("utf-8", "replace").partition("=")
        headers[key.strip().lower()] = value.strip()
        position += 1
    if found:
        library.CSLDestroy(found)
    return headers


def _error(otherwise: str) -> VsiError:
    library = _gdal()
    said = library.VSIGetLastErrorMsg() or library.CPLGetLastErrorMsg() or b""
    return VsiError(reason(said.decode("utf-8", "replace")) or otherwise)


def reason(text: str) -> str:
    """Return GDAL's words on one line, without addresses and what servers wrote in them."""
    words = [word for word in without_secrets(text).split() if "/" not in word and "<" not in word]
    return " ".join(words).strip(" :.")[:_LONGEST]


@lru_cache(maxsize=1)
def _gdal() -> Any:
    """Return the library that rasterio has loaded.

    Raises:
        MissingDependencyError: it cannot be found.
    """
    # Of an extension the functions of what it links to are found, too; not so on Windows.
    names = [rasterio._base.__file__]
    if sys.platform == "win32":
        names = [*map(str, Path(rasterio.__file__).parents[1].glob("rasterio.libs/gdal*.dll"))]
    for name in names:
        library = ctypes.CDLL(name)
        if hasattr(library, "VSIGetFileMetadata"):
            _declare(library)
            return library
    raise MissingDependencyError(
        "rasterio: its GDAL cannot be asked for files elsewhere; install the wheel of rasterio, or "
        "copy the input first"
    )


def _declare(library: Any) -> None:
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    functions: dict[str, tuple[Any, list[Any]]] = {
        "VSIFOpenExL": (pointer, [text, text, ctypes.c_int]),
        "VSIFSeekL": (ctypes.c_int, [pointer, ctypes.c_uint64, ctypes.c_int]),
        "VSIFTellL": (ctypes.c_uint64, [pointer]),
        "VSIFReadL": (size, [pointer, size, size, pointer]),
        "VSIFCloseL": (ctypes.c_int, [pointer]),
        "VSIGetFileMetadata": (ctypes.POINTER(text), [text, text, pointer]),
        "CSLDestroy": (None, [ctypes.POINTER(text)]),
        "VSICurlPartialClearCache": (None, [text]),
        "VSIErrorReset": (None, []),
        "CPLErrorReset": (None, []),
        "VSIGetLastErrorMsg": (text, []),
        "CPLGetLastErrorMsg": (text, []),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
