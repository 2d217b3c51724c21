"""Fit the factor that makes of a self-ensemble's spread a 90 % interval, for a bundle's weights.

Writes ``uncertainty`` into the bundle's ``metadata.json``. Example:
``python benchmarks/fit_uncertainty.py --bundle xray_sr --images VALIDATION --check OTHERS``.
Low-resolution images are made by MATLAB's bicubic down-sampling of the center of each image.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.apps.bundles import find_bundle
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError, SRError
from monai_sr.engines.training_images import list_images
from monai_sr.functional.resize import downsample_uint8
from monai_sr.inferers import SelfEnsembleInferer
from monai_sr.inferers.self_ensemble import interval_half_width
from monai_sr.transforms import load_image
from monai_sr.transforms.uncertainty import COVERAGE

_logger = logging.getLogger("monai_sr.fit_uncertainty")
_LEVELS = 255


def central_part(file: Path, size: int, channels: int) -> Tensor:
    """Read the middle of an 8-bit image as (1, channels, side, side) in [0, 255].

    Raises:
        BadImageError: it has too few channels, or another depth.
    """
    image = load_image(file)
    if image.meta["sr_dtype"] != "uint8" or image.shape[0] < channels:
        raise BadImageError(f"{file}: must have 8 bits and {channels} channels; leave it out")
    side = min(size, *(length // 4 * 4 for length in image.shape[1:]))
    x, y = ((length - side) // 2 for length in image.shape[1:])
    return image.as_tensor()[None, :channels, x : x + side, y : y + side]


@torch.inference_mode()
def errors_and_spreads(
    resolver: SuperResolver, files: Sequence[Path], size: int
) -> tuple[Tensor, Tensor]:
    """Enlarge reduced images; return the absolute errors and spreads of all their pixels."""
    inferer = resolver.inferer
    if not isinstance(inferer, SelfEnsembleInferer):
        raise TypeError("the bundle's inferer must be SelfEnsembleInferer")
    errors, spreads = [], []
    for file in files:
        hr = central_part(file, size, resolver.in_channels)
        lr = downsample_uint8(hr, resolver.scale) / _LEVELS
        mean, spread = inferer.mean_and_spread(lr.float().to(resolver.device), resolver.network)
        errors.append((mean.cpu() - hr / _LEVELS).abs().flatten())
        spreads.append(spread.cpu().flatten())
        _logger.info("x%d %s", resolver.scale, file.name)
    return torch.cat(errors), torch.cat(spreads)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--images", required=True, help="folder to fit on, not trained on")
    parser.add_argument("--check", help="another folder, to report the coverage on")
    parser.add_argument("--size", type=int, default=384, help="side of the part of each image")
    parser.add_argument("--count", type=int, default=12, help="images of a folder, evenly drawn")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folders = [options.images, *([options.check] if options.check else [])]
    chosen = [_drawn(list_images(folder), options.count) for folder in folders]
    factors = {}
    for scale in (2, 4):
        resolver = SuperResolver.from_bundle(options.bundle, scale=scale)
        errors, spreads = errors_and_spreads(resolver, chosen[0], options.size)
        factor = factors[str(scale)] = round(interval_half_width(errors, spreads, COVERAGE), 3)
        for folder, files in zip(folders[1:], chosen[1:], strict=True):
            errors, spreads = errors_and_spreads(resolver, files, options.size)
            covered = float((errors <= factor * spreads).double().mean())
            print(f"x{scale}: {covered:.1%} of the pixels of {folder} lie within the interval")
        print(f"x{scale}: {COVERAGE:.0%} interval = mean +- {factor} x spread")
    _write(options.bundle, resolver, factors)
    return 0


def _drawn(files: Sequence[Path], count: int) -> list[Path]:
    step = max(len(files) // count, 1)
    return list(files[::step][:count])


def _write(bundle: str, resolver: SuperResolver, factors: dict[str, float]) -> None:
    path = find_bundle(bundle) / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["uncertainty"] = {
        "coverage": COVERAGE,
        "factors": factors,
        "consistency": resolver.inferer.consistency,
        "weights_sha256": resolver.weights_sha256,
    }
    with atomic_file(path) as partial:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_uncertainty: error: {error}")
