"""Make the further photos that natural_sr's own models are trained on.

``python benchmarks/photo_training.py --clones CLONES --data DATA`` writes the tiles of the photos
of ``benchmarks/photo_training.csv`` to ``DATA/train/more_photos``. CLONES holds a git clone of each
repository that the table names, at ``CLONES/<owner>/<name>``. A photo is reduced by two at least,
which leaves no trace of JPEG, and to 2.5 megapixels at most; of its tiles of 480 x 480 pixels the
six with the most detail are kept, and of those none that is as flat as the flattest tenth of the
tiles of ``DATA/train/photos``. The photos from ``Aeen-alireza-unsplash`` on are for weights to
come; what shipped weights learned from is in the bundle's ``data_license.txt``. With ``--largest
0.7e6 --folder small_photos`` the same photos give further tiles, with more in each.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from clones import arguments_for, git, read_table
from PIL import Image

PHOTOS = Path(__file__).with_suffix(".csv")
TILE = 480
MOST_TILES = 6
LEAST_DETAIL = 9.35
"""Grey levels by which neighbors differ, down plus right: the lowest tenth of train/photos."""


def read_photo(clone: Path, blob: str) -> Image.Image:
    """Return one version of a file of a git repository.

    Raises:
        SystemExit: if the clone does not hold it.
    """
    return Image.open(io.BytesIO(git(clone, "cat-file", "blob", blob))).convert("RGB")


def reduced(photo: Image.Image, largest: float) -> Image.Image:
    """Return a photo of at most ``largest`` pixels without traces of JPEG."""
    factor = max(2.0, (photo.width * photo.height / largest) ** 0.5)
    size = int(photo.width / factor), int(photo.height / factor)
    return photo.resize(size, Image.Resampling.LANCZOS)


def detail(pixels: npt.NDArray[np.uint8]) -> float:
    """Return how much the brightness (H, W, 3) of neighboring pixels differs, in grey levels."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def tiles(photo: Image.Image) -> Iterator[tuple[int, int, npt.NDArray[np.uint8]]]:
    """Yield x, y and pixels of the tiles to learn from."""
    pixels = np.asarray(photo)
    found = [
        (detail(pixels[y : y + TILE, x : x + TILE]), y, x)
        for y in range(0, pixels.shape[0] - TILE + 1, TILE)
        for x in range(0, pixels.shape[1] - TILE + 1, TILE)
    ]
    for measure, y, x in sorted(found, reverse=True)[:MOST_TILES]:
        if measure >= LEAST_DETAIL:
            yield x, y, pixels[y : y + TILE, x : x + TILE]


def main(arguments: list[str] | None = None) -> int:
    """Write all tiles; return the exit code."""
    parser = arguments_for(__doc__, PHOTOS)
    parser.add_argument("--largest", type=float, default=2.5e6, help="pixels of a reduced photo")
    parser.add_argument("--folder", default="more_photos", help="of the tiles, below DATA/train")
    options = parser.parse_args(arguments)
    folder = options.data / "train" / options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for row in read_table(options.table):
        photo = read_photo(options.clones / row["repository"], row["blob"])
        for x, y, pixels in tiles(reduced(photo, options.largest)):
            file = folder / f"{row['photo']}_{x}_{y}.png"
            Image.fromarray(pixels).save(file, compress_level=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
