"""Reads the table that says which image is of which patient, and what it may be used for."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core.errors import OptionError
from monai_sr.core.types import PathLike

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitEntry:
    """Say of one image whose it is, and what it is for; ``split`` is empty where nothing says."""

    patient: str
    split: str = ""


@dataclass(frozen=True)
class SplitTable:
    """Hold the lines of a table by the names of the images.

    Args:
        path: the table.
        entries: name of an image -> its line.
        has_split: whether the table decides what an image is for.
    """

    path: Path
    entries: dict[str, SplitEntry]
    has_split: bool

    def entry(self, names: Iterable[str]) -> SplitEntry:
        """Return the line of an image that goes by several names.

        Raises:
            OptionError: if it has none, for an image of an unknown patient could end up on both
                sides of the split.
        """
        last = ""
        for name in names:
            if name in self.entries:
                return self.entries[name]
            last = name
        raise OptionError(f"{self.path}: has no line for {last}; add it, or remove the image")


def read_split_table(path: PathLike) -> SplitTable:
    """Read a CSV table with the columns ``file``, ``patient`` and, if wanted, ``split``.

    ``file`` is the name of an image or the end of its path ("sub-01/t1.nii.gz"), and for a DICOM
    series that of its folder. ``split`` is one of train, validation, test; images of test are not
    used. Further columns are ignored.

    Raises:
        OptionError: if it is missing, lacks a column or a value, or puts one patient on both sides.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(
            f"{path}: must be a readable CSV table, got {type(error).__name__}; check --split_table"
        ) from error
    columns = set(lines[0]) if lines else set()
    if not {"file", "patient"} <= columns:
        raise OptionError(
            f"{path}: must have the columns file and patient, got "
            f"{', '.join(sorted(str(c) for c in columns)) or 'no line'}; add them"
        )
    has_split = "split" in columns
    entries: dict[str, SplitEntry] = {}
    for number, line in enumerate(lines, start=2):
        entry = SplitEntry((line["patient"] or "").strip(), (line.get("split") or "").strip())
        if not entry.patient or (has_split and entry.split not in PARTS):
            raise OptionError(
                f"{path}: line {number} must name a patient and one of {', '.join(PARTS)}, "
                f"got {entry.patient!r} and {entry.split!r}; correct it"
            )
        name = (line["file"] or "").strip().rstrip("/")
        if entries.setdefault(name, entry) != entry:
            raise OptionError(f"{path}: line {number} contradicts another of {name}; correct it")
    _check_apart(path, entries.values())
    return SplitTable(path, entries, has_split)


def _check_apart(path: Path, entries: Iterable[SplitEntry]) -> None:
    known: dict[str, str] = {}
    for entry in entries:
        if known.setdefault(entry.patient, entry.split) != entry.split:
            raise OptionError(
                f"{path}: puts one patient into {known[entry.patient]!r} and {entry.split!r}; "
                "keep each patient in one part"
            )
