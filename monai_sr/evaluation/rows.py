"""What was measured, one row an image and system; the CSV files that keep rows; numbers as text."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_sr.core import BadImageError, PathLike, atomic_file, safe_cell, true_cell
from monai_sr.metrics import FAST, MEASURES, STANDARD

_BEFORE = ("set", "image", "class", "scale", "system")
_AFTER = ("seconds", "protocol", "weights_sha256")
HEADER = (*_BEFORE, *STANDARD, *_AFTER)
"""Columns of every new file; files of older releases may lack measures that are not of FAST."""
_SECONDS_DIGITS, _MORE_DIGITS = 3, 6


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold what was measured on one image.

    Args:
        set: the benchmark.
        image: its name.
        label: its class, empty where the set has none.
        scale: the enlargement.
        system: what enlarged it.
        figures: measure -> what it gave; ``row["psnr"]`` is one of them, NaN if it was not taken.
        seconds: what the enlargement took.
        protocol: name of the protocol.
        weights_sha256: of the system's weights, empty where it has none.
        patient: whose image it is, empty where unknown.
    """

    set: str
    image: str
    label: str
    scale: int
    system: str
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float
    protocol: str
    weights_sha256: str
    patient: str = ""

    def __getitem__(self, measure: str) -> float:
        """Return one figure by the name of its measure; NaN where it was not taken."""
        return self.figures.get(measure, math.nan)

    def cells(self, columns: Sequence[str] = HEADER) -> list[str]:
        """Return the row as text, in the order of the columns; an unknown figure is empty."""
        return [self._cell(column) for column in columns]

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Order rows by scale, system, class and image."""
        return (self.scale, self.system, self.label, self.image)

    def _cell(self, column: str) -> str:
        if column in (*_BEFORE, *_AFTER, "patient"):
            value: Any = getattr(self, "label" if column == "class" else column)
            return f"{value:.{_SECONDS_DIGITS}f}" if column == "seconds" else str(value)
        known = MEASURES.get(column).stored_digits if column in MEASURES else _MORE_DIGITS
        return "" if math.isnan(self[column]) else f"{self[column]:.{known}f}"


def has_rows(path: PathLike) -> bool:
    """Tell a file of rows from other tables by its header."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return _is_header(next(csv.reader(stream), []))


def _is_header(cells: list[str]) -> bool:
    """Columns of our own, then those of further measures."""
    known = [cell for cell in cells if cell in HEADER]
    return {*_BEFORE, *FAST, *_AFTER} <= set(known) and cells[: len(known)] == known


def read_rows(path: PathLike) -> list[Row]:
    """Read a CSV file of rows; an absent file has none. Figures that older files lack are NaN.

    Raises:
        BadImageError: if the file holds something else.
    """
    path = Path(path)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    try:
        if not _is_header(lines[0]):
            raise ValueError("another header")
        return [
            _row(dict(zip(lines[0], map(true_cell, cells), strict=True))) for cells in lines[1:]
        ]
    except (ValueError, IndexError) as error:
        raise BadImageError(
            f"{path}: must be a table with the columns {', '.join(HEADER)}, got {error}; "
            "move it away and evaluate again"
        ) from error


def write_rows(path: PathLike, rows: Iterable[Row], *, keep_others: bool = True) -> None:
    """Put rows into a CSV file in place of those of the same system and scale; others stay.

    The order is fixed (scale, system, class, image), so the same figures give the same file.
    Patients and further measures have a column where a row has them.

    Args:
        path: the file.
        rows: what it shall hold.
        keep_others: whether rows of other systems and scales stay.

    Raises:
        OutputError: if the file cannot be written.
    """
    new = list(rows)
    replaced = {(row.system, row.scale) for row in new}
    old = read_rows(path) if keep_others else []
    kept = [row for row in old if (row.system, row.scale) not in replaced]
    every = sorted([*kept, *new], key=lambda row: row.key)
    patient = ["patient"] if any(row.patient for row in every) else []
    figures = [name for row in every for name in row.figures if name not in HEADER]
    columns = [*HEADER, *patient, *dict.fromkeys(figures)]
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(safe_cell, row.cells(columns)) for row in every)


def _row(text: dict[str, str]) -> Row:
    return Row(
        set=text.pop("set"),
        image=text.pop("image"),
        label=text.pop("class"),
        scale=int(text.pop("scale")),
        system=text.pop("system"),
        seconds=float(text.pop("seconds")),
        protocol=text.pop("protocol"),
        weights_sha256=text.pop("weights_sha256"),
        patient=text.pop("patient", ""),
        figures={name: float(cell) for name, cell in text.items() if cell},
    )


def short(value: float) -> str:
    """Write a number with three digits and a unit prefix; a dash where it is unknown.

    Example:
        >>> short(1548547), short(75), short(0.05), short(float("nan"))
        ('1.55 M', '75', '0.05', '-')
    """
    if math.isnan(value):
        return "-"
    for limit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit * 0.9995:
            value /= limit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{prefix}"
    return f"{value:.3g}"
