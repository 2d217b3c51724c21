"""Read images out of git clones, for scripts that make training data from public repositories."""

from __future__ import annotations

import argparse
import csv
import io
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pydicom


def git(clone: Path, *arguments: str) -> bytes:
    """Return what git prints.

    Raises:
        SystemExit: if it fails.
    """
    done = subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode().strip()
        raise SystemExit(
            f"{clone}: git {' '.join(arguments)}: {said}; clone it with its whole history"
        )
    return done.stdout


def read_table(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table of images."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def arguments_for(description: str | None, table: Path) -> argparse.ArgumentParser:
    """Return the options that every script has; ``--table`` is the table by default."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--clones", type=Path, required=True, help="folder of git clones")
    parser.add_argument("--data", type=Path, required=True, help="as benchmarks/campaign.py has it")
    parser.add_argument("--table", type=Path, default=table, help="of the images")
    return parser


def refuse_others(found: Iterable[Path], known: Iterable[Path], table: Path) -> None:
    """Refuse a folder that holds files of no row: training would take them, too.

    Raises:
        SystemExit: it does.
    """
    if other := sorted(set(found) - set(known)):
        raise SystemExit(f"{other[0]}: is not of {table}; remove it")


def read_files(clones: Path, row: dict[str, str]) -> list[bytes]:
    """Return the files of a row: of a commit, those whose whole path matches its ``path``.

    Raises:
        SystemExit: if the clone holds no such file.
    """
    clone = clones / row["repository"]
    listed = git(clone, "ls-tree", "-r", "-z", row["version"]).decode("utf-8", "replace")
    entries = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
    blobs = [meta.split()[2] for meta, path in entries if re.fullmatch(row["path"], path)]
    if not blobs:
        raise SystemExit(f"{clone}: {row['version']} has no file {row['path']}")
    return [git(clone, "cat-file", "blob", blob) for blob in blobs]


def read_slices(files: list[bytes], number: str) -> dict[float, pydicom.Dataset]:
    """Return one DICOM series of single slices: place along their normal in mm -> slice, in order.

    ``number`` is its SeriesNumber, "" where there is but one. Of several slices at one place the
    first counts: the first echo, or the first repetition.

    Raises:
        SystemExit: if no file is of that series.
    """
    slices: list[pydicom.Dataset] = []
    for content in files:
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
        except pydicom.errors.InvalidDicomError:
            continue
        if "PixelData" in dataset and number in ("", str(dataset.get("SeriesNumber"))):
            slices.append(dataset)
    if not slices:
        raise SystemExit(f"series {number}: none of {len(files)} files is of it; correct the table")
    through = np.cross(*directions(slices[0]))
    places: dict[float, pydicom.Dataset] = {}
    for each in slices:
        place = round(float(np.dot(through, np.array(each.ImagePositionPatient, float))), 2)
        kept = places.setdefault(place, each)
        if int(each.get("InstanceNumber") or 0) < int(kept.get("InstanceNumber") or 0):
            places[place] = each
    return {place: places[place] for place in sorted(places)}


def directions(dataset: pydicom.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors along the rows and the columns of a slice."""
    across, down = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    return across, down


def rescaled(dataset: pydicom.Dataset) -> np.ndarray:
    """Return the values of a slice in the units of its file, as (rows, columns)."""
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    values: np.ndarray = dataset.pixel_array * float(slope) + float(intercept)
    return values
