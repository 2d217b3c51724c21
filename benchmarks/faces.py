"""Draw crops enlarged by 4, side by side, to docs/faces.webp.

A photo by every set of weights that comes with the package; and a scene as its sensor delivered it,
not made small, by the faithful weights and those for degraded input.

``python benchmarks/faces.py demo_out/comparison.png`` also takes the picture of ``make demo`` over
as docs/demo.webp.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio
from demo import SCALE, draw, has_robust
from PIL import Image

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.networks import list_systems

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"
SIDE, COLUMNS = 48, 4
WEIGHTS = ROOT / "bundles" / "natural_sr" / "models"
SCENE = "satellite_sr"
SCENE_BOX = (130, 148, 130 + SIDE, 148 + SIDE)  # bare soil, where sharpening makes specks
Panel = tuple[str, Image.Image]


def faces() -> dict[str, dict[str, object]]:
    """Return what is drawn of the photo: title -> options of the bundle."""
    shown: dict[str, dict[str, object]] = {"bicubic": {"system": "bicubic", "consistency": 0}}
    for name in list_systems():
        if list((WEIGHTS / "systems").glob(f"{name}*.pt")):
            shown[name] = {"system": name, "consistency": 0, "runtime": "torch"}
    shown["ours, faithful"] = {}
    if (WEIGHTS / "model_fast.pt").exists():
        shown["ours, fast"] = {"size": "fast"}
    if (WEIGHTS / "model_perceptual.pt").exists():
        shown["ours, perceptual"] = {"perception": 1.0}
    if has_robust("natural_sr"):
        shown["ours, robust"] = {"robust": True}
    return shown


def save(picture: Image.Image, name: str) -> None:
    """Write a picture of docs, an eighth as large as PNG and not told from it by eye."""
    with atomic_file(ROOT / "docs" / name) as partial:
        picture.convert("RGB").save(partial, format="WEBP", quality=90, method=6)


def enlarged(lr: np.ndarray, bundle: str, options: dict[str, object]) -> Image.Image:
    """Enlarge (3, H, W) in [0, 1] by some weights."""
    result = SuperResolver.from_bundle(bundle, scale=SCALE, **options)(lr)
    stored = (np.asarray(result).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(stored.transpose(1, 2, 0))


def photo_panels() -> list[Panel]:
    """Return the middle of the photo by all weights, and of the original."""
    photo = Image.open(SAMPLES / "natural_sr" / "photo.png").convert("RGB")
    left, upper = ((side - SIDE) // 2 for side in photo.size)
    fine = tuple(SCALE * place for place in (left, upper, left + SIDE, upper + SIDE))
    lr = np.asarray(photo, dtype=np.float32).transpose(2, 0, 1) / 255
    panels = [
        (title, enlarged(lr, "natural_sr", options).crop(fine))
        for title, options in faces().items()
    ]
    original = Image.open(SAMPLES / "hr" / "photo.png").convert("RGB")
    return [*panels, ("original", original.crop(fine))]


def scene_panels() -> list[Panel]:
    """Return a part of the native scene: as it is, by bicubic, faithful and robust weights."""
    with rasterio.open(SAMPLES / SCENE / "naip.tif") as scene:
        lr = scene.read((1, 2, 3)).astype(np.float32) / 255
    fine = tuple(SCALE * place for place in SCENE_BOX)
    size = (SCALE * SIDE, SCALE * SIDE)
    native = Image.fromarray((lr * 255).round().astype(np.uint8).transpose(1, 2, 0))
    shown: dict[str, dict[str, object]] = {
        "bicubic": {"system": "bicubic", "consistency": 0},
        "ours, faithful": {},
    }
    if has_robust(SCENE):
        shown["ours, robust"] = {"robust": True}
    return [
        ("native NAIP, 5 m", native.crop(SCENE_BOX).resize(size, Image.Resampling.NEAREST)),
        *((title, enlarged(lr, SCENE, told).crop(fine)) for title, told in shown.items()),
    ]


def main(pictures: list[str]) -> None:
    """Write the pictures."""
    for comparison in pictures:
        save(Image.open(comparison), "demo.webp")
    photo = photo_panels()
    rows = [photo[i : i + COLUMNS] for i in range(0, len(photo), COLUMNS)]
    save(draw([*rows, scene_panels()]), "faces.webp")


if __name__ == "__main__":
    main(sys.argv[1:2])
