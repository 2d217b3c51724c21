"""Fit the interval that holds 90 % of the values of clean images, for a bundle's weights.

Writes ``uncertainty`` into the bundle's ``metadata.json``: the factor, and the floor of the spread,
see monai_sr/transforms/interval.py. Low-resolution images are made by MATLAB's bicubic
down-sampling; the middle of each serves, of a volume that of every eighth slice. What
benchmarks/fit_widening.py has added there is gone, so it comes next. Examples:
``python benchmarks/fit_uncertainty.py --bundle xray_sr --data DATA`` takes what the bundle's
campaign validates on; ``--bundle mine --images VALIDATION --check OTHERS`` other images.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from interval_samples import Sample, drawn_images, small, sources_of, take_sample

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import SRError
from monai_sr.core.registry import find_bundle
from monai_sr.inferers.self_ensemble import interval_half_width
from monai_sr.training.training_images import Source, list_images, training_split
from monai_sr.transforms import Widening
from monai_sr.transforms.interval import COVERAGE

_logger = logging.getLogger("monai_sr.fit_uncertainty")
SCALES = (2, 4)
_POWER = 0.5
"""Of the spread. From 0.5 to 1 all hold as much of clean images; 0.5 makes the interval narrowest
(of photos x4 half as wide as 1), and stays of use under strong noise (X-rays: 12 % of the range, by
1 it was 120 %) and on images unlike these."""
_FLOOR_SHARE = 0.25  # of the root mean square spread; from 0.1 to 0.4 widths differ by a tenth
_DIGITS = 7


def samples_of(resolver: SuperResolver, sources: Sequence[Source], count: int) -> list[Sample]:
    """Enlarge reduced images; return what is known of them."""
    found = []
    for image in drawn_images(sources, resolver.in_channels, count):
        found.append(take_sample(resolver, *small(image, int(resolver.scale))))
        _logger.info("x%g, image %d", resolver.scale, len(found))
    return found


def fit(samples: Sequence[Sample], aim: float = COVERAGE) -> tuple[float, Widening]:
    """Return the factor by which the interval holds a share of all values, and its floor."""
    typical = float(np.median([np.sqrt((s.spread**2).mean()) for s in samples]))
    floor = round(_FLOOR_SHARE * typical, _DIGITS)
    plain = Widening(power=_POWER, floor=floor, floor_share=_FLOOR_SHARE)
    errors = np.concatenate([s.error.ravel() for s in samples])
    widths = np.concatenate([plain.plain(1.0, s.spread).ravel() for s in samples])
    factor = interval_half_width(torch.from_numpy(errors), torch.from_numpy(widths), aim)
    return round(factor, _DIGITS), plain


def held(samples: Sequence[Sample], factor: float, plain: Widening) -> float:
    """Return which share of all values the interval holds."""
    inside = [(s.error <= plain.plain(factor, s.spread)).ravel() for s in samples]
    return float(np.concatenate(inside).mean())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="folder of all images of the campaign")
    where.add_argument("--images", help="folder to fit on, not trained on")
    parser.add_argument("--split_table", help="of --images, take what this table validates on")
    parser.add_argument("--check", help="another folder, to report the coverage on")
    parser.add_argument("--count", type=int, default=24, help="images of a folder, evenly drawn")
    parser.add_argument(
        "--aim",
        type=float,
        default=COVERAGE,
        help="share of their values to hold; of MR and X-rays 0.92, for new ones differ more",
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sources = _sources(options)
    factors, floors = {}, {}
    for scale in SCALES:
        resolver = SuperResolver.from_bundle(options.bundle, scale=scale, device="cpu")
        factor, plain = fit(samples_of(resolver, sources, options.count), options.aim)
        if options.check:
            others = samples_of(resolver, list_images(options.check), options.count)
            covered = held(others, factor, plain)
            print(f"x{scale}: {covered:.1%} of the pixels of {options.check} lie within")
        print(f"x{scale}: factor {factor}, floor {plain.floor}")
        factors[str(scale)] = factor
        floors[str(scale)] = {
            name: getattr(plain, name) for name in ("power", "floor", "floor_share")
        }
    entry = {
        "coverage": COVERAGE,
        "factors": factors,
        "consistency": resolver.inferer.consistency,
        "overshoot": resolver.inferer.overshoot,
        "weights_sha256": resolver.weights_sha256,
        "widening": floors,
    }
    _write(options.bundle, entry)
    return 0


def _sources(options: argparse.Namespace) -> Sequence[Source]:
    if options.data:
        return sources_of(options.bundle, options.data)
    if options.split_table:
        return training_split(options.images, None, 0, options.split_table)[1]
    return list_images(options.images)


def _write(bundle: str, entry: dict[str, object]) -> None:
    path = find_bundle(bundle) / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["uncertainty"] = entry
    with atomic_file(path) as partial:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_uncertainty: error: {error}")
