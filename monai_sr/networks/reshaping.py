"""Give the trunk of a trained generator another width and depth; it knows most of it already."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import OptionError
from monai_sr.networks.blocks import PlainBlock
from monai_sr.networks.generators.compact_residual import CompactResidual
from monai_sr.networks.generators.hybrid_cascade import HybridCascade
from monai_sr.networks.registry import create_generator

Plain = CompactResidual | HybridCascade
_SMALLEST = 1e-3
"""Least weight of a direction that nothing reads, of the mean."""


def reshape_trunk(network: Plain, images: Tensor, *, channels: int, num_blocks: int) -> Plain:
    """Return a network of plain blocks in another width and depth, as a start for training.

    Blocks add to one stream of features, which only convolutions read: it may be turned. Kept are
    those ``channels`` directions that carry most of what is read on ``images``. The hidden units of
    a block are dealt to several, one after another, those that matter most first: what stood side
    by side then stands in a row, which changes little where blocks change little, and gains reach.
    Units that are new give nothing yet.

    Args:
        network: of plain blocks, without recursion and without limit; left as it is.
        images: what it will see, (N, C, H, W[, D]) in [0, 1].
        channels: width of the new trunk.
        num_blocks: blocks of the new trunk, at least as many as before.

    Raises:
        OptionError: if the network is of other blocks, or would become wider or less deep.

    References:
        Ashkboos et al. (2024), SliceGPT, arXiv:2401.15024 (a residual stream turned and cut).
        Chen, Goodfellow, Shlens (2016), Net2Net, arXiv:1511.05641 (growth that keeps the function).
    """
    blocks = _plain_blocks(network)
    width, depth = network.head.get_parameter("bias").numel(), len(blocks)
    if channels > width or num_blocks < depth:
        raise OptionError(
            f"channels, num_blocks: must be at most {width} and at least {depth}, got {channels} "
            f"and {num_blocks}"
        )
    options: dict[str, Any] = {
        "in_channels": network.in_channels,
        "spatial_dims": network.spatial_dims,
    }
    if isinstance(network, HybridCascade):
        name = "hybrid_cascade"
        options |= {"block": "plain", "recursions": 1}
        options |= {"cascade_channels": network.sizes_of(network.state_dict())["cascade_channels"]}
    else:
        name = "compact_residual"
    new = create_generator(
        name, scale=network.scale, channels=channels, num_blocks=num_blocks, **options
    )
    assert isinstance(new, CompactResidual | HybridCascade)
    with torch.no_grad():
        stream, hidden = _observed(network, blocks, images)
        into, out_of = _directions(network, blocks, stream, channels)
        _copy_ends(network, new, into, out_of)
        strengths = [
            seen * block.second.get_parameter("weight").pow(2).transpose(0, 1).flatten(1).sum(1)
            for seen, block in zip(hidden, blocks, strict=True)
        ]
        _deal(blocks, _plain_blocks(new), strengths, into, out_of)
    return new


def _plain_blocks(network: Plain) -> list[PlainBlock]:
    found = [block for block in network.blocks if isinstance(block, PlainBlock)]
    is_whole = len(found) == len(network.blocks) and getattr(network, "recursions", 1) == 1
    if not is_whole or not all(isinstance(block.activation, nn.ReLU) for block in found):
        raise OptionError("network: must have plain blocks without recursion or limit, got others")
    return found


def _readers(network: Plain) -> list[nn.Module]:
    """Return what reads the stream behind the trunk."""
    if isinstance(network, HybridCascade):
        return [network.to_x2]
    return [network.tail, network.tail_x2] if network.scale == 4 else [network.tail]


def _observed(
    network: Plain, blocks: list[PlainBlock], images: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the mean products of the stream's channels, and mean squares of hidden units."""
    products: list[Tensor] = []
    hidden: list[Tensor] = []

    def see(sums: list[Tensor], value: Callable[[Tensor], Tensor]) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            flat = output.transpose(0, 1).flatten(1).double()
            sums.append(value(flat) / flat.shape[1])

        return hook

    with ExitStack() as stack:
        for module in (network.head, *blocks, network.joined):
            handle = module.register_forward_hook(see(products, lambda flat: flat @ flat.T))
            stack.callback(handle.remove)
        for block in blocks:
            handle = block.activation.register_forward_hook(
                see(hidden, lambda flat: flat.pow(2).sum(1))
            )
            stack.callback(handle.remove)
        network(images)
    return torch.stack(products).sum(0), hidden


def _directions(
    network: Plain, blocks: list[PlainBlock], stream: Tensor, channels: int
) -> tuple[Tensor, Tensor]:
    """Return how features become those of the new stream (kept, width), and back (width, kept)."""
    convs = [block.first for block in blocks] + [network.fusion]
    tails = _readers(network)
    read = sum((_read(conv) for conv in convs), torch.zeros_like(stream))
    # The tails read once what all others add to.
    read = read + len(convs) * sum((_read(tail) for tail in tails), torch.zeros_like(stream))
    read = read / read.diagonal().mean() + _SMALLEST * torch.eye(len(read)).double()
    values, vectors = torch.linalg.eigh(read)
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T
    inverse = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    kept = torch.linalg.eigh(root @ stream @ root).eigenvectors.flip(1)[:, :channels]
    return (kept.T @ root).float(), (inverse @ kept).float()


def _read(conv: nn.Module) -> Tensor:
    weight = conv.get_parameter("weight").double().transpose(0, 1).flatten(1)
    return weight @ weight.T


def _reading(conv: nn.Module, out_of: Tensor) -> Tensor:
    return torch.einsum("oi...,ij->oj...", conv.get_parameter("weight"), out_of)


def _writing(weight: Tensor, into: Tensor) -> Tensor:
    return torch.einsum("ko,oi...->ki...", into, weight)


def _copy_ends(network: Plain, new: Plain, into: Tensor, out_of: Tensor) -> None:
    """Copy all but the blocks."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("blocks.")}
    state["head.weight"] = _writing(state["head.weight"], into)
    state["fusion.weight"] = _writing(_reading(network.fusion, out_of), into)
    for name in ("head.bias", "fusion.bias"):
        state[name] = into @ state[name]
    names = {module: name for name, module in network.named_modules()}
    for conv in _readers(network):
        state[f"{names[conv]}.weight"] = _reading(conv, out_of)
    new.load_state_dict(new.state_dict() | state)


def _deal(
    old: list[PlainBlock],
    new: list[PlainBlock],
    strengths: list[Tensor],
    into: Tensor,
    out_of: Tensor,
) -> None:
    """Give the hidden units of each old block to one or several new ones."""
    width = new[0].first.get_parameter("bias").numel()
    totals = torch.stack([strength.sum() for strength in strengths])
    counts = [len(new) // len(old)] * len(old)
    for block in totals.argsort(descending=True)[: len(new) % len(old)].tolist():
        counts[block] += 1
    targets = iter(new)
    for block, strength, count in zip(old, strengths, counts, strict=True):
        units = strength.argsort(descending=True)[: count * width]
        read = _reading(block.first, out_of)
        write = _writing(block.second.get_parameter("weight"), into)
        for part in range(count):
            target, chosen = next(targets), units[part::count]
            first, second = target.first, target.second
            weight, bias = first.get_parameter("weight"), first.get_parameter("bias")
            weight[len(chosen) :] *= read[chosen].std() / weight.std()
            weight[: len(chosen)] = read[chosen]
            bias[: len(chosen)] = block.first.get_parameter("bias")[chosen]
            second.get_parameter("weight").zero_()
            second.get_parameter("weight")[:, : len(chosen)] = write[:, chosen]
            if part == 0:
                second.get_parameter("bias").copy_(into @ block.second.get_parameter("bias"))
