"""Keep what was measured under a hash of all it depends on, so that nothing is measured twice.

The hash covers the bytes of the image, the system with its weights and options, the protocol, the
measures, the processor and the code of this package. Whatever changes, the row is measured anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import monai_sr
from monai_sr.core.atomic import atomic_file
from monai_sr.core.types import PathLike
from monai_sr.evaluators.rows import Row


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
    named = {"code": code_digest(), "torch": torch.__version__, **parts}
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the version of this package with a hash of its Python files."""
    package = Path(monai_sr.__file__).parent
    total = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        # What finds files and talks to people changes no figure.
        if file.parent.name not in ("apps", "writers", "handlers"):
            total.update(file.read_bytes())
    return f"{monai_sr.__version__} {total.hexdigest()}"
