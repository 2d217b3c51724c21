"""Keep what was measured under a hash of all it depends on, so that nothing is measured twice.

The hash covers the bytes of the image, the system with its weights, options and code, the protocol,
the measures, the processor, every file of this package and the version of every library. Whatever
changes, the row is measured anew.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_sr.core import PathLike, atomic_file, code_digest, library_versions
from monai_sr.core.fingerprint import fingerprint
from monai_sr.evaluation.rows import Row


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
    return fingerprint(code=code_digest(), libraries=library_versions(), **parts)
