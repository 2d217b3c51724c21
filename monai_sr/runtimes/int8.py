"""Networks in 8-bit integers: weights per channel, activations by ranges found on training images.

The first convolution and interpolation stay in float32, as do back-projection and all around the
network. Any other convolution gets what a runtime turns into integer arithmetic: rounding to 255
steps per output channel of its weights, and of its input to 256 steps. Features that a network
marks (:func:`monai_sr.networks.blocks.mark`), its sums for one, are rounded there, once for all
that read them: what lies between is passed on as integers.

References:
    Jacob et al., 2018, Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, doi:10.1109/CVPR.2018.00286.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import PathLike, check_sum
from monai_sr.networks import Limited, integer_steps, state_digest
from monai_sr.runtimes.registry import RuntimeUnfitError

Range = tuple[float, float]
"""Smallest and largest value that is kept."""
Ranges = Mapping[str, Range | None]
"""Name of a mark -> range of what it passes on; of a convolution -> that of its input,
None where that is rounded already."""

MARKS = (nn.Identity, Limited)
"""What :func:`monai_sr.networks.blocks.mark` gives, and limited activations."""
_SIGNED = 127
_SMALLEST = 1e-12


class Rounding(nn.Module):
    """Rounding to 256 steps of a range.

    Args:
        low: smallest value that is kept; from 0 on values are unsigned.
        high: largest.

    Attributes:
        steps: width of a step, zero point, smallest and largest integer.

    Shape: any.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.steps = integer_steps(low, high)

    def forward(self, x: Tensor) -> Tensor:
        """Return the nearest values that integers can hold."""
        return torch.fake_quantize_per_tensor_affine(x, *self.steps)


class QuantizedConv(nn.Module):
    """A convolution whose input and weights are rounded as integers would be.

    Args:
        conv: the convolution, 2D or 3D.
        limits: range of its input; None: it is rounded already.

    Shape: as the convolution's.
    """

    def __init__(self, conv: nn.Module, limits: Range | None) -> None:
        super().__init__()
        self.conv = conv
        self.rounding = nn.Identity() if limits is None else Rounding(*limits)
        self.weight_steps: Tensor
        self.zeros: Tensor
        weight = conv.get_parameter("weight").detach()
        largest_weights = weight.abs().flatten(1).amax(1).clamp_min(_SMALLEST)
        self.register_buffer("weight_steps", largest_weights / _SIGNED)
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of rounded values."""
        conv: Any = self.conv
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight, self.weight_steps, self.zeros, 0, -_SIGNED - 1, _SIGNED
        )
        result: Tensor = conv._conv_forward(self.rounding(x), weight, conv.bias)
        return result


def quantized(network: nn.Module, ranges: Ranges) -> None:
    """Round in a network, in place.

    Args:
        network: generator, weights loaded.
        ranges: of each mark and each convolution that is to round.
    """
    for name, limits in ranges.items():
        parent, _, child = name.rpartition(".")
        module = network.get_submodule(name)
        if isinstance(module, MARKS) and limits is not None:
            rounding: nn.Module = Rounding(*limits)
        else:
            rounding = QuantizedConv(module, limits)
        setattr(network.get_submodule(parent), child, rounding)


def read_ranges(path: PathLike, network: nn.Module) -> dict[int, Ranges]:
    """Return the ranges that were fitted for the weights of a network, by scale.

    Args:
        path: JSON file of ``benchmarks/fit_int8.py``: hash of the weights -> scale -> ranges.
        network: generator, weights loaded.

    Raises:
        RuntimeUnfitError: if the file has none for these weights.
        WeightsError: if it is not what the metadata of its bundle say.
    """
    entry: Any = {}
    if Path(path).is_file():
        content = Path(path).read_bytes()
        check_sum(path, content)
        entry = json.loads(content).get(state_digest(network), {})
    if not entry:
        raise RuntimeUnfitError(
            "precision: int8 was not fitted for these weights; leave --precision out, or fit them "
            "with benchmarks/fit_int8.py"
        )
    return {
        int(scale): {
            name: limits and (float(limits[0]), float(limits[1])) for name, limits in ranges.items()
        }
        for scale, ranges in entry["scales"].items()
    }
