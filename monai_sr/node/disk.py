"""Moves on one disk that are done once they are said to be done, and small records there."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_sr.core.atomic import flush_folder

_PRIVATE = 0o700


def flush_tree(folder: Path) -> None:
    """Make all files and names below a folder durable."""
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as stream:
                os.fsync(stream.fileno())
        flush_folder(Path(root))


def make_folder(folder: Path) -> None:
    """Make a folder that is the user's own, with its parents, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    flush_folder(folder.parent)


def move(source: Path, target: Path) -> None:
    """Rename durably; the folder of ``target`` is there."""
    os.rename(source, target)
    flush_folder(target.parent)
    if source.parent != target.parent:
        flush_folder(source.parent)


def write_record(file: Path, values: Mapping[str, Any]) -> None:
    """Write JSON under a name at once and durably; an existing file is replaced."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with partial.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, file)
    flush_folder(file.parent)


def read_record(file: Path) -> dict[str, Any] | None:
    """Return what :func:`write_record` wrote, None where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return dict(found)


def remove_tree(folder: Path, trash: Path) -> None:
    """Remove a folder so that nobody ever sees a part of it.

    Args:
        folder: what goes.
        trash: a folder on the same disk that is emptied at the start.
    """
    aside = trash / secrets.token_hex(8)
    move(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def entries(folder: Path) -> list[Path]:
    """Return the visible entries of a folder by name; none where it is gone."""
    try:
        return sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    except FileNotFoundError:
        return []


def tree_bytes(folder: Path) -> int:
    """Return how many bytes the files below a folder have; linked ones count once."""
    seen: set[int] = set()
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                status = os.stat(os.path.join(root, name), follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_size
    return total
