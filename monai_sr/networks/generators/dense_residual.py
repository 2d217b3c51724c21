"""Dense residual generator of the hybrid CNN-GAN: dense blocks in residuals of several levels."""

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Norm
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.functional import REACH
from monai_sr.networks.blocks import Interpolation, fine_reach, he_conv, steps
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator

LAST_GAIN = 0.1
"""Start of the last convolution of each residual, times He's: early training stays calm."""


def _normalization(norm: str | None, spatial_dims: int, channels: int) -> nn.Module:
    if norm is None:
        return nn.Identity()
    module: nn.Module = Norm[Norm.BATCH, spatial_dims](channels)
    return module


class DenseLayers(nn.Module):
    """Densely connected convolution, normalization and ReLU; a 1 x 1 fusion; added to the input."""

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        growth_channels: int,
        num_layers: int,
        norm: str | None,
    ) -> None:
        super().__init__()
        self.growth = nn.ModuleList(
            nn.Sequential(
                he_conv(spatial_dims, channels + i * growth_channels, growth_channels),
                _normalization(norm, spatial_dims, growth_channels),
                nn.ReLU(),
            )
            for i in range(num_layers)
        )
        width = channels + num_layers * growth_channels
        self.fusion = he_conv(spatial_dims, width, channels, 1, gain=LAST_GAIN, slope=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = x
        for layer in self.growth:
            features = torch.cat([features, layer(features)], dim=1)
        residual: Tensor = self.fusion(features)
        return x + residual


class ResidualGroup(nn.Module):
    """Dense residual blocks and a 3 x 3 convolution, added to the input."""

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        growth_channels: int,
        num_layers: int,
        num_blocks: int,
        norm: str | None,
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                DenseLayers(spatial_dims, channels, growth_channels, num_layers, norm)
                for _ in range(num_blocks)
            )
        )
        self.last = he_conv(spatial_dims, channels, channels, gain=LAST_GAIN, slope=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.last(self.blocks(x))
        return x + residual


@register_generator("dense_residual")
class DenseResidual(Generator):
    """Head, groups of dense residual blocks, fusion of all groups, sub-pixel stages, tail.

    Four levels of residuals lie inside one another: dense block, group, trunk, and the whole
    network, whose result adds to the bicubic-enlarged input. Each group's result also skips to the
    fusion behind the trunk. The resolution rises step by step: x2 and x2 again, or x3 at once.
    The size by default is 1.12 M parameters (x4, RGB): 2.2 MB in half precision.

    The paper names dense blocks inside residuals of several levels, skips between the residual
    blocks, gradual sub-pixel convolution and batch normalization while training. It leaves open
    every count, width and activation, where the skips and normalizations lie, and whether the input
    is added. Chosen here: the counts below, ReLU, normalization in the dense layers alone (head,
    fusions, stages and tail keep the range of values), the skip from the input, and a tail that
    starts at zero, so that training starts from plain interpolation. 3D is offered.

    Args:
        num_groups: residual groups in the trunk.
        num_blocks: dense blocks in a group.
        num_layers: densely connected convolutions in a block.
        channels: width of the trunk.
        growth_channels: channels that each of those convolutions adds.
        fine_channels: width behind the first sub-pixel convolution.
        norm: "batch" as in the paper, or None.
    """

    info = GeneratorInfo(
        paper="K. Chai, 2025, The combination of Convolutional Neural Networks (CNNs) and "
        "Generative Adversarial Networks (GANs) for image superresolution reconstruction",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        num_groups: int = 3,
        num_blocks: int = 2,
        num_layers: int = 4,
        channels: int = 64,
        growth_channels: int = 32,
        fine_channels: int = 32,
        norm: str | None = "batch",
    ) -> None:
        super().__init__()
        at_least_one(
            num_groups=num_groups,
            num_blocks=num_blocks,
            num_layers=num_layers,
            channels=channels,
            growth_channels=growth_channels,
            fine_channels=fine_channels,
        )
        if norm not in ("batch", None):
            raise OptionError(f"norm: must be 'batch' or None, got {norm!r}; choose one of them")
        factors = steps(scale)
        trunk = num_groups * (num_blocks * num_layers + 1)
        # Head, trunk, its fusion, first sub-pixel convolution; one convolution on each finer grid.
        halo = 1 + trunk + 1 + 1 + fine_reach([(factor, 1) for factor in factors])
        self._declare(scale, in_channels, spatial_dims, halo=max(halo, REACH))
        self.head = he_conv(spatial_dims, in_channels, channels, slope=1.0)
        self.groups = nn.ModuleList(
            ResidualGroup(spatial_dims, channels, growth_channels, num_layers, num_blocks, norm)
            for _ in range(num_groups)
        )
        self.fusion = nn.Sequential(
            he_conv(spatial_dims, num_groups * channels, channels, 1, slope=1.0),
            he_conv(spatial_dims, channels, channels, slope=1.0),
        )
        widths = [channels, *(fine_channels for _ in factors)]
        self.stages = nn.ModuleList(
            _SubPixel(spatial_dims, widths[i], fine_channels, factor)
            for i, factor in enumerate(factors)
        )
        self.tail = he_conv(spatial_dims, fine_channels, in_channels, gain=0.0)
        self.interpolate = Interpolation(spatial_dims, scale)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        # Centered values keep one more bit in bfloat16.
        head = self.head(image - 0.5)
        x, levels = head, []
        for group in self.groups:
            x = group(x)
            levels.append(x)
        fine = head + self.fusion(torch.cat(levels, dim=1))
        for stage in self.stages:
            fine = stage(fine)
        result: Tensor = self.interpolate(image) + self.tail(fine)
        return result


class _SubPixel(nn.Module):
    """Sub-pixel convolution to another width, and a ReLU."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.factor = factor
        self.conv = he_conv(spatial_dims, in_channels, out_channels * factor**spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(pixelshuffle(self.conv(x), self.spatial_dims, self.factor))
