"""Fit how the interval of uncertainty widens on degraded input, for a bundle's weights.

Adds to ``uncertainty`` / ``widening`` of the bundle's ``metadata.json``; the factors and floors of
benchmarks/fit_uncertainty.py stay, which come first. Validation images of the campaign, and
training images where these are few, never those of benchmarks, are made small by bicubic reduction
and sent through the degradation of the bundle's weights for degraded input, at strengths that are
drawn. Of clean ones all but a few read as clean. Of all gains by which the interval holds its share
of the values of degraded images those are taken that make it narrowest. What it holds is told of
images that the gains were not fitted on, half by half.

Example: ``python benchmarks/fit_widening.py --bundle xray_sr --data DATA``.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign_jobs import robust_job
from interval_samples import (
    LEVELS,
    Array,
    Sample,
    drawn_images,
    small,
    sources_of,
    take_sample,
)
from monai.bundle import ConfigParser
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.core import atomic_file, find_bundle, find_config
from monai_sr.core.errors import SRError
from monai_sr.transforms import Widening, interval_widening
from monai_sr.transforms.interval import COVERAGE

_NOISIER = 0.15  # of clean images may read as noisier than clean, unless the command says otherwise
_COARSER = 0.15  # of them may read as coarser
_NOISE_GAINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_DETAIL_GAINS = (0.0, *(round(0.5 * 1.25**n, 3) for n in range(20)))
_DIGITS = 4
_PLAIN = ("power", "floor", "floor_share")  # of benchmarks/fit_uncertainty.py


def widening_of(
    clean: Sequence[Sample],
    degraded: Sequence[Sample],
    factor: float,
    plain: Widening,
    noisier: float = _NOISIER,
) -> Widening:
    """Return the gains that hold a share of the values of degraded images by the least width.

    Those images count that read as other than clean: no gain reaches the others. Where none holds
    that share, the gains that hold most.

    Args:
        clean: what reads as clean.
        degraded: others.
        factor: of the plain interval.
        plain: that interval.
        noisier: share of clean images that may read as noisier.
    """
    noises = [s.reading.loudest for s in clean if not math.isnan(s.reading.loudest)]
    details = [s.reading.detail for s in clean if not math.isnan(s.reading.detail)]
    ends = dataclasses.replace(
        plain,
        noise_gain=0.0,
        detail_gain=0.0,
        clean_noise=float(np.quantile(noises, 1 - noisier)) if noises else math.inf,
        clean_detail=float(np.quantile(details, _COARSER)) if details else 0.0,
    )
    beyond = [sample for sample in degraded if ends.is_beyond(sample.reading)]
    if not beyond:
        return ends
    parts = [_parts(sample, factor, ends) for sample in beyond]
    best, narrowest, most = (0.0, 0.0), math.inf, 0.0
    for gains in itertools.product(_NOISE_GAINS, _DETAIL_GAINS):
        held, width = _judged(parts, *gains)
        if held >= COVERAGE and width < narrowest:
            best, narrowest, most = gains, width, COVERAGE
        elif most < held < COVERAGE:
            best, most = gains, held
    return dataclasses.replace(ends, noise_gain=best[0], detail_gain=best[1])


def _parts(sample: Sample, factor: float, ends: Widening) -> tuple[Array, Array, Array, Array]:
    """Return squares: of the error, the plain half width, and of both terms by a gain of 1."""
    plain = sample.half_width(factor, ends) ** 2
    terms = [
        sample.half_width(factor, dataclasses.replace(ends, **{gain: 1.0})) ** 2 - plain
        for gain in ("noise_gain", "detail_gain")
    ]
    return sample.error**2, plain, terms[0], terms[1]


def _judged(
    parts: Sequence[tuple[Array, Array, Array, Array]], noise_gain: float, detail_gain: float
) -> tuple[float, float]:
    """Return which share of the values gains hold, and how wide they make the interval."""
    held, width = [], []
    for error, plain, noise, detail in parts:
        square = plain + noise_gain**2 * noise + detail_gain**2 * detail
        held.append(float((error <= square).mean()))
        width.append(float(np.sqrt(square).mean()))
    return float(np.mean(held)), float(np.mean(width))


def fit(
    clean: Sequence[Sample],
    degraded: Sequence[Sample],
    factor: float,
    plain: Widening,
    noisier: float = _NOISIER,
) -> Widening:
    """Fit on all images, and tell what the gains of each half of them hold on the other."""
    found = widening_of(clean, degraded, factor, plain, noisier)
    holds, held = [], []
    for half in (0, 1):
        other = widening_of(clean, degraded[half::2], factor, plain, noisier)
        for sample in degraded[1 - half :: 2]:
            if other.is_beyond(sample.reading):
                holds.append(sample.covered(factor, other).mean())
                held.append((sample.error <= plain.plain(factor, sample.spread)).mean())
    return dataclasses.replace(
        found,
        holds=float(np.mean(holds)) if holds else math.nan,
        held=float(np.mean(held)) if held else math.nan,
    )


def degrade(degradation: Any, lr: Tensor, hr: Tensor, seeds: Tensor, levels: int | None) -> Any:
    """Send a small image through a degradation, stored again in so many levels.

    Shape: lr (C, h, w), hr (C, H, W) in [0, 1] -> the same.
    """
    varied, truth = degradation.vary([lr[None], hr[None]], seeds)
    spoiled = degradation.corrupt(varied, seeds)[0]
    if levels is not None:
        spoiled = (spoiled * levels).round() / levels
    return spoiled, truth[0]


def samples_of(
    resolver: SuperResolver, images: Sequence[Tensor], degradation: Any, draws: int, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Return samples of clean images, and of each degraded several times."""
    random = torch.Generator().manual_seed(seed)
    clean, degraded = [], []
    for image in images:
        lr, hr = small(image, int(resolver.scale))
        clean.append(take_sample(resolver, lr, hr))
        for _ in range(draws):
            seeds = torch.randint(2**31, (1,), generator=random)
            levels = LEVELS if image.dtype == torch.uint8 else None
            degraded.append(take_sample(resolver, *degrade(degradation, lr, hr, seeds, levels)))
    return clean, degraded


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of all images")
    parser.add_argument("--count", type=int, default=24, help="images")
    parser.add_argument("--draws", type=int, default=3, help="strengths for each")
    parser.add_argument(
        "--noisier",
        type=float,
        default=_NOISIER,
        help="share of clean images that may read as noisier; of MR, where subjects differ, 0.35",
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    job = robust_job(options.bundle)
    parser_of_stages = ConfigParser()
    parser_of_stages.read_config(find_config("degradations", str(job.degradation)))
    degradation = parser_of_stages.get_parsed_content("degradation")
    degradation.clean_share = 0.0
    path = find_bundle(options.bundle) / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    entry = metadata["uncertainty"]
    sources = sources_of(options.bundle, options.data)
    for scale, factor in entry["factors"].items():
        resolver = SuperResolver.from_bundle(options.bundle, scale=int(scale), device="cpu")
        images = drawn_images(sources, resolver.in_channels, options.count)
        samples = samples_of(resolver, images, degradation, options.draws, options.seed)
        plain = interval_widening(path, int(scale))
        found = fit(*samples, factor, plain, options.noisier)
        told = {k: round(v, _DIGITS) for k, v in dataclasses.asdict(found).items()}
        entry["widening"][scale] |= {k: v for k, v in told.items() if k not in _PLAIN}
        print(f"x{scale}: {json.dumps(entry['widening'][scale])}")
    with atomic_file(path) as partial:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_widening: error: {error}")
