"""Compact residual network: the fast size of the bundles, all of whose work is on the coarse grid.

A plain residual trunk whose sub-pixel convolutions (Shi et al., 2016, doi:10.1109/CVPR.2016.207)
write the phases of the result at once, added to those of the bicubic enlargement: between the first
convolution and the last there is nothing but 3 x 3 convolutions of one width, ReLU and sums, which
integer arithmetic does at its full rate.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.functional import REACH
from monai_sr.networks.blocks import Interpolation, PlainBlock, he_conv, mark, plain_sizes, shuffled
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("compact_residual")
class CompactResidual(Generator):
    """Head, residual trunk, fusion, one sub-pixel convolution a scale, plus interpolation.

    One state dict serves x2 and x4: both tails exist when ``scale`` is 4. Where features are added
    they are marked for integer arithmetic.

    Args:
        scale: 2, 3 or 4, the largest enlargement and the default of ``forward``; 4 gives 2, too.
        channels: width of the trunk.
        num_blocks: residual blocks in the trunk.
        limit: of all features, see :class:`monai_sr.networks.blocks.PlainBlock`. On smooth images
            (X-rays) one of a few times what they hold lets integers be fine enough, though single
            letters in them are of full contrast.
    """

    info = GeneratorInfo(
        paper="Shi et al. 2016; Lim et al. 2017 (combined here)",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 48,
        num_blocks: int = 4,
        limit: float = math.inf,
    ) -> None:
        super().__init__()
        if not limit > 0:
            raise OptionError(f"limit: must be positive, got {limit}")
        at_least_one(channels=channels, num_blocks=num_blocks)
        # Head, trunk, fusion, sub-pixel convolution.
        halo = 1 + num_blocks * PlainBlock.reach + 1 + 1
        self._declare(
            scale, in_channels, spatial_dims, halo=max(halo, REACH), also=(2,) if scale == 4 else ()
        )
        self.head = he_conv(spatial_dims, in_channels, channels)
        self.blocks = nn.ModuleList(
            PlainBlock(spatial_dims, channels, limit) for _ in range(num_blocks)
        )
        self.fusion = he_conv(spatial_dims, channels, channels)
        self.start, self.joined = mark(limit), mark(limit)
        # Zero tails: training starts from plain interpolation.
        self.tail = he_conv(spatial_dims, channels, in_channels * scale**spatial_dims, gain=0.0)
        self.interpolate = Interpolation(spatial_dims, scale, in_channels)
        self.interpolate_x2 = Interpolation(spatial_dims, 2, in_channels)
        self.tail_x2: nn.Module = nn.Identity()
        if scale == 4:
            self.tail_x2 = he_conv(spatial_dims, channels, in_channels * 2**spatial_dims, gain=0.0)

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``channels`` and ``num_blocks``; ``limit`` is not in the weights."""
        return plain_sizes(state, "tail.weight")

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        factor = self._factor(scale)
        # Centered values keep one more bit in bfloat16.
        head = self.start(self.head(image - 0.5))
        x = head
        for block in self.blocks:
            x = block(x)
        features = self.joined(head + self.fusion(x))
        if factor == self.scale:
            large = self.interpolate.phases(image) + self.tail(features)
        else:
            large = self.interpolate_x2.phases(image) + self.tail_x2(features)
        return shuffled(large, self.spatial_dims, factor)
