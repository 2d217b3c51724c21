"""Fit the factor that makes of a self-ensemble's spread a 90 % interval, for a bundle's weights.

Writes ``uncertainty`` into the bundle's ``metadata.json``. Example:
``python benchmarks/fit_uncertainty.py --bundle xray_sr --images VALIDATION --check OTHERS``.
Low-resolution images are made by MATLAB's bicubic down-sampling of the center of each image; of a
volume, every eighth slice serves.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import SRError
from monai_sr.core.registry import find_bundle
from monai_sr.inferers import SelfEnsembleInferer
from monai_sr.inferers.self_ensemble import interval_half_width
from monai_sr.training import BicubicDegradation, ReadTrainingImage
from monai_sr.training.training_images import Source, first_file, list_images, training_split
from monai_sr.transforms.restore import COVERAGE

_logger = logging.getLogger("monai_sr.fit_uncertainty")
_LEVELS = 255
_SLICES = 8


def central_parts(source: Source, size: int, channels: int) -> list[Tensor]:
    """Read the middle of an image, of slices of a volume, or of the groups of bands of a raster.

    Returns:
        Tensors (1, channels, side, side), uint8 or floating point in [0, 1].

    Raises:
        BadImageError: as :class:`monai_sr.training.ReadTrainingImage`.
    """
    found = ReadTrainingImage(channels)(source)
    images = found[_SLICES // 2 :: _SLICES] or found if isinstance(found, list) else [found]
    parts = []
    for image in images:
        side = min(size, *image.shape[1:]) // 4 * 4
        top, left = ((length - side) // 2 for length in image.shape[1:])
        parts.append(torch.from_numpy(image[None, :, top : top + side, left : left + side].copy()))
    return parts


@torch.inference_mode()
def errors_and_spreads(
    resolver: SuperResolver, files: Sequence[Source], size: int
) -> tuple[Tensor, Tensor]:
    """Enlarge reduced images; return the absolute errors and spreads of all their pixels."""
    inferer = resolver.inferer
    if not isinstance(inferer, SelfEnsembleInferer):
        raise TypeError("the bundle's inferer must be SelfEnsembleInferer")
    errors, spreads = [], []
    for file in files:
        for hr in central_parts(file, size, resolver.in_channels):
            lr = BicubicDegradation().shrink(hr[0], resolver.scale)[None]
            small, large = (t / _LEVELS if t.dtype == torch.uint8 else t for t in (lr, hr))
            mean, spread = inferer.mean_and_spread(
                small.float().to(resolver.device), resolver.network
            )
            errors.append((mean.cpu() - large).abs().flatten())
            spreads.append(spread.cpu().flatten())
        _logger.info("x%d %s", resolver.scale, first_file(file).name)
    return torch.cat(errors), torch.cat(spreads)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--images", required=True, help="folder to fit on, not trained on")
    parser.add_argument("--split_table", help="of --images, take what this table validates on")
    parser.add_argument("--check", help="another folder, to report the coverage on")
    parser.add_argument("--size", type=int, default=384, help="side of the part of each image")
    parser.add_argument("--count", type=int, default=12, help="images of a folder, evenly drawn")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folders = [options.images, *([options.check] if options.check else [])]
    listed = [list_images(folder) for folder in folders]
    if options.split_table:
        listed[0] = training_split(options.images, None, 0, options.split_table)[1]
    chosen = [_drawn(files, options.count) for files in listed]
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


def _drawn(files: Sequence[Source], count: int) -> list[Source]:
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
