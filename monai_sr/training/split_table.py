"""Reads the table that says which image is of whom or of where, and what it may be used for."""

import csv
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core import OptionError, PathLike

PARTS = ("train", "validation", "test")
SIDES = ("west", "south", "east", "north")
_SUBJECTS = ("patient", "place")

Box = tuple[float, float, float, float]
"""West, south, east, north, in the units of the image's reference system."""


@dataclass(frozen=True)
class SplitEntry:
    """Say of one image, or of an area of it, whose it is, and what it is for.

    Args:
        subject: the patient or place.
        split: one of ``PARTS``; empty where nothing says.
        box: the area, None for the whole image.
    """

    subject: str
    split: str = ""
    box: Box | None = None


@dataclass(frozen=True)
class SplitTable:
    """Hold the lines of a table by the names of the images.

    Args:
        path: the table.
        entries: name of an image -> its lines; more than one where it is divided by area.
        has_split: whether the table decides what an image is for.
    """

    path: Path
    entries: dict[str, list[SplitEntry]]
    has_split: bool

    def lines(self, names: Iterable[str]) -> list[SplitEntry]:
        """Return the lines of an image that goes by several names.

        Raises:
            OptionError: if it has none, for an image of an unknown patient or place could end up
                on both sides of the split.
        """
        last = ""
        for name in names:
            if name in self.entries:
                return self.entries[name]
            last = name
        raise OptionError(f"{self.path}: has no line for {last}; add it, or remove the image")


def read_split_table(path: PathLike) -> SplitTable:
    """Read a CSV table with the columns ``file``, ``patient`` or ``place`` and, if wanted, others.

    ``file`` is the name of an image or the end of its path ("sub-01/t1.nii.gz"), and for a DICOM
    series that of its folder. ``split`` is one of train, validation, test; images of test are not
    used. ``west``, ``south``, ``east``, ``north`` bound an area of a georeferenced image, in the
    units of its reference system; an image may have several lines of them, and what no line covers
    is not used. Further columns are ignored.

    Raises:
        OptionError: if it is missing, lacks a column or a value, or puts one patient or place on
            both sides.
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
    subject = next((name for name in _SUBJECTS if name in columns), None)
    if "file" not in columns or subject is None:
        raise OptionError(
            f"{path}: must have the columns file and patient (or place), got "
            f"{', '.join(sorted(str(c) for c in columns)) or 'no line'}; add them"
        )
    has_split = "split" in columns
    entries: dict[str, list[SplitEntry]] = {}
    for number, line in enumerate(lines, start=2):
        box = _box(path, number, line)
        entry = SplitEntry((line[subject] or "").strip(), (line.get("split") or "").strip(), box)
        if not entry.subject or (has_split and entry.split not in PARTS):
            raise OptionError(
                f"{path}: line {number} must name a {subject} and one of {', '.join(PARTS)}, "
                f"got {entry.subject!r} and {entry.split!r}; correct it"
            )
        name = (line["file"] or "").strip().rstrip("/")
        known = entries.setdefault(name, [])
        if entry not in known:
            known.append(entry)
        if any(_contradict(one, other) for one, other in itertools.combinations(known, 2)):
            raise OptionError(f"{path}: line {number} contradicts another of {name}; correct it")
    _check_apart(path, subject, itertools.chain.from_iterable(entries.values()))
    return SplitTable(path, entries, has_split)


def _box(path: Path, number: int, line: Mapping[str, str | None]) -> Box | None:
    given = [(line.get(side) or "").strip() for side in SIDES]
    if not any(given):
        return None
    try:
        west, south, east, north = map(float, given)
    except ValueError:
        west = south = east = north = math.nan
    # NaN compares as false: it is refused, too.
    if not (-math.inf < west < east < math.inf and -math.inf < south < north < math.inf):
        raise OptionError(
            f"{path}: line {number} must bound its area by rising {', '.join(SIDES)}, "
            f"got {' '.join(given)}; correct it"
        )
    return west, south, east, north


def _contradict(one: SplitEntry, other: SplitEntry) -> bool:
    """Tell whether two lines of an image give the same ground to two places, or to two parts."""
    if (one.subject, one.split) == (other.subject, other.split):
        return False
    if one.box is None or other.box is None:
        return True
    (west, south, east, north), (w, s, e, n) = one.box, other.box
    return west < e and w < east and south < n and s < north


def _check_apart(path: Path, subject: str, entries: Iterable[SplitEntry]) -> None:
    known: dict[str, str] = {}
    for entry in entries:
        if known.setdefault(entry.subject, entry.split) != entry.split:
            raise OptionError(
                f"{path}: puts one {subject} into {known[entry.subject]!r} and {entry.split!r}; "
                f"keep each {subject} in one part"
            )
