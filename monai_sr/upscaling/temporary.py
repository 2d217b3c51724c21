"""Temporary folders that stand for inputs: unpacked zips, parts of products, links without names.

APPNOTE.TXT of the ZIP format; what an archive of strangers may do: write elsewhere by its names
("zip slip"), and unpack to more than a disk holds ("zip bomb").

A run that de-identifies gives inputs names that tell nothing about a patient: the start of the
SHA-256 of the content. The same file has the same alias in every run, and nobody finds the old name
by trying names. Inputs are reached through links of these names, so that no message, record or
result below can show another.
"""

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from monai_sr.core import BadImageError, make_private_folder, remove_with, sha256, show_as
from monai_sr.formats import (
    METADATA,
    class_file,
    dependencies,
    digest,
    format_of,
    is_product,
    known_suffix,
    made_folder,
    open_product,
    product_stem,
    split_part,
    write_vrt,
)

_MOST_MEMBERS = 100_000
_OF_ZARR = (".zattrs", ".zgroup", ".zarray")  # hidden, and needed
_MOST_BYTES = 2**38
# Real studies pack 2 to 5 times; bombs 1000 times, and small ones do no harm.
_MOST_RATIO, _HARMLESS_BYTES = 100, 2**28
_FREE_SHARE = 0.9  # of the temporary folder's disk
_COPY_BYTES = 2**20
# Not that of private folders, whose VRTs are trusted: what others sent lies here.
_PREFIX = "unpacked_by_monai_sr_"
_GB = 10**9
_DIGITS = 12  # of hashes in names
# What follows the stem in names of files that belong to an image: a.tfw, a.tif.msk, a_RPC.TXT.
_ENDS_BESIDE = (".", "_rpc.", "_metadata.")


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

    def unpack(self, path: Path, member: str = "") -> Path:
        """Return the folder that holds what a zip holds.

        Members that are links, encrypted or no files are left out or refused, as the text says.

        Args:
            path: the zip.
            member: of a file or folder in it, which is unpacked with what lies beside it under its
                own name; "": all.

        Raises:
            BadImageError: it is damaged, encrypted or unsafe.
        """
        if self._top is None:
            self._top = Path(tempfile.mkdtemp(prefix=_PREFIX))
            remove_with(self, self._top)
        place = Path(tempfile.mkdtemp(prefix="", dir=self._top))
        try:
            self._unpack(path, place, PurePosixPath(member))
        except BadImageError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._places[place] = path
        show_as(place, str(path))
        return place

    @staticmethod
    def _unpack(path: Path, place: Path, only: PurePosixPath) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if _is_wanted(m) and _is_of(m, only)]
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


def _member_name(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))  # as some programs write it


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    """Leave out folders, links, and what systems add (__MACOSX, .DS_Store)."""
    parts = _member_name(member).parts
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    is_hidden = any(
        part.startswith((".", "__MACOSX")) and part not in ("..", *_OF_ZARR) for part in parts
    )
    return bool(parts) and not (member.is_dir() or is_link or is_hidden)


def _is_of(member: zipfile.ZipInfo, only: PurePosixPath) -> bool:
    """Tell whether a member is one, in it, or beside it: a.tif, a.tfw, a_RPC.TXT."""
    name = _member_name(member)
    if not only.parts or name.is_relative_to(only):
        return True
    return name.parent == only.parent and _is_beside(name.name, only.name.partition(".")[0])


def _is_beside(name: str, stem: str) -> bool:
    """Tell whether a name is a stem with an end that GDAL looks for."""
    return name.startswith(stem) and name[len(stem) :].lower().startswith(_ENDS_BESIDE)


def _check(path: Path, members: list[zipfile.ZipInfo], place: Path) -> None:
    names = [_member_name(member) for member in members]
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
    target = place.joinpath(*_member_name(member).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as out:
        while block := source.read(min(_COPY_BYTES, left + 1)):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile("longer than declared")
            out.write(block)


class Products:
    """Makes rasters of parts of products, in a temporary folder that goes with this object."""

    def __init__(self) -> None:
        self.folder = make_private_folder()
        remove_with(self, self.folder)

    def raster(self, part: str) -> tuple[Path, str | None]:
        """Return the raster of a part, and the file of the scene classes that belong beside it.

        Args:
            part: a name that :func:`product_parts` gave.

        Raises:
            BadImageError: if the product is damaged.
        """
        found = split_part(part)
        if found is None:
            raise BadImageError(f"{part}: the product is gone; check the name")
        product = open_product(found[0])
        classes = class_file(product, found[1])
        # Products of one name may lie in several folders.
        digest = sha256(part)[:_DIGITS]
        place = made_folder(self.folder, digest)
        show_as(place, str(found[0]))
        return write_vrt(product, found[1], place), classes


def product_parts(path: Path) -> dict[Path, list[Path]]:
    """Return the inputs that a product stands for, by the names that their results go by.

    A damaged one stands for itself: reading it will say what is wrong.

    Args:
        path: folder or zip of a product.
    """
    try:
        parts = open_product(path).parts()
    except BadImageError:
        return {path: [Path(f"{path}:10m")]}
    suffix = ".zip" if path.is_file() else ".SAFE"
    stem = product_stem(path)
    return {
        path.with_name(f"{stem}_{part.name.rpartition(':')[2]}{suffix}"): [part] for part in parts
    }


def named_product(path: Path) -> Path | None:
    """Return the product that a path names, by itself or by the file of its metadata."""
    if path.is_file() and METADATA.fullmatch(path.name):
        path = path.absolute().parent
    return path if is_product(path) else None


class Aliases:
    """A temporary folder of links to the inputs, removed with this object.

    Args:
        found: name -> files of every input, as :class:`monai_sr.upscaling.FileDataset` finds them.
        key: secret of the hashes; without one, who has a file can find its result.

    Attributes:
        folder: where the links are.
        found: the same inputs, by their aliases.
    """

    def __init__(self, found: dict[Path, list[Path]], key: bytes = b"") -> None:
        self.folder = make_private_folder()
        remove_with(self, self.folder)
        show_as(self.folder, "")
        self.found: dict[Path, list[Path]] = {}
        met: Counter[str] = Counter()
        for files in found.values():
            digest = _alias(files, key)
            met[digest] += 1
            # Equal inputs give equal results, each under a name of its own.
            stem = digest if met[digest] == 1 else f"{digest}_{met[digest]}"
            self._add(stem, files)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hide the folder in a worker, too, that was started afresh."""
        self.__dict__.update(state)
        show_as(self.folder, "")

    def _add(self, stem: str, files: list[Path]) -> None:
        if len(files) == 1 and not format_of(files[0]).has_series:
            name = self.folder / f"{stem}{known_suffix(files[0])}"
            links = [name]
            for file in dependencies(files[0])[1:]:
                if beside := _name_beside(file.name, files[0].name, name.name):
                    _link(file, name.with_name(beside))
        elif len(files) == 1:
            name = self.folder / f"{stem}.dcm"
            links = [name]
        else:
            name = self.folder / stem
            name.mkdir()
            links = [name / f"{i:05d}.dcm" for i in range(1, len(files) + 1)]
        for link, file in zip(links, files, strict=True):
            _link(file, link)
        self.found[name] = links


def _name_beside(name: str, image: str, alias: str) -> str:
    """Return what a file beside an image is called beside its alias; "" for one named otherwise."""
    for old, new in ((image, alias), (_stem(image), _stem(alias))):
        if _is_beside(name, old):
            return f"{new}{name[len(old) :]}"
    return ""


def _stem(name: str) -> str:
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _alias(files: list[Path], key: bytes) -> str:
    parts = []
    for file in files:
        with suppress(OSError):  # its reader will say that it cannot be read
            parts.append(bytes.fromhex(digest([file])))
    return sha256(b"".join(parts), key)[:_DIGITS]


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file.absolute())
    except OSError:  # Windows without the right to make links
        (shutil.copytree if file.is_dir() else shutil.copyfile)(file, link)
