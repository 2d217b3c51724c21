"""Find the ranges of activations by which a bundle's weights are run in 8-bit integers.

Writes ``models/int8.json`` of the bundle, under the hash of the weights. Every convolution but the
first and the last is given the smallest and the largest value that comes in on training images:
what they showed is never clipped. Low-resolution images are made by MATLAB's bicubic
down-sampling. Example:
``python benchmarks/fit_int8.py --bundle xray_sr --images xray/train``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.apps.bundles import find_bundle
from monai_sr.apps.super_resolver import inference_config
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import SRError, unwrapped
from monai_sr.engines import BicubicDegradation, ReadTrainingImage
from monai_sr.engines.training_images import Source, list_images, training_split
from monai_sr.networks import load_weights
from monai_sr.networks.weights import state_digest

SCALES = (2, 4)
_LEVELS = 255
_SLICES = 8  # of a volume, every so many
_DIGITS = 5

Range = tuple[float, float]


def small_parts(source: Source, size: int, channels: int, scale: int) -> Iterator[Tensor]:
    """Yield the small middle (1, C, side, side) of an image, or those of slices, in [0, 1]."""
    found = ReadTrainingImage(channels)(source)
    images = found[_SLICES // 2 :: _SLICES] or found if isinstance(found, list) else [found]
    for image in images:
        side = min(size * scale, *image.shape[1:]) // 4 * 4
        top, left = ((length - side) // 2 for length in image.shape[1:])
        part = torch.from_numpy(image[:, top : top + side, left : left + side].copy())
        lr = BicubicDegradation().shrink(part, scale)[None].float()
        yield lr / _LEVELS if image.dtype.name == "uint8" else lr


@torch.inference_mode()
def input_ranges(network: nn.Module, images: Sequence[Tensor], scale: int) -> dict[str, Range]:
    """Return the smallest and largest input of each convolution but the first and the last.

    Args:
        network: generator, weights loaded.
        images: (N, C, H, W) in [0, 1].
        scale: of the enlargement.
    """
    found: dict[str, Range] = {}
    names = {m: n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}

    def watching(name: str) -> Callable[..., None]:
        def watch(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            low, high = (float(v) for v in inputs[0].aminmax())
            before = found.get(name, (low, high))
            found[name] = (min(low, before[0]), max(high, before[1]))

        return watch

    handles = [module.register_forward_pre_hook(watching(name)) for module, name in names.items()]
    for image in images:
        network(image, scale)
    for handle in handles:
        handle.remove()
    # They were met in the order of the calls.
    return dict(list(found.items())[1:-1])


def network_of(bundle: str, size: str) -> nn.Module:
    """Build the network of a size, without weights."""
    with unwrapped():
        config = inference_config(bundle, {"size": size})
        network: nn.Module = config.get_parsed_content("network_def")
    return network.eval()


def rounded(value: float) -> float:
    """Return a number with few digits."""
    return float(f"{value:.{_DIGITS}g}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--images", required=True, nargs="+", help="files and folders trained on")
    parser.add_argument("--split_table", help="of --images, take what this table trains on")
    parser.add_argument("--weights", nargs="*", help="file names (default: all of the 2D model)")
    parser.add_argument("--limit", type=int, default=48, help="images of each scale")
    parser.add_argument("--size", type=int, default=96, help="largest side of a small image")
    options = parser.parse_args(argv)
    if options.split_table:
        sources = training_split(options.images, None, 0, options.split_table)[0]
    else:
        sources = [source for place in options.images for source in _listed(place)]
    sources = sources[:: max(1, len(sources) // options.limit)]
    models = find_bundle(options.bundle) / "models"
    files = [models / n for n in options.weights or ()] or sorted(models.glob("model*.pt"))
    path = models / "int8.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    networks = {size: network_of(options.bundle, size) for size in ("best", "fast")}
    channels = int(networks["best"].in_channels)  # type: ignore[arg-type]
    images = {
        scale: [lr for s in sources for lr in small_parts(s, options.size, channels, scale)]
        for scale in SCALES
    }
    # Weights that are no longer there take their ranges with them.
    present = {file.name for file in models.glob("model*.pt")}
    entries = {k: v for k, v in entries.items() if v["file"] in present - {f.name for f in files}}
    for file in files:
        if file.stem.endswith("_3d"):
            continue
        network = networks["fast" if file.stem.endswith("_fast") else "best"]
        load_weights(network, file)
        entry: dict[str, Any] = {"file": file.name, "images": len(images[SCALES[0]]), "scales": {}}
        for scale in SCALES:
            found = input_ranges(network, images[scale], scale)
            entry["scales"][str(scale)] = {
                name: [rounded(low), rounded(high)] for name, (low, high) in found.items()
            }
            widest = max(found.items(), key=lambda item: item[1][1] - item[1][0])
            print(
                f"{file.name} x{scale}: {len(found)} convolutions, widest {widest[0]} {widest[1]}"
            )
        entries[state_digest(network)] = entry
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return 0


def _listed(place: str) -> list[Source]:
    return [Path(place)] if Path(place).is_file() else list_images([place])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_int8: error: {error}")
