"""Make the further images that satellite_sr is trained on.

``python benchmarks/satellite_training.py --clones CLONES --data DATA`` writes tiles of the scenes
of ``benchmarks/satellite_training.csv`` to ``DATA/satellite_more`` as GeoTIFF. CLONES holds a git
clone of each repository that the table names, at ``CLONES/<owner>/<name>``. A row is one scene:
the file with the git object ``blob``, or several with one band or more each, in this order.
``bands`` are those to keep, red, green and blue first where there are such; ``shrink`` is the
factor by which a photo is reduced, two at least for JPEG, which leaves no trace of it. A tile has
sides of 512 at most and as many pixels as its neighbors; of a scene the six with the most detail
are kept, none that has less than half as much as the first, and none with pixels without a value.

A place is wholly in one part of ``split``. With ``--split_table benchmarks/campaign_satellite.csv``
the table that ``benchmarks/campaign.py`` trains by is made, too: the images of the bundle's own
split.csv and these tiles. Not in the table, for they serve evaluation, are the places of its
tests, and the other chips of UC Merced, which may show the ground of those.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from clones import arguments_for, git, read_table, refuse_others
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.windows import Window

SCENES = Path(__file__).with_suffix(".csv")
OWN = Path(__file__).resolve().parents[1] / "bundles" / "satellite_sr" / "docs" / "split.csv"
LARGEST = 512
MOST = 6
LEAST = 192  # what patches of 48 pixels, four times enlarged, need
_SHARE = 0.5  # of the detail of the most detailed tile
_ALONE = 1e-3  # of pixels: so few that seem without a value are black or white


def read_scene(row: dict[str, str], clones: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the bands (C, H, W) of a scene, where they are valid (H, W), and where they lie.

    Raises:
        SystemExit: if the clone does not hold them.
    """
    parts, masks = [], []
    place: dict[str, Any] = {}
    for blob in row["blob"].split():
        content = git(clones / row["repository"], "cat-file", "blob", blob)
        with MemoryFile(content) as memory, memory.open() as dataset:
            parts.append(dataset.read())
            masks.append(dataset.dataset_mask() > 0)
            if dataset.crs:
                place = {"crs": dataset.crs, "transform": dataset.transform}
    kept = [int(band) - 1 for band in row["bands"].split()]
    values = np.concatenate(parts)[kept]
    valid = np.logical_and.reduce(masks)
    if valid.mean() > 1 - _ALONE:
        valid[:] = True
    valid &= np.isfinite(values).all(axis=0)
    return whole(np.where(valid, values, 0)), valid, place


def whole(values: np.ndarray) -> np.ndarray:
    """Return whole numbers that were stored as float as integers, if 16 bits hold them."""
    if values.dtype.kind != "f" or not np.array_equal(values, np.rint(values)):
        return values
    kind = next((np.dtype(each) for each in ("u1", "u2", "i2") if _fits(values, each)), None)
    return values if kind is None else values.astype(kind)


def _fits(values: np.ndarray, kind: str) -> bool:
    limits = np.iinfo(kind)
    return bool(limits.min <= values.min() and values.max() <= limits.max)


def shrunk(values: np.ndarray, factor: int) -> np.ndarray:
    """Return 8-bit bands (C, H, W) reduced by a factor."""
    bands = [Image.fromarray(band) for band in values]
    size = bands[0].width // factor, bands[0].height // factor
    return np.stack([np.asarray(band.resize(size, Image.Resampling.LANCZOS)) for band in bands])


def detail(values: np.ndarray) -> float:
    """Return how much neighboring pixels (C, H, W) differ, down plus right."""
    bands = values.astype(np.float32)
    return sum(float(np.abs(np.diff(bands, axis=axis)).mean()) for axis in (1, 2))


def windows(height: int, width: int) -> Iterator[Window]:
    """Yield the tiles of a scene: the largest equal ones."""
    rows, columns = -(-height // LARGEST), -(-width // LARGEST)
    high, wide = height // rows, width // columns
    for row in range(rows):
        for column in range(columns):
            yield Window(column * wide, row * high, wide, high)


def tiles(values: np.ndarray, valid: np.ndarray) -> list[tuple[Window, np.ndarray]]:
    """Return the tiles to learn from with their windows, the most detailed first."""
    found = []
    for window in windows(*valid.shape):
        inside = window.toslices()
        if valid[inside].all() and min(valid[inside].shape) >= LEAST:
            tile = values[:, inside[0], inside[1]]
            found.append((detail(tile), window, tile))
    found.sort(key=lambda each: -each[0])
    return [(window, tile) for much, window, tile in found[:MOST] if much >= _SHARE * found[0][0]]


def write_tile(values: np.ndarray, file: Path, place: dict[str, Any]) -> None:
    """Write bands (C, H, W) as GeoTIFF, the first three as red, green and blue."""
    count, height, width = values.shape
    is_color = count >= 3
    profile = place | {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            compress="deflate",
            predictor=3 if values.dtype.kind == "f" else 2,
            photometric="rgb" if is_color else "minisblack",
            **profile,
        ) as dataset:
            colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
            first = colors if is_color else [ColorInterp.gray]
            dataset.colorinterp = first + [ColorInterp.undefined] * (count - len(first))
            dataset.write(values)
        part = file.with_name(f".part_{file.name}")
        part.write_bytes(memory.read())
    part.rename(file)


def make(row: dict[str, str], clones: Path, folder: Path) -> list[Path]:
    """Write the tiles of one row of the table; return them.

    Raises:
        SystemExit: if no part of the scene is valid and large enough.
    """
    values, valid, place = read_scene(row, clones)
    factor = int(row["shrink"])
    if factor > 1:
        values, place = shrunk(values, factor), {}
        valid = np.ones(values.shape[1:], bool)
    made = []
    for window, tile in tiles(values, valid):
        file = folder / f"{row['file']}_{window.col_off}_{window.row_off}.tif"
        corner = Affine.translation(window.col_off, window.row_off)
        where = place | {"transform": place["transform"] * corner} if place else {}
        write_tile(tile, file, where)
        made.append(file)
    if not made:
        raise SystemExit(f"{row['file']}: no tile of {LEAST} pixels is valid; remove the row")
    return made


def write_split(file: Path, made: Iterable[tuple[dict[str, str], list[Path]]]) -> None:
    """Write the split table of the bundle's own images and the tiles of each row."""
    own = read_table(OWN)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(own[0]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(own)
        for row, files in made:
            facts = {"place": row["place"], "split": row["split"]}
            writer.writerows({"file": each.name, **facts} for each in files)


def main(arguments: list[str] | None = None) -> int:
    """Write all tiles; return the exit code.

    Raises:
        SystemExit: if the folder holds others, which training would take, too.
    """
    parser = arguments_for(__doc__, SCENES)
    parser.add_argument("--split_table", type=Path, help="CSV to write: the part of each tile")
    options = parser.parse_args(arguments)
    folder = options.data / "satellite_more"
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # photos lie nowhere
        made = [
            (row, sorted(make(row, options.clones, folder))) for row in read_table(options.table)
        ]
    known = {file for _, files in made for file in files}
    refuse_others(folder.iterdir(), known, options.table)
    if options.split_table:
        write_split(options.split_table, made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
