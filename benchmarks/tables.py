"""Tables of what was measured: CSV files whose lines are rows of a dataclass."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError
from monai_sr.core.text import safe_cell, true_cell
from monai_sr.core.types import PathLike

T = TypeVar("T")

_READERS: dict[type, Callable[[str], object]] = {
    str: str,
    int: int,
    float: lambda cell: float(cell or "nan"),
    bool: lambda cell: cell == "True",
}


class Table(Generic[T]):
    """Read and write rows of one kind.

    Args:
        kind: a dataclass of texts, numbers and truths; its fields are the columns.
        script: what writes the table, for the remedy of an error.
        text: of a number that is neither whole nor NaN, whose cell is empty.
        group: of a row: what is measured, and replaced, together; without it all rows are.
        order: of a row: what rows are sorted by; without it they stay as they come.
    """

    def __init__(
        self,
        kind: type[T],
        script: str,
        text: Callable[[float], str],
        *,
        group: Callable[[T], object] | None = None,
        order: Callable[[T], Any] | None = None,
    ) -> None:
        self.kind, self.script = kind, script
        self.header = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self._text, self._group, self._order = text, group, order
        hints = get_type_hints(kind)
        self._readers = {name: _READERS[hints[name]] for name in self.header}

    def read(self, path: PathLike) -> list[T]:
        """Read the rows; an absent file has none.

        Raises:
            BadImageError: if the file holds something else.
        """
        return read_table(path, self.header, self._row, self.script)

    def write(self, path: PathLike, rows: Iterable[T]) -> None:
        """Put rows into the file in place of those of their groups.

        Raises:
            OutputError: if the file cannot be written.
        """
        every = list(rows)
        if self._group is not None:
            replaced = set(map(self._group, every))
            every = [r for r in self.read(path) if self._group(r) not in replaced] + every
        if self._order is not None:
            every.sort(key=self._order)
        write_table(path, self.header, (map(self._cell, astuple(row)) for row in every))  # type: ignore[call-overload]

    def _row(self, text: dict[str, str]) -> T:
        return self.kind(**{name: self._readers[name](cell) for name, cell in text.items()})

    def _cell(self, value: str | float) -> str:
        if not isinstance(value, float):
            return str(value)
        return "" if math.isnan(value) else self._text(value)


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
