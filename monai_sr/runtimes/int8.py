"""Networks in 8-bit integers: weights per channel, activations by ranges found on training images.

First and last convolutions, interpolation and sums stay in float32, as do back-projection and all
around the network. A convolution between them gets what a runtime turns into integer arithmetic:
rounding to 256 steps of its input, and to 255 steps per output channel of its weights.

References:
    Jacob et al., 2018, Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, doi:10.1109/CVPR.2018.00286.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.types import PathLike
from monai_sr.networks.weights import state_digest
from monai_sr.runtimes.registry import RuntimeUnfitError

Ranges = Mapping[str, tuple[float, float]]
"""Name of a convolution -> smallest and largest value of its input that is kept."""

_SIGNED = 127
_UNSIGNED = 255
_SMALLEST = 1e-12


class QuantizedConv(nn.Module):
    """A convolution whose input and weights are rounded as integers would be.

    Args:
        conv: the convolution, 2D or 3D.
        low: smallest input that is kept; from 0 on inputs are unsigned.
        high: largest.

    Shape: as the convolution's.
    """

    def __init__(self, conv: nn.Module, low: float, high: float) -> None:
        super().__init__()
        self.conv = conv
        self.steps: tuple[float, int, int, int]
        self.weight_steps: Tensor
        self.zeros: Tensor
        if low >= 0:
            self.steps = (max(high, _SMALLEST) / _UNSIGNED, 0, 0, _UNSIGNED)
        else:
            # Around 0, which needs no correction of sums.
            largest = max(-low, high, _SMALLEST)
            self.steps = (largest / _SIGNED, 0, -_SIGNED - 1, _SIGNED)
        weight = conv.get_parameter("weight").detach()
        largest_weights = weight.abs().flatten(1).amax(1).clamp_min(_SMALLEST)
        self.register_buffer("weight_steps", largest_weights / _SIGNED)
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of rounded values."""
        x = torch.fake_quantize_per_tensor_affine(x, *self.steps)
        conv: Any = self.conv
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight, self.weight_steps, self.zeros, 0, -_SIGNED - 1, _SIGNED
        )
        result: Tensor = conv._conv_forward(x, weight, conv.bias)
        return result


def quantized(network: nn.Module, ranges: Ranges) -> None:
    """Replace convolutions by rounding ones, in place.

    Args:
        network: generator, weights loaded.
        ranges: for each convolution that is to be replaced.
    """
    for name, (low, high) in ranges.items():
        parent, _, child = name.rpartition(".")
        conv = network.get_submodule(name)
        setattr(network.get_submodule(parent), child, QuantizedConv(conv, low, high))


def read_ranges(path: PathLike, network: nn.Module) -> dict[int, Ranges]:
    """Return the ranges that were fitted for the weights of a network, by scale.

    Args:
        path: JSON file of ``benchmarks/fit_int8.py``: hash of the weights -> scale -> ranges.
        network: generator, weights loaded.

    Raises:
        RuntimeUnfitError: if the file has none for these weights.
    """
    entry: Any = {}
    if Path(path).is_file():
        entry = json.loads(Path(path).read_text(encoding="utf-8")).get(state_digest(network), {})
    if not entry:
        raise RuntimeUnfitError(
            "precision: int8 was not fitted for these weights; leave --precision out, or fit them "
            "with benchmarks/fit_int8.py"
        )
    return {
        int(scale): {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        for scale, ranges in entry["scales"].items()
    }
