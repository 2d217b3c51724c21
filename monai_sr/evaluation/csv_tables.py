"""Read and write the CSV tables of measured figures, each with a fixed header."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError
from monai_sr.core.printable import safe_cell, true_cell
from monai_sr.core.types import PathLike

T = TypeVar("T")


def read_table(
    path: PathLike, header: Sequence[str], make: Callable[[dict[str, str]], T], script: str
) -> list[T]:
    """Read a table; an absent file has no lines.

    Args:
        path: the file.
        header: its columns.
        make: builds what is returned of a line; may raise ValueError.
        script: what writes the table, for the remedy of an error.

    Raises:
        BadImageError: if the file holds something else.
    """
    if not Path(path).exists():
        return []
    with Path(path).open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    try:
        if lines[0] != list(header):
            raise ValueError("another header")
        return [make(dict(zip(header, map(true_cell, cells), strict=True))) for cells in lines[1:]]
    except (ValueError, IndexError) as error:
        raise BadImageError(
            f"{path}: must be a table with the columns {', '.join(header)}, got {error}; "
            f"move it away and run {script} again"
        ) from error


def write_table(path: PathLike, header: Sequence[str], lines: Iterable[Iterable[str]]) -> None:
    """Write a table; it appears whole.

    Raises:
        OutputError: if the file cannot be written.
    """
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(safe_cell, line) for line in lines)
