"""Keep what was measured under a hash of all it depends on, so that nothing is measured twice.

The hash covers the bytes of the image, the system with its weights, options and code, the protocol,
the measures, the processor, every file of this package and the version of every library. Whatever
changes, the row is measured anew.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import monai_sr
from monai_sr.core.atomic import atomic_file
from monai_sr.core.types import PathLike
from monai_sr.evaluation.rows import Row

_ELSEWHERE = ("bundles", "configs")
_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


class Cache:
    """A folder of small JSON files by key, each written whole or not at all.

    Args:
        folder: made when the first entry is kept; None keeps nothing.
    """

    def __init__(self, folder: PathLike | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def row(self, key: str) -> Row | None:
        """Return the row that is kept under a key; None where there is none, or it is damaged."""
        try:
            return Row(**self.get(key))
        except TypeError:
            return None

    def get(self, key: str) -> dict[str, Any]:
        """Return the entry of a key; an empty one where there is none, or it is damaged."""
        file = self._file(key)
        if file is None or not file.is_file():
            return {}
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            return {}

    def put(self, key: str, entry: Mapping[str, Any]) -> None:
        """Keep an entry.

        Raises:
            OutputError: if the folder cannot be written.
        """
        file = self._file(key)
        if file is None:
            return
        with atomic_file(file) as temporary:
            temporary.write_text(json.dumps(entry), encoding="utf-8")

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / key[:2] / f"{key}.json"


def content_key(**parts: Any) -> str:
    """Return the hash of what a row depends on, the code and its libraries included."""
    named = {"code": code_digest(), "libraries": library_versions(), **parts}
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the version of this package with a hash of its files, weights of measures too.

    No folder is left out for being unlikely to change a figure: once one was, and yesterday's
    figures came back. Bundles and configs, which a wheel carries inside the package, count with the
    candidate that uses them.
    """
    return f"{monai_sr.__version__} {folder_digest(Path(monai_sr.__file__).parent)}"


def folder_digest(folder: Path) -> str:
    """Return the hash of the names and bytes of a folder's files, but for compiled code."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and parts[0] not in _ELSEWHERE and "__pycache__" not in parts:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            total.update(f"{'/'.join(parts)} {content}\n".encode())
    return total.hexdigest()


@lru_cache(maxsize=1)
def library_versions() -> tuple[str, ...]:
    """Return Python and every installed distribution: any of them may decode or compute."""
    found = {f"{each.metadata['Name']} {each.version}" for each in distributions()}
    return (f"python {platform.python_version()}", *sorted(found))


def source_digest(modules: Iterable[str]) -> str:
    """Return the hash of modules and of all they import, but what the other two hashes cover.

    That is this package and what is installed: a network of one's own lies elsewhere.

    Args:
        modules: their names; those that were never imported decide on nothing.
    """
    found: dict[str, str] = {}
    for name in modules:
        _collect(name, found)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _collect(name: str, found: dict[str, str]) -> None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if name in found or name.split(".")[0] == "monai_sr" or not file or _is_installed(file):
        return
    source = Path(file).read_bytes()
    found[name] = hashlib.sha256(source).hexdigest()
    if not file.endswith(".py"):
        return
    package = str(getattr(module, "__package__", ""))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            bases, names = [alias.name for alias in node.names], []
        elif isinstance(node, ast.ImportFrom):
            levels = package.split(".")[: len(package.split(".")) - node.level + 1]
            bases = [".".join(filter(None, [*(levels if node.level else []), node.module]))]
            names = [f"{bases[0]}.{alias.name}" for alias in node.names]
        else:
            continue
        for each in (*bases, *names):
            parts = each.split(".")
            for end in range(1, len(parts) + 1):
                _collect(".".join(parts[:end]), found)


def _is_installed(file: str) -> bool:
    paths = sysconfig.get_paths()
    return any(Path(file).is_relative_to(paths[key]) for key in _INSTALLED)
