"""Find from which correction on the weights for degraded input serve better.

Writes ``models/robust.json`` of a bundle, under the hash of its robust weights: what
``--robust auto`` goes by, see :mod:`monai_sr.upscaling.degraded`. Training and validation images of
the campaign (never those of benchmarks) are made small by bicubic reduction and sent through the
degradation that the robust weights were trained on. Faithful and robust weights enlarge each as
users have it, and PSNR says which serves better. Of all limits that call at most 2 % of clean
images degraded the one is taken that gains most. What it gains on images that it was not fitted on
is told, half by half.

Example: ``python benchmarks/fit_robust.py --bundle xray_sr --data DATA``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from campaign_jobs import Job, robust_job, split_of
from monai.bundle import ConfigParser
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.core import atomic_file, find_bundle, find_config, weights_sha256
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.errors import SRError
from monai_sr.training import BicubicDegradation, ReadTrainingImage
from monai_sr.training.training_images import Source
from monai_sr.upscaling.degraded import (
    LIMITS_FILE,
    ROBUST_WEIGHTS,
    correction,
    image_sample,
)

SCALES = (2, 4)
_LEVELS = 255
_MOST_FALSE = 0.02  # share of clean images that may be called degraded
_CALL_COSTS = 0.002  # dB: what a call must gain
_DIGITS = 4
_STEPS = 1000  # of a limit
_SLICES = 8  # of a volume, every so many

Array = npt.NDArray[np.float64]


class Judged(NamedTuple):
    """Degraded images.

    Attributes:
        corrections: (N,) by the robust weights.
        gains: (N,) dB of PSNR over the faithful weights.
    """

    corrections: Array
    gains: Array


def images_of(source: Source, channels: int) -> Iterator[Tensor]:
    """Yield an image, or some slices of a volume, (C, H, W) uint8 or float32 in [0, 1]."""
    found = ReadTrainingImage(channels)(source)
    images = found[_SLICES // 2 :: _SLICES] or found if isinstance(found, list) else [found]
    for image in images:
        height, width = (side // 4 * 4 for side in image.shape[1:])
        yield torch.from_numpy(image[:, :height, :width].copy())


def middle(image: Tensor, side: int) -> Tensor:
    """Return the middle part of an image, sides multiples of 4."""
    sides = [min(side, n) // 4 * 4 for n in image.shape[1:]]
    top, left = ((n - part) // 2 for n, part in zip(image.shape[1:], sides, strict=True))
    return image[:, top : top + sides[0], left : left + sides[1]]


def small(image: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Return an image made small, and itself, both in [0, 1]."""
    lr, hr = BicubicDegradation().shrink(image, scale).float(), image.float()
    return (lr / _LEVELS, hr / _LEVELS) if image.dtype == torch.uint8 else (lr, hr)


def corrected(lr: Tensor, robust: SuperResolver) -> float:
    """Return the correction of an image (C, H, W); 0 where there is nothing to correct."""
    sample = image_sample(lr)
    found = math.nan if sample is None else correction(sample, robust.network, robust.inferer)
    return 0.0 if math.isnan(found) else found


def psnr(sr: Tensor, hr: Tensor, border: int) -> float:
    """Return the PSNR in dB of values in [0, 1], a border left out."""
    inner = (slice(None), slice(border, -border), slice(border, -border))
    error = float((sr.clamp(0, 1) - hr)[inner].double().square().mean())
    return -10 * math.log10(max(error, 1e-10))


def degraded_pairs(
    images: Sequence[Tensor], degradation: Any, scale: int, draws: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield small degraded images and the large ones, each image drawn several times."""
    random = torch.Generator().manual_seed(seed)
    for image in images:
        lr, hr = small(image, scale)
        for _ in range(draws):
            seeds = torch.randint(2**31, (1,), generator=random)
            varied, truth = degradation.vary([lr[None], hr[None]], seeds)
            yield degradation.corrupt(varied, seeds)[0], truth[0]


def judge(
    pairs: Iterator[tuple[Tensor, Tensor]], faithful: SuperResolver, robust: SuperResolver
) -> Judged:
    """Measure and enlarge degraded images."""
    corrections, gains = [], []
    for lr, hr in pairs:
        plain, other = (psnr(r(lr), hr, int(r.scale)) for r in (faithful, robust))
        corrections.append(corrected(lr, robust))
        gains.append(other - plain)
    return Judged(np.array(corrections), np.array(gains))


def fit(judged: Judged, clean: Array) -> float:
    """Return the limit that gains most within the false alarms; infinite where none gains."""
    least = float(np.quantile(clean, 1 - _MOST_FALSE, method="higher"))
    order = np.sort(judged.corrections)
    best, most = math.inf, 0.0
    for limit in (least, *((order[1:] + order[:-1]) / 2)):
        worth = float((judged.gains - _CALL_COSTS)[judged.corrections > limit].sum())
        if limit >= least and worth > most:
            best, most = float(limit), worth
    return best


def gain(judged: Judged, limit: float) -> float:
    """Return the mean gain where a limit decides."""
    return float(np.where(judged.corrections > limit, judged.gains, 0).mean())


def held_out_gain(judged: Judged, clean: Array) -> float:
    """Return the mean gain on each half by the limit of the other."""
    halves = [Judged(*(each[part::2] for each in judged)) for part in (0, 1)]
    limits = [fit(half, clean[part::2]) for part, half in enumerate(halves)]
    return sum(gain(half, limit) for half, limit in zip(halves, limits[::-1], strict=True)) / 2


def figures_of(judged: Judged, clean: Array) -> tuple[float | None, dict[str, Any]]:
    """Fit; return the limit, rounded, and the figures that it rests on."""
    limit = fit(judged, clean)
    if math.isfinite(limit):
        limit = math.ceil(limit * _STEPS) / _STEPS  # upwards: no clean image more is called
    figures = {
        "clean_images": len(clean),
        "clean_called": float((clean > limit).mean()),
        "degraded_images": len(judged.gains),
        "degraded_called": float((judged.corrections > limit).mean()),
        "gain_db": gain(judged, limit),
        "held_out_gain_db": held_out_gain(judged, clean),
        "always_gain_db": float(judged.gains.mean()),
        "best_gain_db": float(judged.gains.clip(0).mean()),
    }
    found = {name: _rounded(value) for name, value in figures.items()}
    return (limit if math.isfinite(limit) else None), found


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of all images")
    parser.add_argument("--degradation", help="in place of the campaign's")
    parser.add_argument("--count", type=int, default=32, help="images that are degraded")
    parser.add_argument("--draws", type=int, default=3, help="strengths for each")
    parser.add_argument("--side", type=int, default=64, help="of small degraded images")
    parser.add_argument("--clean", type=int, default=100, help="images for false alarms")
    parser.add_argument("--clean_side", type=int, default=96, help="of small clean images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    job = robust_job(Path(options.bundle).name)
    how = str(options.degradation or job.degradation)
    degradation = read_degradation(how)
    entry: dict[str, Any] = {"degradation": how, "limits": {}, "figures": {}}
    images: list[Tensor] = []
    for scale in SCALES:
        faithful, robust = (
            SuperResolver.from_bundle(options.bundle, scale=scale, robust=flag, device="cpu")
            for flag in (False, True)
        )
        images = images or drawn_images(job, options.data, faithful.in_channels, options.clean)
        wide, narrow = (options.clean_side * scale, options.side * scale)
        clean = np.array([corrected(small(middle(i, wide), scale)[0], robust) for i in images])
        parts = [middle(image, narrow) for image in spread(images, options.count)]
        pairs = degraded_pairs(parts, degradation, scale, options.draws, options.seed)
        found = figures_of(judge(pairs, faithful, robust), clean)
        entry["limits"][str(scale)], entry["figures"][str(scale)] = found
    models = find_bundle(options.bundle) / "models"
    with atomic_file(models / LIMITS_FILE) as partial:
        text = json.dumps({weights_sha256(models / ROBUST_WEIGHTS): entry}, indent=1)
        partial.write_text(f"{text}\n", encoding="utf-8")
    write_weights_sums(options.bundle)
    print(json.dumps(entry, indent=1))
    return 0


def drawn_images(job: Job, data: Path, channels: int, count: int) -> list[Tensor]:
    """Return so many images of a job, slices of volumes among them."""
    sources = spread(sources_of(job, data), count)
    return spread([image for source in sources for image in images_of(source, channels)], count)


def sources_of(job: Job, data: Path) -> list[Source]:
    """Return the images that a job validates on, then those that it trains on."""
    train, validation = split_of(job, data)
    return [*validation, *train]


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return so many items, evenly drawn."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def read_degradation(name: str) -> Any:
    """Build a degradation, without its share of clean patches."""
    parser = ConfigParser()
    parser.read_config(find_config("degradations", name))
    degradation = parser.get_parsed_content("degradation")
    if hasattr(degradation, "clean_share"):
        degradation.clean_share = 0.0
    return degradation


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_robust: error: {error}")
