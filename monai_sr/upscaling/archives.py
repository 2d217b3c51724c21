"""Zips among the inputs of a run: unpacked into a temporary folder, shown as zip/member.

APPNOTE.TXT of the ZIP format; what an archive of strangers may do: write elsewhere by its names
("zip slip"), and unpack to more than a disk holds ("zip bomb").
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from monai_sr.core.errors import BadImageError
from monai_sr.core.log import forget, show_as

_MOST_MEMBERS = 100_000
_MOST_BYTES = 2**38
# Real studies pack 2 to 5 times; bombs 1000 times, and small ones do no harm.
_MOST_RATIO, _HARMLESS_BYTES = 100, 2**28
_FREE_SHARE = 0.9  # of the temporary folder's disk
_COPY_BYTES = 2**20
# Not that of private folders, whose VRTs are trusted: what others sent lies here.
_PREFIX = "unpacked_by_monai_sr_"
_GB = 10**9


def is_archive(path: Path) -> bool:
    """Tell whether a file is called a zip; Sentinel-2 products are to be asked for before."""
    return path.suffix.lower() == ".zip" and path.is_file()


class Archives:
    """Temporary folders (mode 0700) of unpacked zips, removed with this object."""

    def __init__(self) -> None:
        self._places: dict[Path, Path] = {}
        self._top: Path | None = None

    def __bool__(self) -> bool:
        """Tell whether anything has been unpacked."""
        return bool(self._places)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Know the names in a worker, too, that was started afresh."""
        self.__dict__.update(state)
        for place, path in self._places.items():
            show_as(place, str(path))

    def unpack(self, path: Path) -> Path:
        """Return the folder that holds what a zip holds.

        Members that are links, encrypted or no files are left out or refused, as the text says.

        Args:
            path: the zip.

        Raises:
            BadImageError: it is damaged, encrypted or unsafe.
        """
        if self._top is None:
            self._top = Path(tempfile.mkdtemp(prefix=_PREFIX))
            weakref.finalize(self, _remove, self._top, os.getpid())
        place = Path(tempfile.mkdtemp(prefix="", dir=self._top))
        try:
            self._unpack(path, place)
        except BadImageError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._places[place] = path
        show_as(place, str(path))
        return place

    @staticmethod
    def _unpack(path: Path, place: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if _is_wanted(m)]
                _check(path, members, place)
                for member in members:
                    _copy(archive, member, place)
        except (zipfile.BadZipFile, EOFError, zlib.error, UnicodeError) as error:
            raise BadImageError(
                f"{path}: must be a complete zip, got a damaged one; copy or download it again."
            ) from error
        except (RuntimeError, NotImplementedError) as error:  # of zipfile: encrypted, unknown
            raise BadImageError(
                f"{path}: must be a zip without password in a common compression, got another "
                "one; unpack it first."
            ) from error
        except OSError as error:
            raise BadImageError(
                f"{path}: must be readable and fit into the temporary folder, got "
                f"'{error.strerror or error}'; unpack it first, or set TMPDIR to a larger disk."
            ) from error


def _remove(folder: Path, process: int) -> None:
    # A worker of a data loader has a copy of the object, not a folder of its own.
    if os.getpid() == process:
        forget(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _name(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))  # as some programs write it


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    """Leave out folders, links, and what systems add (__MACOSX, .DS_Store)."""
    parts = _name(member).parts
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    is_hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
    return bool(parts) and not (member.is_dir() or is_link or is_hidden)


def _check(path: Path, members: list[zipfile.ZipInfo], place: Path) -> None:
    names = [_name(member) for member in members]
    if any(n.is_absolute() or ".." in n.parts or PureWindowsPath(n).drive for n in names):
        raise BadImageError(
            f"{path}: members must lie in the zip's own folder, got a name that leads out of it; "
            "do not trust this file."
        )
    if len(set(names)) < len(names):
        _refuse(path, "must hold each name once", "one twice")
    size, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    free = shutil.disk_usage(place).free
    if len(members) > _MOST_MEMBERS:
        _refuse(path, f"must have at most {_MOST_MEMBERS} members", str(len(members)))
    if size > min(_MOST_BYTES, free * _FREE_SHARE):
        most = min(_MOST_BYTES, free * _FREE_SHARE) / _GB
        _refuse(path, f"must unpack to at most {most:.1f} GB here", f"{size / _GB:.1f} GB")
    if size > _HARMLESS_BYTES and size > _MOST_RATIO * max(packed, 1):
        _refuse(path, f"must pack at most {_MOST_RATIO} times", f"{size / max(packed, 1):.0f}")
    # Members that overlap in the file are how small bombs are built.
    if packed > path.stat().st_size:
        _refuse(path, "members must not overlap", "some that do")


def _refuse(path: Path, must: str, got: str) -> NoReturn:
    raise BadImageError(f"{path}: {must}, got {got}; unpack it first if you trust it.")


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path) -> None:
    target = place.joinpath(*_name(member).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as out:
        while block := source.read(min(_COPY_BYTES, left + 1)):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile("longer than declared")
            out.write(block)
