"""Networks that ``trials.yaml`` tries; one that a bundle wants moves among the generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.networks.blocks import he_conv
from monai_sr.networks.generators.compact_residual import CompactResidual
from monai_sr.networks.registry import GeneratorInfo

# What passes is squared where it is small: at 1 nothing is left after four blocks, at 1.75 it grows
# a thousandfold in seven.
_GAIN = 1.45


class AttentiveBlock(nn.Module):
    """Three convolutions whose result also says, pixel by pixel, what of it passes (SPAN's block).

    Shape: (N, C, H, W) -> the same.
    """

    reach = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            he_conv(2, channels, channels, gain=_GAIN) for _ in range(3)
        )
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        first, second, third = self.convolutions
        detail = third(self.activation(second(self.activation(first(x)))))
        attended: Tensor = (detail + x) * (torch.sigmoid(detail) - 0.5)
        return attended


class AttentiveTrunk(nn.Module):
    """Blocks in a row; head, first, last but one and last of them are weighed together.

    Shape: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentiveBlock(channels) for _ in range(num_blocks))
        self.last = he_conv(2, channels, channels)
        self.weigh = he_conv(2, 4 * channels, channels, kernel_size=1)

    def forward(self, head: Tensor) -> Tensor:
        """Return features of the same shape."""
        passed, x = [], head
        for block in self.blocks:
            x = block(x)
            passed.append(x)
        result: Tensor = self.weigh(torch.cat([head, passed[0], passed[-2], self.last(x)], dim=1))
        return result


class AttentiveResidual(CompactResidual):
    """The compact network with a trunk after SPAN in place of plain residual blocks.

    Args:
        channels: width of the trunk.
        num_blocks: attentive blocks, of three convolutions each.
    """

    info = GeneratorInfo(
        paper="Wan et al. 2024, SPAN, arXiv:2311.12770; Shi et al. 2016 (combined here)"
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        channels: int,
        num_blocks: int,
        **options: Any,
    ) -> None:
        super().__init__(scale, in_channels, channels=channels, num_blocks=1, **options)
        self.blocks = nn.ModuleList([AttentiveTrunk(channels, num_blocks)])
        self.fusion = nn.Identity()
        self.halo = max(self.halo, 1 + num_blocks * AttentiveBlock.reach + 1 + 1)


def attentive_network(
    *, scale: int, in_channels: int, fast: Mapping[str, Any], **_: Any
) -> AttentiveResidual:
    """Build it in the sizes of a recipe's fast network; not registered, tests take all that are."""
    sizes = {name: fast[name] for name in ("channels", "num_blocks")}
    return AttentiveResidual(scale, in_channels, **sizes)
