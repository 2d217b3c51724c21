"""Measure the training images of a bundle's weights, for reports to compare inputs with.

Writes ``training_statistics`` into the bundle's ``metadata.json``, under the hash of the weights,
or of those of several sizes that saw the same images; those of other weights of the bundle stay.
Low-resolution images are made by MATLAB's bicubic down-sampling, as in training. Example:
``python benchmarks/fit_training_statistics.py --bundle xray_sr --images xray/train --modality CR``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from monai_sr import SuperResolver
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import SRError
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.registry import find_bundle
from monai_sr.functional.statistics import SMALLEST_SIDE, image_statistics
from monai_sr.training import BicubicDegradation, ReadTrainingImage
from monai_sr.training.training_images import Source, list_images, training_split
from monai_sr.transforms import QUANTILES

SCALES = (2, 4)
_LEVELS = 255
_DIGITS = 6


def small_images(source: Source, channels: int, scale: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the small image (C, H, W) in [0, 1] of an image, or those of the slices of a volume."""
    found = ReadTrainingImage(channels)(source)
    for image in found if isinstance(found, list) else [found]:
        height, width = (side // scale * scale for side in image.shape[1:])
        if min(height, width) >= SMALLEST_SIDE * scale:
            hr = torch.from_numpy(image[:, :height, :width].copy())
            lr = BicubicDegradation().shrink(hr, scale).double().numpy()
            yield lr / _LEVELS if image.dtype == np.uint8 else lr


def fit(sources: Sequence[Source], channels: int, scale: int) -> tuple[int, dict[str, list[float]]]:
    """Return the number of images, and the quantiles of each statistic over them."""
    rows = [image_statistics(lr) for s in sources for lr in small_images(s, channels, scale)]
    quantiles = {
        name: np.quantile([row[name] for row in rows], QUANTILES).round(_DIGITS).tolist()
        for name in rows[0]
    }
    return len(rows), quantiles


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--images", required=True, nargs="+", help="folders trained on")
    parser.add_argument("--modality", nargs="*", default=[], help="(0008,0060) trained on")
    parser.add_argument(
        "--size", nargs="+", default=["best"], help="of the model: best, or best fast"
    )
    parser.add_argument("--split_table", help="of --images, take what this table trains on")
    options = parser.parse_args(argv)
    sources = list_images(options.images)
    if options.split_table:
        sources = training_split(options.images, None, 0, options.split_table)[0]
    resolvers = [SuperResolver.from_bundle(options.bundle, size=size) for size in options.size]
    channels = resolvers[0].in_channels
    entry: dict[str, object] = {"channels": channels, "modalities": options.modality}
    scales = {}
    for scale in SCALES:
        entry["images"], scales[str(scale)] = fit(sources, channels, scale)
        print(f"x{scale}: {entry['images']} images, 1 %, 50 % and 99 % of them below")
        for name, values in scales[str(scale)].items():
            print(f"  {name}: {', '.join(f'{v:.4f}' for v in values)}")
    entry["scales"] = scales
    path = find_bundle(options.bundle) / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    shipped = {weights_sha256(file) for file in path.parents[1].glob("models/*.pt")}
    before = metadata.get("training_statistics", {})
    kept = {sha: other for sha, other in before.items() if sha in shipped}
    metadata["training_statistics"] = kept | {each.weights_sha256: entry for each in resolvers}
    with atomic_file(path) as partial:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_training_statistics: error: {error}")
