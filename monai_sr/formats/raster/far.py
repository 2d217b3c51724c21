"""Files that stand for rasters on a network, so that paths work for them, too.

A stand-in has the name, the first bytes and the version of a TIFF at an address that the user gave,
and no pixels: whatever asks for its format, its checksum or its name gets an answer, and GDAL reads
the rest where it lies, window by window. It lies in a private folder of the process, and beside it
a hidden file with the address as GDAL takes it, credentials included: nobody else can read either.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import rasterio

from monai_sr.core import (
    HEAD_BYTES,
    Address,
    BadImageError,
    PathLike,
    UnreachableError,
    get_logger,
    is_private,
    without_secrets,
)
from monai_sr.formats.raster.vsi import FileState, VsiError, VsiFile, fetch, look, reason

logger = get_logger(__name__)

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUFFIXES = (".tif", ".tiff")
_INNERMOST = re.compile(r"\{(/vsi[^{}]*)\}")
# Each may be set in the environment; GDAL's own defaults wait for ever and try once.
_HTTP = {
    "GDAL_HTTP_CONNECTTIMEOUT": "10", "GDAL_HTTP_TIMEOUT": "60", "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
}  # fmt: skip


_SPEAKERS = ("rasterio._env", "rasterio._err", "rasterio._base", "rasterio._io", "rasterio.env")


def _hide_secrets(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if (told := without_secrets(message)) != message:
        record.msg, record.args = told, None
    return True


for _name in _SPEAKERS:  # they repeat what GDAL says, with whole addresses
    logging.getLogger(_name).addFilter(_hide_secrets)


@dataclass(frozen=True)
class Far:
    """What a stand-in stands for.

    Attributes:
        gdal: GDAL's name for it, never to be shown.
        network: what of it is on a network, by GDAL's name.
        shown: the address without credentials.
    """

    gdal: str
    network: str
    shown: str

    def options(self) -> dict[str, str]:
        """Return GDAL's configuration while it is read: this file is opened and no other."""
        return {
            **http_options(),
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_PAM_ENABLED": "NO",
            "CPL_VSIL_CURL_ALLOWED_FILENAME": self.network or "/none",
        }


def http_options() -> dict[str, str]:
    """Return times and retries that the environment does not set."""
    return {key: value for key, value in _HTTP.items() if key not in os.environ}


def bring(address: Address, top: Path) -> Path:
    """Return a file for an address: a stand-in of a TIFF on a network, else a copy.

    Args:
        address: what the user named.
        top: private folder for the files of its host; its path there is that of the address.

    Raises:
        BadImageError: there is no such file, or it cannot be read.
        OSError: it does not fit on the disk.
    """
    far = Far(address.gdal, address.network, str(address))
    path = top / address.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _reached(far):
        state = look(far.gdal, far.network, HEAD_BYTES)
        if not (far.network and state.head.startswith(_TIFF)):
            fetch(far.gdal, path)
            return path
    if not path.name.lower().endswith(_SUFFIXES):
        path = path.with_name(f"{path.name}.tif")
    if not state.is_versioned:
        logger.warning(
            "%s: its server tells neither ETag nor Last-Modified: only another size shows that the "
            "file has changed", far.shown,
        )  # fmt: skip
    _beside(path).write_text(json.dumps([far.gdal, far.network, far.shown]), encoding="utf-8")
    _write(path, state)
    return path


def far_of(path: PathLike) -> Far | None:
    """Return what a file stands for; None for all others."""
    real = Path(os.path.realpath(path))
    beside = _beside(real)
    if not os.path.isfile(beside) or not is_private(real.parent):
        return None
    return Far(*json.loads(beside.read_text(encoding="utf-8")))


def renew(path: Path) -> None:
    """Ask for the version of a file on a network anew, so that its stand-in changes as it does.

    Raises:
        UnreachableError: it cannot be reached.
    """
    far = far_of(path)
    if far is not None:
        with _reached(far, UnreachableError):
            _write(Path(os.path.realpath(path)), look(far.gdal, far.network, HEAD_BYTES))


def raise_if_far(path: PathLike, error: BaseException) -> None:
    """Raise another error where a file cannot be read that lies on a network.

    Raises:
        UnreachableError: it does.
    """
    if far_of(path) is None:
        return
    while error.__cause__ is not None:
        error = error.__cause__
    raise UnreachableError(
        f"{path}: must be readable to its end, got '{reason(str(error))}'; run the same command "
        "again, which goes on where this one ended"
    ) from None  # its context tells the address


@contextmanager
def open_bytes(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, or the one that it stands for.

    Args:
        path: of either, or GDAL's name for a file.

    Raises:
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    far = _of_name(name) if name.startswith("/vsi") else far_of(path)
    if far is None:
        with open(path, "rb") as stream:
            yield stream
        return
    with _reached(far, UnreachableError), VsiFile(far.gdal) as file:
        yield cast("BinaryIO", file)


@contextmanager
def _reached(
    far: Far, kind: type[BadImageError] | type[UnreachableError] = BadImageError
) -> Iterator[None]:
    try:
        with rasterio.Env(**far.options()):
            yield
    except VsiError as error:
        raise kind(
            f"{far.shown}: must be a file that can be read, got '{error}'; check the address, and "
            "credentials in GDAL's environment variables"
        ) from None  # its context may tell the address


def _of_name(name: str) -> Far:
    inner = _INNERMOST.search(name)
    return Far(name, name if inner is None else inner[1], without_secrets(name))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.address")


def _write(path: Path, state: FileState) -> None:
    version = json.dumps([state.size, state.etag, state.modified]).encode()
    content = state.head + version
    if path.is_file() and path.read_bytes() == content:
        return
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(content)
    os.utime(partial, (0, 0))  # the same in every run: tiles of an interrupted one are known by it
    os.replace(partial, path)
