"""A chest X-ray protocol that anyone can follow: the images, the small ones, and the judge.

``python benchmarks/xray_protocol.py check --root DATA``: is every image of the list there, with the
same pixels, and no patient on both sides?
``... make --root DATA --output DIR``: write the small images of scale 2 and 4 as PNG files.
``... judge --root DATA --enlarged DIR --scale 4``: judge the PNG files of any method, by class.

docs/xray-protocol.md states the rules. The list is ``benchmarks/xray_images.csv``; ``list`` writes
it anew.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from command import exit_code
from PIL import Image

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError
from monai_sr.evaluation import (
    BICUBIC,
    Benchmark,
    BenchmarkImage,
    Row,
    System,
    enlarge_image,
    evaluate,
    load_benchmark,
    mean_interval,
    measure_image,
)
from monai_sr.metrics import FAST, Comparison, find_measures, make_lr, modcrop
from monai_sr.metrics.protocol import to_stored

IMAGES = Path(__file__).with_name("xray_images.csv")
COLUMNS = ("split", "class", "file", "patient", "pixels_sha256")
SCALES = (2, 4)
_PATIENT = re.compile(r"([0-9]{8})_")


def _files(root: Path) -> Iterator[dict[str, str]]:
    """Describe every image of the test set, and of the two training folders."""
    benchmark = load_benchmark("xray")
    test = [("test", image.label, image.path) for image in benchmark.images(root)]
    folders = (root / "xray" / "train", root / "xray" / "train_crops")
    train = [
        ("train", file.parent.name, file)
        for folder in folders
        for file in sorted(folder.rglob("*.png"))
    ]
    for split, label, file in [*test, *train]:
        found = _PATIENT.match(file.name)
        yield dict(
            zip(
                COLUMNS,
                (split, label, file.name, found[1] if found else "", _digest(file)),
                strict=True,
            )
        )


def _digest(file: Path) -> str:
    """Hash decoded pixels: however a PNG was packed, and whether grey was stored three times."""
    with Image.open(file) as image:
        pixels = np.asarray(image)
    pixels = pixels if pixels.ndim == 2 else pixels[..., 0]
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def write_list(root: Path) -> None:
    """Write the list of images."""
    with atomic_file(IMAGES) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_files(root))


def check(root: Path) -> None:
    """Compare the images below a root with the list.

    Raises:
        BadImageError: if one is missing, differs, or a patient is on both sides.
    """
    with IMAGES.open(newline="", encoding="utf-8") as stream:
        wanted = {(row["split"], row["file"]): row for row in csv.DictReader(stream)}
    found = {(row["split"], row["file"]): row for row in _files(root)}
    missing = [key for key in wanted if key not in found]
    unlike = [key for key in wanted if key in found and wanted[key] != found[key]]
    for what, keys in (("missing", missing), ("with other pixels", unlike)):
        if keys:
            raise BadImageError(
                f"{root}: must hold the listed images, {len(keys)} are {what}, such as "
                f"{keys[0][1]}; get them anew"
            )
    patients = {
        split: {row["patient"] for row in wanted.values() if row["split"] == split} - {""}
        for split in ("train", "test")
    }
    if both := patients["train"] & patients["test"]:
        raise BadImageError(f"{IMAGES}: {len(both)} patients are on both sides; split it anew")
    count = {split: sum(key[0] == split for key in wanted) for split in patients}
    print(
        f"{count['test']} test images, {len(patients['test'])} patients known; {count['train']} "
        f"training images, {len(patients['train'])} patients; none on both sides"
    )


def make(root: Path, output: Path) -> None:
    """Write the small images: MATLAB's bicubic, rounded to 8 bits."""
    benchmark = load_benchmark("xray")
    for scale in SCALES:
        for image in benchmark.images(root):
            lr = make_lr(modcrop(benchmark.load(image), scale), scale, benchmark.protocol)
            pixels = to_stored(lr, benchmark.protocol)[0, 0].numpy().astype(np.uint8)
            target = output / f"x{scale}" / image.label / f"{image.name}.png"
            with atomic_file(target) as partial:
                Image.fromarray(pixels).save(partial)


def judge(root: Path, enlarged: Path, scale: int) -> list[Row]:
    """Judge PNG files ``<enlarged>/<class>/<name>.png`` of any method; print means by class.

    Raises:
        BadImageError: if one is missing or has another size.
    """
    benchmark = load_benchmark("xray")
    measures, _ = find_measures(FAST)
    method = System(enlarged.name, BICUBIC.upscale)  # only its name is used
    rows = []
    for image in benchmark.images(root):
        comparison = _compared(benchmark, image, enlarged, scale)
        rows.append(measure_image(benchmark, image, method, comparison, measures))
    bicubic = list(evaluate(benchmark, root, BICUBIC, scale, measures=FAST))
    print(f"| class | images | {enlarged.name} PSNR (dB) | SSIM | gain over bicubic (95 %) |")
    print("|---|---:|---:|---:|---:|")
    for label in [*benchmark.classes, "all"]:
        pairs = [(r, b) for r, b in zip(rows, bicubic, strict=True) if label in ("all", r.label)]
        owners = [r.patient or r.image for r, _ in pairs]
        quality, likeness, gain = (
            mean_interval(values, owners)
            for values in (
                [r["psnr"] for r, _ in pairs],
                [r["ssim"] for r, _ in pairs],
                [r["psnr"] - b["psnr"] for r, b in pairs],
            )
        )
        print(
            f"| {label} | {len(pairs)} | {quality.mean:.2f} | {likeness.mean:.4f} | "
            f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f}) |"
        )
    return rows


def _compared(
    benchmark: Benchmark, image: BenchmarkImage, enlarged: Path, scale: int
) -> Comparison:
    reference = enlarge_image(benchmark, image, BICUBIC, scale)
    file = enlarged / image.label / f"{image.name}.png"
    if not file.is_file():
        raise BadImageError(f"{file}: no such file; a method must enlarge every image")
    sr = benchmark.load(BenchmarkImage(file, image.name, image.label))
    if sr.shape != reference.hr.shape:
        raise BadImageError(
            f"{file}: must have size {tuple(reference.hr.shape[-2:])}, got {tuple(sr.shape[-2:])}; "
            f"enlarge the image of scale {scale}"
        )
    return Comparison(sr, reference.hr, reference.lr, scale, benchmark.protocol)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("list", "check", "make", "judge"))
    parser.add_argument("--root", type=Path, required=True, help="folder that holds xray/")
    parser.add_argument("--output", type=Path, default=Path("xray_small"), help="of make")
    parser.add_argument("--enlarged", type=Path, help="folder of a method's PNG files, of judge")
    parser.add_argument("--scale", type=int, default=4, choices=SCALES)
    options = parser.parse_args(arguments)
    if options.command == "judge" and options.enlarged is None:
        parser.error("judge needs --enlarged DIR")

    def work() -> None:
        if options.command == "list":
            write_list(options.root)
        elif options.command == "check":
            check(options.root)
        elif options.command == "make":
            make(options.root, options.output)
        else:
            judge(options.root, options.enlarged, options.scale)

    return exit_code(work, logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
