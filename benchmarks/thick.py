"""Measure how thin slices come out of thick ones, on volumes that no network was trained on.

``python benchmarks/thick.py --data DATA`` writes ``benchmarks/results/thick_slices.csv`` and
docs/results.md: slices as they are, linear, cubic splines, splines that agree with the slices,
``mri_sr`` in plane applied to planes across (x2, x4), the network for slices, and that tuned on the
slices of the volume itself (where :data:`TUNED` says so: it takes minutes each time).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from results_page import OUTPUT, RESULTS, write_table
from scipy.ndimage import zoom
from thick_rows import FILE, THICK_TABLE, ThickRow, judge_volume
from torch import Tensor

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.functional import (
    SliceProfile,
    along,
    reduce_slices,
    resize_to,
    restore_slices,
    spline_matrix,
)
from monai_sr.inferers import SliceRestorer, TiledInferer
from monai_sr.networks import create_generator, load_weights
from monai_sr.training import ReadTrainingVolume

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "mri_sr"
MODELS = BUNDLE / "models"
KNOWN = [(factor, "slr") for factor in (2, 3, 4, 6)]
"""Factors, and profiles that are the assumed one."""
VOLUMES = {
    "T1, brain": ("mr/ds002748_sub-10_T1w_brain.nii.gz", [*KNOWN, (4, "boxcar"), (4, "gaussian")]),
    "T1, head": ("nifti/chris_t1.nii.gz", KNOWN),
    "T1 with gadolinium, head": ("nifti/MR_Gd.nii.gz", KNOWN),
    "CT, head phantom": ("nifti/CT_pitch.nii.gz", KNOWN[:2]),
}
"""Name -> file, factors and profiles. The slices of the CT lie 2.4 mm apart before."""
TUNED = [("T1, brain", 4), ("T1, head", 3), ("T1, head", 4), ("T1 with gadolinium, head", 4),
         ("CT, head phantom", 3)]  # fmt: skip
"""Volumes and factors, of the assumed profile, at which the network is tuned, too."""
SIDE, SLICES = 96, 60
"""Voxels in plane and slices that are compared, from the middle; factors divide these."""
_logger = logging.getLogger("monai_sr.thick")
_TUNED = "mri_sr, slices, tuned"
Method = Callable[[Tensor, int], Tensor]


def as_they_are(lr: Tensor, size: int) -> Tensor:
    """Repeat each slice."""
    return lr.repeat_interleave(size // lr.shape[2], 2)


def linear(lr: Tensor, size: int) -> Tensor:
    """Interpolate linearly, outer edges kept."""
    factor = size / lr.shape[2]
    matrix = zoom(np.eye(lr.shape[2]), (factor, 1), order=1, mode="nearest", grid_mode=True)
    return along(matrix, lr, 2)


def cubic_spline(lr: Tensor, size: int) -> Tensor:
    """Interpolate by cubic splines, outer edges kept."""
    return along(spline_matrix(lr.shape[2], size), lr, 2)


def agreeing_spline(lr: Tensor, size: int) -> Tensor:
    """Interpolate by the cubic splines that agree with the slices."""
    return restore_slices(lr, size, 2, SliceProfile())


class InPlane:
    """``mri_sr`` on planes across the slices: both axes are enlarged, the fine one shrinks again.

    Args:
        weights: of the model.
        overshoot: margin of its bundle.
    """

    def __init__(self, weights: Path, overshoot: float) -> None:
        self.overshoot = overshoot
        self.network = create_generator(
            "hybrid_cascade", in_channels=1, scale=4, channels=64, num_blocks=8, block="plain",
            recursions=1,
        ).eval()  # fmt: skip
        load_weights(self.network, weights)

    def __call__(self, lr: Tensor, size: int) -> Tensor:
        """Return the mean of both orientations."""
        result = torch.zeros(*lr.shape[:2], size)
        inferer = TiledInferer(size // lr.shape[2], consistency=2, overshoot=self.overshoot)
        for across in (0, 1):
            planes = lr.movedim(across, 0)[:, None]
            large = torch.cat([torch.as_tensor(inferer(p[None], self.network)) for p in planes])
            fitting = resize_to(large, (planes.shape[2], size), (2, 3))[:, 0]
            result += fitting.movedim(0, across) / 2
        return result


def methods(
    weights: Path, in_plane: Path, minutes: float
) -> dict[str, tuple[str, Method, tuple[int, ...]]]:
    """Return what is compared: name -> SHA-256 of its weights, itself, its factors."""
    config = yaml.safe_load((BUNDLE / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    overshoot = float(config["overshoot"])
    every, ends = (2, 3, 4, 6), (torch.zeros(1), torch.ones(1))

    def ours(tune: float) -> Method:
        restorer = SliceRestorer(weights, network=config["slices"]["network"], tune=tune)
        return lambda lr, size: restorer(
            lr[None, None], size, 4, limits=ends, overshoot=overshoot
        )[0, 0]  # fmt: skip

    return {
        "as they are": ("", as_they_are, every),
        "linear": ("", linear, every),
        "cubic spline": ("", cubic_spline, every),
        "agreeing spline": ("", agreeing_spline, every),
        "mri_sr in plane": (weights_sha256(in_plane), InPlane(in_plane, overshoot), (2, 4)),
        "mri_sr, slices": (weights_sha256(weights), ours(0.0), every),
        _TUNED: (weights_sha256(weights), ours(minutes), (3, 4)),
    }


def middle(file: Path) -> Tensor:
    """Read the middle of a volume (X, Y, Z), a multiple of 12 slices."""
    values = torch.from_numpy(np.asarray(ReadTrainingVolume()(file)))[0]
    sizes = [*(min(SIDE, n) for n in values.shape[:2]), min(SLICES, values.shape[2] // 12 * 12)]
    for axis, size in enumerate(sizes):
        values = values.narrow(axis, (values.shape[axis] - size) // 2, size)
    return values.contiguous()


def run(options: argparse.Namespace) -> None:
    """Measure every method on every volume."""
    compared = methods(options.weights, options.in_plane, options.tune)
    rows = []
    for name, (file, conditions) in VOLUMES.items():
        hr = middle(options.data / file)
        for factor, kind in conditions:
            profile = SliceProfile(kind)
            lr = reduce_slices(hr, hr.shape[2] // factor, 2, profile)
            for method, (sha256, enlarge, known) in compared.items():
                is_left = method == _TUNED and not ((name, factor) in TUNED and kind == "slr")
                if factor not in known or is_left:
                    continue
                start = time.perf_counter()
                with torch.inference_mode():
                    sr = enlarge(lr, hr.shape[2])
                seconds = time.perf_counter() - start
                figures = judge_volume(sr, hr, lr, profile)
                rows.append(ThickRow(volume=name, factor=factor, profile=kind, method=method,
                                     weights_sha256=sha256, **figures))  # fmt: skip
                _logger.info(
                    "%s x%d %s, %s: %.2f dB, %.1f s",
                    name, factor, kind, method, figures["psnr"], seconds,
                )  # fmt: skip
    THICK_TABLE.write(options.results / FILE, rows)
    write_table(options.results, options.output)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mr and nifti")
    parser.add_argument("--weights", type=Path, default=MODELS / "model_slices.pt")
    parser.add_argument("--in_plane", type=Path, default=MODELS / "model.pt")
    parser.add_argument("--tune", type=float, default=2.0, help="minutes of tuning a volume")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    run(parser.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
