"""Count what a network costs: parameters, and multiply-adds of one output pixel.

Counted are convolutions and products of matrices as they are executed: a convolution that a
recursion applies sixteen times counts sixteen times. Additions, activations, normalizations and
pixel shuffles are not, as in the field's tables; those state the multiply-adds of a 1280 x 720
output, which is 921,600 times the figure here.
"""

import copy
import math
from contextlib import suppress

import torch
from torch.utils.flop_counter import FlopCounterMode

from monai_sr.networks import Generator

OUTPUT_SIZE = (720, 1280)
"""(H, W) of the result that the field counts for."""

_SMALL_SIDE_PX = 8
_FLOPS_PER_MULTIPLY_ADD = 2


def count_parameters(network: Generator) -> int:
    """Return the number of learned values; the dictionaries of a fitted network are buffers."""
    learned = list(network.parameters())
    if network.info.learns == "fit":
        learned += [b for b in network.state_dict().values() if b.is_floating_point()]
    return sum(tensor.numel() for tensor in learned)


def multiply_adds_per_pixel(network: Generator, scale: int) -> float:
    """Count multiply-adds for one pixel of the result, all channels together.

    A local network is run on a small image: size does not matter to it. One that sees the whole
    image is followed on torch's meta device, which computes nothing, for a result of
    ``OUTPUT_SIZE``; where it cannot run there, on the small image, too.

    Args:
        network: any 2D generator; it is left as it is.
        scale: one of its scales.

    Returns:
        Multiply-adds divided by pixels of the result.
    """
    info = network.info
    if not info.is_local:
        sides = [_multiple(side / scale, info.multiple_of) for side in OUTPUT_SIZE]
        image = torch.empty(1, network.in_channels, *sides, device="meta")
        # Some steps depend on values, and autocast does not know this device.
        with suppress(RuntimeError):
            return _count(copy.deepcopy(network).to("meta"), image, scale)
    side = _multiple(max(_SMALL_SIDE_PX, info.minimum_size), info.multiple_of)
    state = next(iter(network.state_dict().values()), torch.empty(0))
    image = torch.rand(1, network.in_channels, side, side, device=state.device)
    return _count(network, image, scale)


def _multiple(side: float, step: int) -> int:
    return math.ceil(side / step) * step


def _count(network: Generator, image: torch.Tensor, scale: int) -> float:
    was_training = network.training
    network.eval()
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            result = network(image, scale)
    finally:
        network.train(was_training)
    flops: int = counter.get_total_flops()
    pixels: int = result[0, 0].numel()
    return flops / _FLOPS_PER_MULTIPLY_ADD / pixels
