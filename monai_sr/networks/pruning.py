"""Make a smaller generator out of a trained one, by leaving out what matters least."""

from collections.abc import Mapping

import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.networks.blocks import PlainBlock
from monai_sr.networks.generators.compact_residual import CompactResidual
from monai_sr.networks.generators.hybrid_cascade import HybridCascade


def prune_hybrid_cascade(network: HybridCascade, channels: int, num_blocks: int) -> CompactResidual:
    """Return a ``compact_residual`` with the weights of a plain ``hybrid_cascade``'s trunk.

    Blocks of the smallest residual (product of the norms of their two convolutions) go first. Then
    the trunk keeps those channels, and every block those inner ones, whose filters have the largest
    norm over all convolutions that write them times all that read them. The tails are new and zero:
    the result is a start for training, not a finished network.

    Args:
        network: of plain blocks, without recursion; left as it is.
        channels: width of the new trunk.
        num_blocks: blocks of the new trunk.

    Raises:
        OptionError: if the network has other blocks, or is not larger.

    References:
        Li, Kadav, Durdanovic, Samet, Graf (2017), Pruning filters for efficient convnets,
        arXiv:1608.08710 (filters ranked by their norm).
    """
    state = network.state_dict()
    width, in_channels = state["head.weight"].shape[:2]
    depth = len(network.blocks)
    if network.recursions != 1 or not all(isinstance(b, PlainBlock) for b in network.blocks):
        raise OptionError("network: must have plain blocks without recursion to be pruned")
    if channels > width or num_blocks > depth:
        raise OptionError(
            f"channels, num_blocks: must be at most {width}, {depth}, got {channels}, {num_blocks}"
        )
    norms = [
        state[f"blocks.{i}.first.weight"].norm() * state[f"blocks.{i}.second.weight"].norm()
        for i in range(depth)
    ]
    blocks = [f"blocks.{i}" for i in _largest(torch.stack(norms), num_blocks).tolist()]
    writers = ["head", "fusion", *(f"{block}.second" for block in blocks)]
    readers = ["fusion", "to_x2", *(f"{block}.first" for block in blocks)]
    written = torch.stack([_energy(state[f"{conv}.weight"], 0) for conv in writers]).sum(0)
    read = torch.stack([_energy(state[f"{conv}.weight"], 1) for conv in readers]).sum(0)
    kept = _largest(written * read, channels)

    small = CompactResidual(
        max(network.scales),
        in_channels,
        spatial_dims=network.spatial_dims,
        channels=channels,
        num_blocks=num_blocks,
    )
    parts = _part(state, "head", "head", outputs=kept)
    for i, block in enumerate(blocks):
        first, second = f"{block}.first", f"{block}.second"
        inner = _energy(state[f"{first}.weight"], 0) * _energy(state[f"{second}.weight"], 1)
        chosen = _largest(inner, channels)
        parts |= _part(state, first, f"blocks.{i}.first", outputs=chosen, inputs=kept)
        parts |= _part(state, second, f"blocks.{i}.second", outputs=kept, inputs=chosen)
    parts |= _part(state, "fusion", "fusion", outputs=kept, inputs=kept)
    # The small trunk has no scale of its own.
    parts["fusion.weight"] = parts["fusion.weight"] * state["pass_scale"]
    small.load_state_dict({**small.state_dict(), **parts})
    return small


def _largest(values: Tensor, count: int) -> Tensor:
    """Return the indices of the largest values, in their order."""
    return values.topk(count).indices.sort().values


def _energy(weight: Tensor, axis: int) -> Tensor:
    """Return the squared norm of each filter (axis 0) or of what reads each channel (axis 1)."""
    return weight.float().pow(2).transpose(0, axis).flatten(1).sum(1)


def _part(
    state: Mapping[str, Tensor],
    source: str,
    target: str,
    *,
    outputs: Tensor | None = None,
    inputs: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the chosen outputs and inputs (None: all) of a convolution under another name."""
    weight, bias = state[f"{source}.weight"], state[f"{source}.bias"]
    if outputs is not None:
        weight, bias = weight[outputs], bias[outputs]
    if inputs is not None:
        weight = weight[:, inputs]
    return {f"{target}.weight": weight, f"{target}.bias": bias}
