"""Make a smaller generator out of a trained one, by leaving out what matters least."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.networks.generators.hybrid_cascade import HybridCascade, PlainBlock


def prune_hybrid_cascade(network: HybridCascade, channels: int, num_blocks: int) -> HybridCascade:
    """Return a plain ``hybrid_cascade`` with fewer channels and blocks, its weights taken over.

    Blocks of the smallest residual (product of the norms of their two convolutions) go first. Then
    the trunk keeps those channels, and every block those inner ones, whose filters have the largest
    norm over all convolutions that write them times all that read them. The result is a start for
    training, not a finished network.

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
    blocks = list(network.blocks)
    width, in_channels = network.head.weight.shape[:2]
    if network.recursions != 1 or not all(isinstance(block, PlainBlock) for block in blocks):
        raise OptionError("network: must have plain blocks without recursion to be pruned")
    if channels > width or num_blocks > len(blocks):
        raise OptionError(
            f"channels, num_blocks: must be at most {width}, {len(blocks)}, "
            f"got {channels}, {num_blocks}"
        )
    size = torch.stack([(b.first.weight.norm() * b.second.weight.norm()).detach() for b in blocks])
    blocks = [blocks[i] for i in _largest(size, num_blocks)]

    writers = [network.head, network.fusion, *(block.second for block in blocks)]
    readers = [network.fusion, network.to_x2, *(block.first for block in blocks)]
    written = torch.stack([_energy(conv.weight, 0) for conv in writers]).sum(0)
    read = torch.stack([_energy(conv.weight, 1) for conv in readers]).sum(0)
    kept = _largest(written * read, channels)

    small = HybridCascade(
        max(network.scales),
        in_channels,
        spatial_dims=network.spatial_dims,
        channels=channels,
        num_blocks=num_blocks,
        block="plain",
        recursions=1,
        cascade_channels=network.refine[0].weight.shape[0],
    )
    small.load_state_dict({**small.state_dict(), **_common(network, small)})
    _take(small.head, network.head, kept, None)
    for target, block in zip(small.blocks, blocks, strict=True):
        inner = _energy(block.first.weight, 0) * _energy(block.second.weight, 1)
        chosen = _largest(inner, channels)
        _take(target.first, block.first, chosen, kept)
        _take(target.second, block.second, kept, chosen)
    _take(small.fusion, network.fusion, kept, kept)
    _take(small.to_x2, network.to_x2, None, kept)
    return small


def _largest(values: Tensor, count: int) -> Tensor:
    """Return the indices of the largest values, in their order."""
    return values.topk(count).indices.sort().values


def _energy(weight: Tensor, axis: int) -> Tensor:
    """Return the squared norm of each filter (axis 0) or of what reads each channel (axis 1)."""
    return weight.detach().float().pow(2).transpose(0, axis).flatten(1).sum(1)


def _common(network: nn.Module, small: nn.Module) -> dict[str, Tensor]:
    """Return what both have in equal shape outside of the blocks."""
    own = small.state_dict()
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith("blocks.") and name in own and own[name].shape == tensor.shape
    }


def _take(
    target: nn.Module, conv: nn.Module, outputs: Tensor | None, inputs: Tensor | None
) -> None:
    """Copy the chosen outputs and inputs (None: all) of a convolution."""
    weight, bias = conv.weight.detach(), conv.bias.detach()
    if outputs is not None:
        weight, bias = weight[outputs], bias[outputs]
    if inputs is not None:
        weight = weight[:, inputs]
    with torch.no_grad():
        target.weight.copy_(weight)
        target.bias.copy_(bias)


__all__ = ["prune_hybrid_cascade"]
