"""Make the further images that xray_sr's own models are trained and validated on.

``python benchmarks/xray_training.py --clones CLONES --data DATA`` writes the images of
``benchmarks/xray_training.csv`` to ``DATA/xray_more/train`` and ``DATA/xray_more/validation`` as
PNG. CLONES holds a git clone of each repository that the table names, at
``CLONES/<owner>/<name>``. A row is one image: the version ``blob`` of a file, or of it the
rectangle ``crop``, "left top width height" in its own pixels. An image of more than 1024 pixels a
side is reduced to that, and JPEG by two at least, which leaves no trace of its blocks; nothing is
enlarged. Values of 8 bits stay as they are, a grey PNG that is small enough to the byte. Of DICOM
the used range becomes that of 16 bits, no window is applied, and in MONOCHROME1 bright and dark
change places: air is dark.

Nobody is in both splits. Not in the table, for they serve evaluation: the images of
covid-chestxray-dataset, those of NEMA WG04, and whoever ``benchmarks/xray_images.csv`` names,
which has the 127 images that are trained on besides.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from clones import arguments_for, git, read_table, refuse_others
from PIL import Image

IMAGES = Path(__file__).with_suffix(".csv")
LARGEST = 1024  # pixels a side
_JPEG = (".jpg", ".jpeg")

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def read_dicom(content: bytes) -> npt.NDArray[np.uint16]:
    """Return the values of a DICOM image, the least as 0, the largest as 65535, air dark."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    stored = dataset.pixel_array.astype(np.float64)
    values = (stored - stored.min()) / (stored.max() - stored.min())
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = 1 - values
    found: npt.NDArray[np.uint16] = (values * np.iinfo(np.uint16).max).round().astype(np.uint16)
    return found


def read_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the grey values of a PNG, PGM or JPEG image."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def cut(pixels: Pixels, crop: str) -> Pixels:
    """Return the rectangle "left top width height" of an image, all of it for "".

    Raises:
        SystemExit: if it is not within the image.
    """
    if not crop:
        return pixels
    left, top, width, height = map(int, crop.split())
    found = pixels[top : top + height, left : left + width]
    if found.shape != (height, width):
        raise SystemExit(f"crop {crop}: must be within {pixels.shape[::-1]}; correct the table")
    return found


def reduced(pixels: Pixels, least: float) -> Pixels:
    """Return an image made smaller by a factor of ``least``, or more where it is large."""
    factor = max(least, max(pixels.shape) / LARGEST)
    if factor == 1:
        return pixels
    size = round(pixels.shape[1] / factor), round(pixels.shape[0] / factor)
    # Pillow has no filters for 16 bits
    source = Image.fromarray(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))
    small = np.asarray(source.resize(size, Image.Resampling.LANCZOS))
    kept: Pixels = small.round().clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return kept


def is_ready(content: bytes) -> bool:
    """Tell whether a file is a grey PNG that is small enough as it is."""
    with Image.open(io.BytesIO(content)) as image:
        return bool(image.format == "PNG" and image.mode == "L" and max(image.size) <= LARGEST)


def make(row: dict[str, str], clones: Path) -> bytes:
    """Return the PNG file of one row of the table."""
    content = git(clones / row["repository"], "cat-file", "blob", row["blob"])
    suffix = Path(row["path"]).suffix.lower()
    if suffix == ".png" and not row["crop"] and is_ready(content):
        return content
    pixels: Pixels = read_dicom(content) if suffix == ".dcm" else read_image(content)
    small = reduced(cut(pixels, row["crop"]), 2 if suffix in _JPEG else 1)
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Write all images that are not there yet; return the exit code.

    Raises:
        SystemExit: if the folder holds others, which training would take, too.
    """
    options = arguments_for(__doc__, IMAGES).parse_args(arguments)
    folder = options.data / "xray_more"
    rows = {folder / row["split"] / row["file"]: row for row in read_table(options.table)}
    refuse_others(folder.rglob("*.png"), rows, options.table)
    for file, row in rows.items():
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".part_{file.name}")
            part.write_bytes(make(row, options.clones))
            part.rename(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
