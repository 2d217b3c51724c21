"""Measure the network of volumes against cubic splines, on subjects that it was not trained on.

``python benchmarks/volumes.py --data DATA`` takes the volumes that ``campaign_mr.csv`` marks as
``test``, shrinks them by bicubic along all three axes, doubles every axis, and writes
``benchmarks/results/mr_volumes.csv`` and docs/results.md. PSNR and LR-PSNR are those of the whole
volume, SSIM and LPIPS means over its slices along the third axis, without those that are empty.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from facts import Facts, write_facts
from results_page import FACTS, OUTPUT, RESULTS, write_table
from torch import Tensor

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.types import PathLike
from monai_sr.evaluation import Row, count_parameters, write_rows
from monai_sr.functional.resize import downsample, upsample
from monai_sr.inferers import TiledInferer
from monai_sr.metrics import LPIPSMetric, SSIMMetric, psnr
from monai_sr.networks import create_generator, load_weights
from monai_sr.training import ReadTrainingVolume

ROOT = Path(__file__).resolve().parents[1]
SET = "Brain MR volumes, every axis doubled"
SCALE = 2
OWN = "mri_sr, volumes"
_AXES = (-3, -2, -1)
_logger = logging.getLogger("monai_sr.volumes")


def cubic_spline(lr: Tensor, scale: int) -> Tensor:
    """Enlarge by interpolating cubic splines, outer edges kept, as scipy does it.

    Shape: lr (N, C, X, Y, Z) -> (N, C, scale * X, scale * Y, scale * Z).
    """
    volumes = [
        scipy.ndimage.zoom(volume.numpy(), scale, order=3, mode="reflect", grid_mode=True)
        for volume in lr.double().flatten(0, 1)
    ]
    return torch.from_numpy(np.stack(volumes)).unflatten(0, lr.shape[:2]).to(lr.dtype)


def measured_volume(sr: Tensor, lr: Tensor, hr: Tensor, scale: int) -> dict[str, float]:
    """Compare one volume with the reference and with its input; all in [0, 1].

    Shape: sr, hr (1, 1, X, Y, Z), lr (1, 1, X / scale, Y / scale, Z / scale).
    """
    inner = (..., *(slice(scale, -scale),) * 3)
    slices = [torch.movedim(volume[0], -1, 0) for volume in (sr, hr)]
    shown = slices[1].flatten(1).amax(1) > 0
    found = {
        "psnr": float(psnr(sr[inner], hr[inner], 1.0)),
        "lr_psnr": float(psnr(downsample(sr.double(), scale, _AXES), lr.double(), 1.0)),
    }
    for name, metric in (
        ("ssim", SSIMMetric(scale=scale, protocol="native")),
        ("lpips", LPIPSMetric(scale=scale, protocol="native")),
    ):
        metric(y_pred=slices[0][shown].float(), y=slices[1][shown].float())
        found[name] = float(metric.aggregate())
    return found


def test_volumes(data: Path, table: Path) -> dict[str, Path]:
    """Return patient -> volume of the lines that are for tests."""
    with table.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line["split"] == "test"]
    return {line["patient"]: data / "mr" / line["file"] for line in lines}


def read_pair(file: PathLike) -> tuple[Tensor, Tensor]:
    """Return a volume shrunk along all axes, and itself, cut to whole multiples."""
    values = ReadTrainingVolume()(file)
    assert isinstance(values, np.ndarray)
    hr = torch.from_numpy(values)[None]
    for axis in (2, 3, 4):
        hr = hr.narrow(axis, 0, hr.shape[axis] // SCALE * SCALE)
    return downsample(hr, SCALE, _AXES), hr


def run(options: argparse.Namespace) -> None:
    """Measure every method on every volume."""
    network = create_generator(
        "hybrid_cascade", spatial_dims=3, scale=SCALE, in_channels=1, channels=24, num_blocks=4,
        block="plain", recursions=1, cascade_channels=8,
    ).eval()  # fmt: skip
    load_weights(network, options.weights)
    inferer = TiledInferer(SCALE, tile_size=64, consistency=2)
    methods: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
        "bicubic": ("", lambda lr: upsample(lr, SCALE, _AXES)),
        "cubic spline": ("", lambda lr: cubic_spline(lr, SCALE)),
        OWN: (
            weights_sha256(options.weights),
            lambda lr: torch.as_tensor(inferer(lr, network)).clamp(0, 1),
        ),
    }
    rows: list[Row] = []
    for patient, file in test_volumes(options.data, options.split_table).items():
        lr, hr = read_pair(file)
        for name, (sha256, enlarge) in methods.items():
            start = time.perf_counter()
            with torch.inference_mode():
                sr = enlarge(lr)
                seconds = time.perf_counter() - start
                figures = measured_volume(sr, lr, hr, SCALE)
            rows.append(
                Row(set=SET, image=file.name.partition(".")[0], label="", scale=SCALE, system=name,
                    seconds=seconds, protocol="native", weights_sha256=sha256, patient=patient,
                    figures=figures)
            )  # fmt: skip
            _logger.info("%s, %s: %.2f dB, %.1f s", patient, name, figures["psnr"], seconds)
    write_rows(options.results / "mr_volumes.csv", rows)
    facts = Facts(
        system=OWN, domain="mri", scale=SCALE, parameters=count_parameters(network),
        weights_sha256=methods[OWN][0],
        note="shipped; its training is described in the bundle's documentation",
    )  # fmt: skip
    write_facts(options.results / FACTS, [facts])
    write_table(options.results, options.output)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    models = ROOT / "bundles" / "mri_sr" / "models"
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mr/*.nii.gz")
    parser.add_argument("--weights", type=Path, default=models / "model_3d.pt")
    parser.add_argument("--split_table", type=Path, default=ROOT / "benchmarks" / "campaign_mr.csv")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    run(parser.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
