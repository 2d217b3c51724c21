"""Cut the surroundings of the sharpest edges out of X-rays: there lie letters, which lungs hide.

Patches are drawn by area, so letters are rare in training. A folder of such crops beside the whole
images shows them more often, ``--copies`` times as often as one crop of each would. Example:
``python benchmarks/letter_crops.py xray/train crops --copies 12``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

_SIDE = 192
_WINDOW = 64
_MARGIN = 80  # edges of the film are no letters
_SHARP, _LEAST = 0.15, 0.01  # of full scale from one pixel to the next; share of such pixels


def crop(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    """Return the square (192, 192) around most of the sharp edges, None where there are none."""
    if min(image.shape) <= _SIDE + 2 * _MARGIN:
        return None
    values = image.astype(np.float32) / max(int(image.max()), 1)
    steps = np.abs(np.diff(values, axis=0))[:, :-1] + np.abs(np.diff(values, axis=1))[:-1]
    share = uniform_filter((steps > _SHARP).astype(np.float32), _WINDOW)
    inner = share[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    if inner.max() < _LEAST:
        return None
    center = np.unravel_index(inner.argmax(), inner.shape)
    top, left = (
        min(max(int(c) + _MARGIN - _SIDE // 2, 0), side - _SIDE)
        for c, side in zip(center, image.shape, strict=True)
    )
    return image[top : top + _SIDE, left : left + _SIDE]


def main() -> None:
    """Cut, and print how many images had letters."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path, help="folder of PNG files of 8 bits")
    parser.add_argument("output", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    count = 0
    for file in sorted(options.images.rglob("*.png")):
        with Image.open(file) as opened:
            found = crop(np.asarray(opened.convert("L")))
        count += found is not None
        for copy in range(options.copies if found is not None else 0):
            Image.fromarray(found).save(options.output / f"{file.stem}_{copy + 1}.png")
    print(f"{count} images with letters")


if __name__ == "__main__":
    main()
