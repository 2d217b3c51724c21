"""Judge volumes whose slices were made thinner: fidelity across, and what is measured in them.

Structures are found by one fixed rule: two thresholds by Otsu's method for three classes (P.-S.
Liao, T.-S. Chen, P.-C. Chung, 2001, Journal of Information Science and Engineering 17: 713) on the
thin reference; bright is what lies above the upper one, in every volume. In brains without skull
and T1 contrast that is white matter, about.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_multiotsu
from summary import fixed
from tables import Table
from torch import Tensor

from monai_sr.functional import SliceProfile, reduce_slices
from monai_sr.metrics import LPIPSMetric, SSIMMetric, psnr

FILE = "thick_slices.csv"
"""Name of the table among the measured rows."""
PLANE_STEP = 8
"""Planes across the slices of which one is compared by SSIM and LPIPS."""
_SHOWN = 0.05  # least share of a plane above its smallest value


@dataclass(frozen=True, kw_only=True)
class ThickRow:
    """Hold what was measured on one volume.

    Args:
        volume: its name.
        factor: thin slices in a thick one.
        profile: of the thick slices; that which methods go by is always the same.
        method: what made slices thinner.
        psnr: of the whole volume but a border of ``factor`` voxels, in dB.
        ssim: mean over planes across the slices.
        lpips: likewise.
        lr_psnr: between the result, reduced by the profile, and the thick slices, in dB.
        mean_change: mean of the result less that of the thick slices, in % of the range.
        volume_error: volume of what is bright against that in the reference, in %.
        dice: overlap of both.
        length_error: mean length across of what is bright, against the reference, in %.
        weights_sha256: of the network.
    """

    volume: str
    factor: int
    profile: str
    method: str
    psnr: float
    ssim: float
    lpips: float
    lr_psnr: float
    mean_change: float
    volume_error: float
    dice: float
    length_error: float
    weights_sha256: str = ""


THICK_TABLE = Table(
    ThickRow,
    "benchmarks/thick.py",
    "{:.4f}".format,
)


def judge_volume(sr: Tensor, hr: Tensor, lr: Tensor, profile: SliceProfile) -> dict[str, float]:
    """Compare a result with the reference and with its input; slices along the last axis.

    Shape: sr, hr (X, Y, Z), lr (X, Y, Z / factor), in [0, 1].
    """
    factor = hr.shape[2] // lr.shape[2]
    inner = (..., *(slice(factor, -factor),) * 3)
    reduced = reduce_slices(sr.double(), lr.shape[2], 2, profile)
    bright = threshold_multiotsu(hr.numpy())[1]
    found, truth = (volume.numpy() > bright for volume in (sr, hr))
    return {
        "psnr": float(psnr(sr[None, None][inner], hr[None, None][inner], 1.0)),
        "lr_psnr": float(psnr(reduced[None, None], lr[None, None].double(), 1.0)),
        "mean_change": 100 * float(sr.double().mean() - lr.double().mean()),
        "volume_error": 100 * float(found.sum() / truth.sum() - 1),
        "dice": float(2 * (found & truth).sum() / (found.sum() + truth.sum())),
        "length_error": 100 * (mean_length(found) / mean_length(truth) - 1),
        **_of_planes(sr, hr, factor),
    }


def mean_length(mask: npt.NDArray[np.bool_]) -> float:
    """Return the mean length of runs along the last axis, in samples; NaN where there are none."""
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(1, 0)])
    runs = int((padded[..., 1:] & ~padded[..., :-1]).sum())
    return float(mask.sum() / runs) if runs else math.nan


def _of_planes(sr: Tensor, hr: Tensor, factor: int) -> dict[str, float]:
    """Compare planes of both orientations that contain the slice axis."""
    means = {}
    for name, kind in (("ssim", SSIMMetric), ("lpips", LPIPSMetric)):
        metric = kind(scale=factor, protocol="native")
        for across in (0, 1):
            planes = [volume.movedim(across, 0)[::PLANE_STEP, None] for volume in (sr, hr)]
            shown = (planes[1] > planes[1].min()).flatten(1).float().mean(1) > _SHOWN
            metric(y_pred=planes[0][shown].float().clamp(0, 1), y=planes[1][shown].float())
        means[name] = float(metric.aggregate())
    return means


_COLUMNS = {
    "psnr": ("PSNR (dB)", 2),
    "ssim": ("SSIM", 4),
    "lpips": ("LPIPS", 4),
    "lr_psnr": ("LR-PSNR (dB)", 1),
    "mean_change": ("mean (%)", 3),
    "volume_error": ("volume (%)", 1),
    "dice": ("Dice", 3),
    "length_error": ("length (%)", 1),
}


def thick_section(rows: Sequence[ThickRow]) -> list[str]:
    """Return the lines of the section on thick slices: one table a profile and factor."""
    names = list(dict.fromkeys(row.volume for row in rows))
    lines = [
        "## Thick slices\n",
        "Thin slices of volumes that no network was trained on are made thick by a profile "
        "(`monai_sr.functional.SliceProfile`, full width at half maximum: the distance of slices) "
        "and thin again. Methods know no profile and go by `slr`. PSNR of the volume, SSIM and "
        "LPIPS of planes across the slices; LR-PSNR: the result, reduced by the profile, against "
        "the thick slices. Mean: of the result less that of the thick slices, in % of the range. "
        "Bright is what lies above the upper of two thresholds that Otsu's method finds in the "
        "reference (white matter and fat, about): its volume and its mean length across, against "
        "the reference; `tuned`: for 2 minutes, on the slices of the volume itself, on a core of a "
        "CPU that others used, too (`--tune 2`); `as they are`: every thick slice in place of its "
        "thin ones, so what is measured in the input. No segmentation by people. From `python "
        "benchmarks/thick.py`.\n",
    ]
    for volume in names:
        part = [row for row in rows if row.volume == volume]
        lines.append(f"### Thick slices, {volume}\n")
        for profile, factor in dict.fromkeys((row.profile, row.factor) for row in part):
            chosen = [r for r in part if (r.profile, r.factor) == (profile, factor)]
            lines += [f"×{factor}, profile `{profile}`:\n", *_table(chosen)]
    return [*lines, *_means(rows)]


def _table(rows: Sequence[ThickRow]) -> list[str]:
    heads = ["method", *(head for head, _ in _COLUMNS.values())]
    best = max(rows, key=lambda row: row.psnr).method
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * len(_COLUMNS)}"]
    for row in rows:
        figures = [(getattr(row, name), digits) for name, (_, digits) in _COLUMNS.items()]
        cells = [fixed(round(figure, digits) + 0.0, digits) for figure, digits in figures]
        cells[0] = f"**{cells[0]}**" if row.method == best else cells[0]
        lines.append(f"| {row.method} | {' | '.join(cells)} |")
    return [*lines, ""]


def _means(rows: Sequence[ThickRow]) -> list[str]:
    """Return a line for each factor: the mean gain over cubic splines of methods on all volumes."""
    base = {(r.volume, r.profile, r.factor): r.psnr for r in rows if r.method == "cubic spline"}
    lines = []
    for factor in sorted({row.factor for row in rows}):
        gains: dict[str, list[float]] = {}
        for row in rows:
            if row.factor == factor and row.profile == SliceProfile().kind:
                gain = row.psnr - base[row.volume, row.profile, factor]
                gains.setdefault(row.method, []).append(gain)
        count = len(gains["cubic spline"])
        whole = {name: statistics.mean(g) for name, g in gains.items() if len(g) == count}
        told = ", ".join(f"{name} {gain:+.2f}" for name, gain in whole.items())
        lines.append(f"- ×{factor}, mean over {count} volumes: {told}")
    return ["PSNR over that of cubic splines (dB):\n", *lines, ""]
