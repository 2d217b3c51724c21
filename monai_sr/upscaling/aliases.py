"""Gives inputs names that tell nothing about a patient, for runs that de-identify.

An alias is the start of the SHA-256 of the content: the same file has the same alias in every run,
and nobody finds the old name by trying names. Inputs are reached through links of these names, so
that no message, record or result below can show another.
"""

from __future__ import annotations

import shutil
import weakref
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai_sr.core.contents import file_sha256
from monai_sr.core.fingerprint import sha256
from monai_sr.core.log import forget, show_as
from monai_sr.core.private_folder import make_private_folder
from monai_sr.formats import format_of, known_suffix
from monai_sr.formats.identity import dependencies

_DIGITS = 12


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
        weakref.finalize(self, _remove, self.folder)
        show_as(self.folder, "")
        self.found: dict[Path, list[Path]] = {}
        met: Counter[str] = Counter()
        for files in found.values():
            digest = _digest(files, key)
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


def _remove(folder: Path) -> None:
    forget(str(folder))
    shutil.rmtree(folder, ignore_errors=True)


def _name_beside(name: str, image: str, alias: str) -> str:
    """Return what a file beside an image is called beside its alias; "" for one named otherwise."""
    for old, new in ((image, alias), (_stem(image), _stem(alias))):
        if name.startswith(f"{old}."):
            return f"{new}{name[len(old) :]}"
    return ""


def _stem(name: str) -> str:
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _digest(files: list[Path], key: bytes) -> str:
    parts = []
    for file in files:
        with suppress(OSError):  # its reader will say that it cannot be read
            parts.append(bytes.fromhex(file_sha256(file)))
    return sha256(b"".join(parts), key)[:_DIGITS]


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file.absolute())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(file, link)
