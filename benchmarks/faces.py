"""Draw one photo enlarged by 4 by several systems, side by side, to docs/faces.webp.

``python benchmarks/faces.py demo_out/comparison.png`` also takes the picture of ``make demo`` over
as docs/demo.webp.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from demo import draw
from PIL import Image

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.networks import list_systems

ROOT = Path(__file__).resolve().parents[1]
SCALE, SIDE, COLUMNS = 4, 48, 4
WEIGHTS = ROOT / "bundles" / "natural_sr" / "models"


def faces() -> dict[str, dict[str, object]]:
    """Return what is drawn: title -> options of the bundle."""
    shown: dict[str, dict[str, object]] = {"bicubic": {"system": "bicubic", "consistency": 0}}
    for name in list_systems():
        if list((WEIGHTS / "systems").glob(f"{name}*.pt")):
            shown[name] = {"system": name, "consistency": 0}
    shown["ours, faithful"] = {}
    if (WEIGHTS / "model_fast.pt").exists():
        shown["ours, fast"] = {"size": "fast"}
    if (WEIGHTS / "model_perceptual.pt").exists():
        shown["ours, perceptual"] = {"perception": 1.0}
    if (WEIGHTS / "model_robust.pt").exists():
        shown["ours, robust"] = {"robust": True}
    return shown


def save(picture: Image.Image, name: str) -> None:
    """Write a picture of docs, an eighth as large as PNG and not told from it by eye."""
    with atomic_file(ROOT / "docs" / name) as partial:
        picture.convert("RGB").save(partial, format="WEBP", quality=90, method=6)


def main(pictures: list[str]) -> None:
    """Write the pictures."""
    for comparison in pictures:
        save(Image.open(comparison), "demo.webp")
    photo = Image.open(ROOT / "samples" / "natural_sr" / "photo.png").convert("RGB")
    left, upper = ((side - SIDE) // 2 for side in photo.size)
    box = (left, upper, left + SIDE, upper + SIDE)
    fine = tuple(SCALE * place for place in box)
    lr = np.asarray(photo, dtype=np.float32).transpose(2, 0, 1) / 255
    panels = []
    for title, options in faces().items():
        result = SuperResolver.from_bundle("natural_sr", scale=SCALE, **options)(lr)
        stored = (np.asarray(result).clip(0, 1) * 255).round().astype(np.uint8)
        panels.append((title, Image.fromarray(stored.transpose(1, 2, 0)).crop(fine)))
    original = Image.open(ROOT / "samples" / "hr" / "photo.png").convert("RGB")
    panels.append(("original", original.crop(fine)))
    rows = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    save(draw(rows), "faces.webp")


if __name__ == "__main__":
    main(sys.argv[1:2])
