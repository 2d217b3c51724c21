"""Find the ranges of values by which a bundle's weights are run in 8-bit integers.

Writes ``models/int8.json`` of the bundle, under the hash of the weights. What is rounded gets the
smallest and the largest value that comes there, on training images and on black and white edges
and lines, so that letters on an X-ray are not clipped. The more is rounded, the faster; of three
choices the first is taken that costs no more than 0.03 dB on the training images, else the last:

1. every convolution but the first, and all features that the network marks, its sums;
2. the inputs of every convolution but the first and the last, sums in float32;
3. the same, but for convolutions on a finer grid than the image's.

Low-resolution images are made by MATLAB's bicubic down-sampling. Example:
``python benchmarks/fit_int8.py --bundle xray_sr --images xray/train``.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from monai_sr.core.atomic import atomic_file
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.errors import SRError, unwrapped
from monai_sr.core.registry import find_bundle
from monai_sr.networks import load_weights
from monai_sr.networks.weights import state_digest
from monai_sr.runtimes.int8 import MARKS, Range, Ranges, Rounding, quantized
from monai_sr.training import BicubicDegradation, ReadTrainingImage
from monai_sr.training.training_images import Source, list_images, training_split
from monai_sr.upscaling.super_resolver import inference_config

SCALES = (2, 4)
_CONVOLUTIONS = (nn.Conv2d,)
_LEVELS = 255
_SLICES = 8  # of a volume, every so many
_DIGITS = 5
_NEAR = 1e-3  # of a step
_MOST_LOST = 0.03  # dB
_SIDE = 96
_LEAST = 1e-6  # smaller errors are none: 60 dB

Pair = tuple[Tensor, Tensor]


def small_parts(source: Source, size: int, channels: int, scale: int) -> Iterator[Pair]:
    """Yield the middle of an image, or of slices, small and as it is.

    Shape: (1, C, side, side) and (1, C, scale * side, scale * side), in [0, 1].
    """
    found = ReadTrainingImage(channels)(source)
    images = found[_SLICES // 2 :: _SLICES] or found if isinstance(found, list) else [found]
    for image in images:
        side = min(size * scale, *image.shape[1:]) // 4 * 4
        top, left = ((length - side) // 2 for length in image.shape[1:])
        part = torch.from_numpy(image[:, top : top + side, left : left + side].copy())
        lr, hr = BicubicDegradation().shrink(part, scale)[None].float(), part[None].float()
        yield (lr / _LEVELS, hr / _LEVELS) if image.dtype.name == "uint8" else (lr, hr)


def hard_edges(channels: int, scale: int) -> list[Tensor]:
    """Return what is sharpest, made small: bars and letters, white on black and black on white.

    Shape: (1, C, H, W), in [0, 1].
    """
    picture = Image.new("L", (2 * _SIDE * scale, _SIDE * scale))
    draw = ImageDraw.Draw(picture)
    for width in range(1, 7):
        place = 4 + 3 * width * (width - 1) // 2 + 4 * (width - 1)
        for box in (
            (place, 2, place + width, 40),
            (2, 45 + place // 2, 60, 46 + place // 2 + width // 2),
        ):
            draw.rectangle([scale * side for side in box], 255)
    for row, size in enumerate((8, 11, 15, 22)):
        font = ImageFont.load_default(size * scale)
        draw.text((84 * scale, (2 + 20 * row) * scale), "L R 5 E % #", 255, font)
    sharp = torch.from_numpy(np.array(picture))[None].repeat(channels, 1, 1)
    small = BicubicDegradation().shrink(sharp, scale)[None].float() / _LEVELS
    return [small, 1 - small]


@torch.inference_mode()
def lost(network: nn.Module, ranges: Ranges, pairs: Sequence[Pair], scale: int) -> float:
    """Return the decibels that rounding costs, the mean over images."""
    rounding = copy.deepcopy(network)
    quantized(rounding, ranges)
    losses = []
    for lr, hr in pairs:
        exact, rounded_off = (
            (net(lr, scale).clamp(0, 1) - hr).square().mean().clamp_min(_LEAST).item()
            for net in (network, rounding)
        )
        losses.append(10 * math.log10(rounded_off / exact))
    return sum(losses) / len(losses)


def chosen(network: nn.Module, pairs: Sequence[Pair], scale: int) -> tuple[Ranges, str, float]:
    """Return ranges, the name of the choice, and what it costs in decibels."""
    images = [*(lr for lr, _ in pairs), *hard_edges(pairs[0][0].shape[1], scale)]
    for choice in _CHOICES:
        ranges = choice(network, images, scale)
        loss = lost(network, ranges, pairs, scale)
        if loss <= _MOST_LOST:
            break
    return ranges, choice.__name__, loss


def rounded_sums(network: nn.Module, images: Sequence[Tensor], scale: int) -> Ranges:
    """Return the range of each mark, and of the input of each convolution but the first.

    Args:
        network: generator, weights loaded; left as it is.
        images: (N, C, H, W) in [0, 1].
        scale: of the enlargement.
    """
    marked = seen_ranges(network, images, scale, MARKS)
    inputs = seen_ranges(network, images, scale)
    rounding = copy.deepcopy(network)
    quantized(rounding, marked)
    steps = [Rounding(*limits).steps[0] for limits in marked.values()]
    free = dict.fromkeys(inputs, False)

    def compare(name: str, x: Tensor) -> None:
        free[name] |= not any(float((x / s - (x / s).round()).abs().max()) < _NEAR for s in steps)

    watched(rounding, images[:1], scale, _CONVOLUTIONS, compare)
    # They were met in the order of the calls.
    ranges = {name: inputs[name] if free[name] else None for name in list(inputs)[1:]}
    return {**marked, **ranges}


def rounded_inputs(network: nn.Module, images: Sequence[Tensor], scale: int) -> Ranges:
    """Return the range of the input of each convolution but the first and the last."""
    return dict(list(seen_ranges(network, images, scale).items())[1:-1])


def rounded_coarse_inputs(network: nn.Module, images: Sequence[Tensor], scale: int) -> Ranges:
    """Return those of convolutions on the image's own grid, but for the first and the last."""
    sizes: dict[str, torch.Size] = {}

    def measure(name: str, x: Tensor) -> None:
        sizes[name] = x.shape[2:]

    watched(network, images[-1:], scale, _CONVOLUTIONS, measure)
    ranges = rounded_inputs(network, images, scale)
    return {name: ranges[name] for name in ranges if sizes[name] == images[-1].shape[2:]}


_CHOICES = (rounded_sums, rounded_inputs, rounded_coarse_inputs)


def seen_ranges(
    network: nn.Module,
    images: Sequence[Tensor],
    scale: int,
    kinds: tuple[type[nn.Module], ...] = _CONVOLUTIONS,
) -> dict[str, Range]:
    """Return the smallest and largest value of each mark, or that comes into each convolution."""
    found: dict[str, Range] = {}

    def widen(name: str, x: Tensor) -> None:
        low, high = (float(v) for v in x.aminmax())
        before = found.get(name, (low, high))
        found[name] = (rounded(min(low, before[0])), rounded(max(high, before[1])))

    watched(network, images, scale, kinds, widen)
    return found


@torch.inference_mode()
def watched(
    network: nn.Module,
    images: Sequence[Tensor],
    scale: int,
    kinds: tuple[type[nn.Module], ...],
    see: Callable[[str, Tensor], None],
) -> None:
    """Show what marks give, or what comes into convolutions, in the order of the calls."""

    def watching(name: str) -> Callable[..., None]:
        def watch(_module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            see(name, inputs[0] if kinds is _CONVOLUTIONS else output)

        return watch

    modules = [(n, m) for n, m in network.named_modules() if isinstance(m, kinds)]
    handles = [module.register_forward_hook(watching(name)) for name, module in modules]
    for image in images:
        network(image, scale)
    for handle in handles:
        handle.remove()


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
    parser.add_argument("--limit", type=int, default=48, help="images of each scale, about")
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
        scale: [pair for s in sources for pair in small_parts(s, options.size, channels, scale)]
        for scale in SCALES
    }
    # Of volumes there are many slices each.
    images = {
        scale: pairs[:: max(1, len(pairs) // options.limit)] for scale, pairs in images.items()
    }
    # Weights that are no longer there take their ranges with them.
    present = {file.name for file in models.glob("model*.pt")}
    entries = {k: v for k, v in entries.items() if v["file"] in present - {f.name for f in files}}
    for file in files:
        if file.stem.endswith(("_3d", "_slices")):
            continue
        network = networks["fast" if file.stem.endswith("_fast") else "best"]
        load_weights(network, file)
        entry: dict[str, Any] = {"file": file.name, "images": len(images[SCALES[0]]), "scales": {}}
        for scale in SCALES:
            ranges, choice, loss = chosen(network, images[scale], scale)
            entry["scales"][str(scale)] = ranges
            print(f"{file.name} x{scale}: {choice}, {loss:.3f} dB on training images")
        entries[state_digest(network)] = entry
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    write_weights_sums(options.bundle)
    return 0


def _listed(place: str) -> list[Source]:
    return [Path(place)] if Path(place).is_file() else list_images([place])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"fit_int8: error: {error}")
