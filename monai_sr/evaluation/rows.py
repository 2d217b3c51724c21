"""What was measured, one row an image and system; the CSV files and the cache that keep rows.

The cache has rows under a hash of all they depend on, so that nothing is measured twice: the bytes
of the image, the system with its weights, options and code, the protocol, the measures, the
processor, every file of this package and the version of every library.
"""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_sr.core import (
    BadImageError,
    PathLike,
    atomic_file,
    code_digest,
    library_versions,
    safe_cell,
    true_cell,
)
from monai_sr.core.fingerprint import fingerprint
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
