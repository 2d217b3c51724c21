"""Measure bundles on CT in Hounsfield units: whole range, soft tissue, regions, noise.

``python benchmarks/ct.py --root DATA`` writes benchmarks/results/ct_hu.csv and docs/results.md.
Small images are made by bicubic and rounded to whole units, as scanners store them, and so are
results. A bundle is not judged on images that it was trained on.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import pydicom
import torch
import yaml
from command import exit_code
from ct_rows import CLEAN, CT_TABLE, DESCRIBED, FILE, INPUT, MEDIUM, ORIGINAL, REGIONS, CTRow
from results_page import OUTPUT, RESULTS, write_table
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.core.models import BEST, WAYS
from monai_sr.core.registry import find_bundle
from monai_sr.evaluation.candidates import Candidate, find_candidates
from monai_sr.functional import downsample
from monai_sr.functional.ssim import ssim
from monai_sr.metrics import lr_psnr, modcrop, psnr
from monai_sr.training import ReconstructionNoise, SensorBlur, SensorDegradation

CHOICES = Path(__file__).with_name("ct.yaml")
FACES = ("model", "fast", "robust")
_logger = logging.getLogger("monai_sr.ct")


def load_choices() -> dict[str, Any]:
    """Read ct.yaml."""
    found: dict[str, Any] = yaml.safe_load(CHOICES.read_text(encoding="utf-8"))
    return found


def read_slices(root: Path, image: Mapping[str, Any]) -> np.ndarray:
    """Read an image of ct.yaml: (slices, rows, columns) float64, HU or stored values."""
    file = root / image["file"]
    if file.suffix == ".dcm":
        header = pydicom.dcmread(file)
        values = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        slices = values[None]
    else:
        slices = np.asanyarray(nibabel.load(file).get_fdata()).T[:: image.get("step", 1)]  # type: ignore[attr-defined]
    if "square" in image:
        inside = slice(*image["square"])
        slices = slices[:, inside, inside]
    return np.ascontiguousarray(slices, dtype=np.float64)


def sensor(choices: Mapping[str, Any], width: float, *, is_hu: bool) -> SensorDegradation:
    """Build the sensor of medium strength for values that span ``width``."""
    given = choices["medium"]
    sigma = given["noise_hu"] / width if is_hu else choices["noise_share"]
    return SensorDegradation(
        [
            SensorBlur(at_nyquist=[given["at_nyquist"]] * 2),
            ReconstructionNoise(sigma=[sigma] * 2, cutoff=[given["cutoff"]] * 2),
        ]
    )


def means(values: Tensor, small: Tensor, scale: int, regions: Mapping[str, Any]) -> list[float]:
    """Return the means of a result over the regions that a clean small image shows.

    Shape: values (H * scale, W * scale), small (H, W), both in HU.
    """
    large = small.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    found = []
    for low, high in (regions[name] for name in REGIONS):
        inside = (large >= low) & (large < high)
        found.append(float(values[inside].mean()) if inside.any() else math.nan)
    return found


class Judge:
    """Make the small files of an image, and compare results with it.

    Args:
        choices: content of ct.yaml.
        name: of the image there.
        slices: its values (slices, H, W).
        scale: the enlargement.
        folder: for the small files.
    """

    def __init__(
        self, choices: Mapping[str, Any], name: str, slices: np.ndarray, scale: int, folder: Path
    ) -> None:
        image = choices["images"][name]
        self.choices, self.name, self.scale = choices, name, scale
        self.low, self.high = image.get("range", (slices.min(), slices.max()))
        self.is_hu = "range" not in image
        self.hr = modcrop(torch.from_numpy(slices), scale)
        clean = downsample(self.hr[:, None], scale)
        if not self.is_hu:
            clean = clean.clamp(self.low, self.high)  # what a byte holds
        spoils = sensor(choices, self.high - self.low, is_hu=self.is_hu)
        noisy = spoils.corrupt(self.unit(clean).float(), torch.arange(len(clean)))
        whole = noisy.double() * (self.high - self.low) + self.low
        self.small = {CLEAN: clean[:, 0].round(), MEDIUM: whole[:, 0].round()}
        self.files = {}
        for condition, values in self.small.items():
            file = folder / f"{name}_{condition}.nii.gz"
            stored = values.numpy().T.astype(np.int16 if self.is_hu else np.uint8)
            # Rows and columns are finer than slices are apart, so these are what is enlarged.
            made = nibabel.Nifti1Image(stored, np.diag([1.0, 1.0, 20.0, 1.0]))
            made.header.set_xyzt_units("mm")
            nibabel.save(made, file)
            self.files[condition] = file

    def may_judge(self, candidate: Candidate) -> bool:
        """Tell whether a system was not trained on the image."""
        trained = self.choices["images"][self.name].get("trained", ())
        return candidate.is_bicubic or Path(find_bundle(candidate.bundle)).name not in trained

    def unit(self, values: Tensor) -> Tensor:
        """Bring stored values to [0, 1]."""
        return (values - self.low) / (self.high - self.low)

    def rows(
        self, system: str, condition: str, values: Tensor, weights: str = ""
    ) -> Iterator[CTRow]:
        """Describe and compare each slice of a result.

        Shape: values (slices, H, W), stored values.
        """
        for place, (sr, hr, lr) in enumerate(
            zip(values.double(), self.hr, self.small[condition], strict=True)
        ):
            figures = self._described(sr, place)
            if system not in (ORIGINAL, INPUT):
                figures |= self._compared(sr, hr, lr)
            yield CTRow(
                set=self.name, image=f"{place}", scale=self.scale, system=system,
                condition=condition, weights_sha256=weights, **figures,
            )  # fmt: skip

    def _described(self, sr: Tensor, place: int) -> dict[str, float]:
        if not self.is_hu:
            return {}
        found = means(sr, self.small[CLEAN][place], self.scale, self.choices["regions"])
        ends = float(sr.min()), float(sr.max())
        return dict(zip(DESCRIBED, [*found, *ends], strict=True))

    def _compared(self, sr: Tensor, hr: Tensor, lr: Tensor) -> dict[str, float]:
        sr, hr, lr = (each[None, None] for each in (sr, hr, lr))
        width = self.high - self.low
        inner = (..., *(slice(self.scale, -self.scale),) * 2)
        found = {"lr_psnr": float(lr_psnr(sr, lr, self.scale, width))}
        shown = {"": (self.low, self.high)}
        if self.is_hu:
            shown["_soft"] = self.choices["window"]
        for suffix, (low, high) in shown.items():
            pair = [(each[inner] - low) / (high - low) for each in (sr, hr)]
            if suffix:
                pair = [each.clamp(0, 1) for each in pair]
            found[f"psnr{suffix}"] = float(psnr(*pair, 1.0))
            found[f"ssim{suffix}"] = float(ssim(*pair, data_range=1.0))
        return found


def judges(choices: Mapping[str, Any], root: Path, scale: int, folder: Path) -> list[Judge]:
    """Prepare every image at a scale."""
    return [
        Judge(choices, name, read_slices(root, image), scale, folder)
        for name, image in choices["images"].items()
    ]


def candidates(
    bundles: Sequence[str], faces: Sequence[str], scale: int, *, has_bicubic: bool
) -> Iterator[Candidate]:
    """Name bicubic and every face that the bundles have weights of."""
    for place, bundle in enumerate(bundles):
        folder = find_bundle(bundle) / "models"
        present = [f for f in faces if (folder / WAYS[BEST if f == "model" else f][0]).is_file()]
        bicubic, *found = find_candidates(bundle, scale, present)
        yield from [bicubic, *found] if has_bicubic and not place else found


def measured(judge: Judge, candidate: Candidate, resolver: SuperResolver) -> Iterator[CTRow]:
    """Enlarge the files of an image as any file is, and judge the results."""
    for condition, file in judge.files.items():
        values = resolver(file).as_tensor()[0]  # of one slice: (X, Y)
        values = values.reshape(*values.shape[:2], -1).permute(2, 1, 0)
        yield from judge.rows(candidate.name, condition, values, candidate.weights_sha256)


def originals(judge: Judge) -> Iterator[CTRow]:
    """Describe an image and its small ones, that results can be held against them."""
    for condition, small in judge.small.items():
        large = small.repeat_interleave(judge.scale, -1).repeat_interleave(judge.scale, -2)
        yield from judge.rows(ORIGINAL, condition, judge.hr)
        yield from judge.rows(INPUT, condition, large)


def run(options: argparse.Namespace) -> None:
    """Measure system after system; rows are kept after each."""
    choices = load_choices()
    bundles = options.bundle or choices["bundles"]
    for scale in options.scales:
        with TemporaryDirectory() as folder:
            every = judges(choices, options.root, scale, Path(folder))
            has_bicubic = not options.no_bicubic
            if has_bicubic:
                CT_TABLE.write(options.results / FILE, [row for j in every for row in originals(j)])
            for candidate in candidates(bundles, options.faces, scale, has_bicubic=has_bicubic):
                resolver = candidate.resolver()
                unseen = [judge for judge in every if judge.may_judge(candidate)]
                rows = [row for judge in unseen for row in measured(judge, candidate, resolver)]
                CT_TABLE.write(options.results / FILE, rows)
                _logger.info("x%d %s", scale, candidate.name)
    write_table(options.results, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds the images")
    parser.add_argument("--scales", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--bundle", nargs="+", help="names or paths; those of ct.yaml by default")
    parser.add_argument("--faces", nargs="+", choices=FACES, default=list(FACES))
    parser.add_argument("--no-bicubic", action="store_true", help="keep the bicubic rows there are")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
