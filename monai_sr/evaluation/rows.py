"""What was measured, one row an image and system, and the CSV files that keep rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError
from monai_sr.core.printable import safe_cell, true_cell
from monai_sr.core.types import PathLike


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold what was measured on one image.

    PSNR and LR-PSNR in dB; ``lpips`` with SqueezeNet's offline weights, ``gmsd``, ``dss``: NaN
    where they were not measured; time in seconds; ``more``: further measures by name; ``patient``:
    whose image it is, empty where unknown.
    """

    set: str
    image: str
    label: str
    scale: int
    system: str
    psnr: float
    ssim: float
    lpips: float = math.nan
    gmsd: float = math.nan
    dss: float = math.nan
    lr_psnr: float
    seconds: float
    protocol: str
    weights_sha256: str
    patient: str = ""
    more: Mapping[str, float] = field(default_factory=dict)

    def value(self, measure: str) -> float:
        """Return one measure by its name; NaN where it was not measured."""
        if measure in MEASURED:
            return float(getattr(self, measure))
        return self.more.get(measure, math.nan)

    def cells(self, columns: Sequence[str] | None = None) -> list[str]:
        """Return the row as text, in the order of the columns; an unknown figure is empty."""
        return [self._cell(column) for column in columns or HEADER]

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Order rows by scale, system, class and image."""
        return (self.scale, self.system, self.label, self.image)

    def _cell(self, column: str) -> str:
        value: Any
        if column in self.more:
            value, digits = self.more[column], _MORE_DIGITS
        else:
            value = getattr(self, "label" if column == "class" else column, math.nan)
            digits = _DIGITS.get(column, 0)
        if not isinstance(value, float):
            return str(value)
        return "" if math.isnan(value) else f"{value:.{digits}f}"


MEASURED = ("psnr", "ssim", "lpips", "gmsd", "dss", "lr_psnr")
"""Measures that every row has a field for."""
_DIGITS = {"psnr": 4, "ssim": 5, "lpips": 5, "gmsd": 5, "dss": 5, "lr_psnr": 2, "seconds": 3}
_MORE_DIGITS = 6
_OPTIONAL = ("patient", "more")
HEADER = ["class" if f.name == "label" else f.name for f in fields(Row) if f.name not in _OPTIONAL]
_ADDED = {"lpips", "gmsd", "dss"}
"""Columns that older files lack."""


def has_rows(path: PathLike) -> bool:
    """Tell a file of rows from other tables by its header."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return _is_header(next(csv.reader(stream), []))


def _is_header(cells: list[str]) -> bool:
    """Columns of our own, then those of further measures."""
    known = [cell for cell in cells if cell in HEADER]
    return set(HEADER) - _ADDED <= set(known) and cells[: len(known)] == known


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
    columns = [*HEADER, *(["patient"] if any(row.patient for row in every) else [])]
    columns += dict.fromkeys(name for row in every for name in row.more)
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
        **{name: float(text.pop(name, "") or "nan") for name in MEASURED},
        more={name: float(cell) for name, cell in text.items() if cell},
    )
