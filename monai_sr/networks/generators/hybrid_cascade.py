"""Hybrid cascade: the flagship family of monai-sr, strictly local and made for integer arithmetic.

It joins three published ideas: dense residual blocks (Chai, 2025, hybrid CNN-GAN), recursion with
shared weights and a cascade of x2 stages (Wang et al., 2020, recursive residual GAN), and sub-pixel
convolution (Shi et al., 2016, doi:10.1109/CVPR.2016.207; Yan et al., 2024). Only 3 x 3 convolutions
and ReLU: no normalization, attention or pooling, so that tiles equal the whole image.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.functional import REACH
from monai_sr.networks.blocks import (
    Interpolation,
    PlainBlock,
    he_conv,
    mark,
    plain_sizes,
    shuffled,
)
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


class DenseBlock(nn.Module):
    """Four densely connected growth convolutions, a 3 x 3 fusion, residual scale 0.2."""

    reach = 5

    def __init__(self, spatial_dims: int, channels: int, growth_channels: int) -> None:
        super().__init__()
        self.growth = nn.ModuleList(
            he_conv(spatial_dims, channels + i * growth_channels, growth_channels) for i in range(4)
        )
        self.fusion = he_conv(spatial_dims, channels + 4 * growth_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = x
        for conv in self.growth:
            features = torch.cat([features, F.relu(conv(features))], dim=1)
        residual: Tensor = self.fusion(features)
        return x + 0.2 * residual


@register_generator("hybrid_cascade")
class HybridCascade(Generator):
    """Head, residual trunk (applied ``recursions`` times), x2 stage, x4 stage, plus interpolation.

    One state dict serves x2 and x4: both tails exist when ``scale`` is 4, and ``forward(image, 2)``
    stops early. All widths on the x2 grid are ``cascade_channels``. Where features are added or
    leave the coarse grid they are marked for integer arithmetic.

    Args:
        scale: 2 or 4, the largest enlargement and the default of ``forward``.
        channels: width of the trunk.
        num_blocks: residual blocks in the trunk.
        block: "dense" (reference size) or "plain" (fast sizes).
        growth_channels: growth of a dense block.
        recursions: how often the trunk is applied, weights shared, a learned scale per pass.
        cascade_channels: width on the x2 grid; at most 16 keeps that stage cheap.
    """

    info = GeneratorInfo(
        paper="Chai 2025; Wang et al. 2020; Yan et al. 2024 (combined here)",
        scales=(2, 4),
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        num_blocks: int = 3,
        block: str = "dense",
        growth_channels: int = 32,
        recursions: int = 2,
        cascade_channels: int = 16,
    ) -> None:
        super().__init__()
        if block not in ("dense", "plain"):
            raise OptionError(f"block: must be 'dense' or 'plain', got {block!r}")
        at_least_one(
            channels=channels,
            num_blocks=num_blocks,
            growth_channels=growth_channels,
            recursions=recursions,
            cascade_channels=cascade_channels,
        )
        self.blocks = nn.ModuleList(
            DenseBlock(spatial_dims, channels, growth_channels)
            if block == "dense"
            else PlainBlock(spatial_dims, channels)
            for _ in range(num_blocks)
        )
        reach = DenseBlock.reach if block == "dense" else PlainBlock.reach
        # Head, trunk, fusion, sub-pixel convolution; three convolutions on the x2 grid.
        halo = 1 + recursions * num_blocks * reach + 1 + 1 + math.ceil(3 / 2)
        self._declare(scale, in_channels, spatial_dims, halo=max(halo, REACH), also=(2,))
        phases = 2**spatial_dims
        self.recursions = recursions
        self.head = he_conv(spatial_dims, in_channels, channels)
        self.start, self.passed, self.joined, self.fine = (mark() for _ in range(4))
        self.pass_scale = nn.Parameter(torch.ones(recursions))
        fused = channels * (recursions + 1) if recursions > 1 else channels
        self.fusion = he_conv(spatial_dims, fused, channels)
        self.to_x2 = he_conv(spatial_dims, channels, cascade_channels * phases)
        self.refine = nn.ModuleList(
            he_conv(spatial_dims, cascade_channels, cascade_channels) for _ in range(2)
        )
        # Zero tails: training starts from plain interpolation.
        self.tail_x2 = he_conv(spatial_dims, cascade_channels, in_channels, gain=0.0)
        self.interpolate_x2 = Interpolation(spatial_dims, 2, in_channels)
        if scale == 4:
            self.tail_x4 = he_conv(spatial_dims, cascade_channels, in_channels * phases, gain=0.0)
            self.interpolate_x4: nn.Module = Interpolation(spatial_dims, 4, in_channels)
        else:
            self.tail_x4 = nn.Identity()
            self.interpolate_x4 = nn.Identity()

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``channels``, ``num_blocks`` and ``cascade_channels`` of one of plain blocks."""
        found = plain_sizes(state, "to_x2.weight")
        return found and found | {"cascade_channels": state["refine.0.weight"].shape[0]}

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        factor = self._factor(scale)
        # Centered values keep one more bit in bfloat16.
        head = self.start(self.head(image - 0.5))
        x = head
        passes = [head]
        for r in range(self.recursions):
            start = x
            for block in self.blocks:
                x = block(x)
            x = self.passed(start + self.pass_scale[r] * (x - start))
            passes.append(x)
        features = self.fusion(torch.cat(passes, dim=1)) if self.recursions > 1 else self.fusion(x)
        features = self.joined(head + features)
        fine = shuffled(self.fine(F.relu(self.to_x2(features))), self.spatial_dims, 2)
        for conv in self.refine:
            fine = F.relu(conv(fine))
        if factor == 2:
            x2: Tensor = self.interpolate_x2(image) + self.tail_x2(fine)
            return x2
        detail = shuffled(self.tail_x4(fine), self.spatial_dims, 2)
        x4: Tensor = self.interpolate_x4(image) + detail
        return x4
