"""Residual blocks with dense connections inside, in which the kind of convolution can be chosen."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.networks.blocks import he_conv

LEAKY_SLOPE = 0.2
"""Slope of every LeakyReLU in these blocks (Wang et al., 2018)."""
RESIDUAL_SCALE = 0.2
"""Factor of every residual in these blocks (Wang et al., 2018)."""
SMALL_START = 0.1
"""Factor on He's start inside residual blocks (Wang et al., 2018, supplement)."""

Layer = Callable[[int, int], nn.Module]
"""Builds what stands for a convolution, from its input and output channels; keeps the size."""


class ResidualDenseBlock(nn.Module):
    """Layers that each see all results before them, a fusion, a scaled residual.

    Args:
        channels: width of input and result.
        growth_channels: channels that each layer but the last adds.
        layer: what stands for a convolution.
        num_layers: layers, the fusion among them.

    Shape: x (N, channels, H, W[, D]) -> the same.
    """

    def __init__(
        self, channels: int, growth_channels: int, *, layer: Layer, num_layers: int = 5
    ) -> None:
        super().__init__()
        grown = [channels + i * growth_channels for i in range(num_layers)]
        self.growth = nn.ModuleList(layer(width, growth_channels) for width in grown[:-1])
        self.fusion = layer(grown[-1], channels)
        self.activation = nn.LeakyReLU(LEAKY_SLOPE)
        self.residual_scale = RESIDUAL_SCALE

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = x
        for layer in self.growth:
            features = torch.cat([features, self.activation(layer(features))], dim=1)
        residual: Tensor = self.fusion(features)
        return x + self.residual_scale * residual


class ResidualInResidual(nn.Module):
    """Three residual dense blocks under one more scaled residual.

    With plain convolutions this is the RRDB of ESRGAN, with receptive field blocks the RRFDB of
    RFB-ESRGAN.

    Args:
        channels: width of input and result.
        growth_channels: growth of the dense blocks.
        layer: what stands for a convolution.

    Shape: x (N, channels, H, W[, D]) -> the same.
    """

    num_layers = 15
    """Layers one after the other: the block reaches as far as so many of them."""

    def __init__(self, channels: int, growth_channels: int, *, layer: Layer) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(ResidualDenseBlock(channels, growth_channels, layer=layer) for _ in range(3))
        )
        self.residual_scale = RESIDUAL_SCALE

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.blocks(x)
        return x + self.residual_scale * residual


def rrdb(spatial_dims: int, channels: int, growth_channels: int) -> ResidualInResidual:
    """Build the block of ESRGAN: 3 x 3 convolutions, started small."""

    def layer(width: int, out_channels: int) -> nn.Module:
        return he_conv(spatial_dims, width, out_channels, gain=SMALL_START, slope=LEAKY_SLOPE)

    return ResidualInResidual(channels, growth_channels, layer=layer)


class NearestStage(nn.Module):
    """Repeat every pixel, then a layer and a LeakyReLU.

    Args:
        factor: how often a pixel is repeated along each axis.
        layer: the layer on the finer grid.

    Shape: x (N, C, H, W[, D]) -> (N, C, factor * H, factor * W[, factor * D]).
    """

    def __init__(self, factor: int, layer: nn.Module) -> None:
        super().__init__()
        self.factor = float(factor)
        self.layer = layer
        self.activation = nn.LeakyReLU(LEAKY_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the finer grid."""
        large = F.interpolate(x, scale_factor=self.factor, mode="nearest")
        result: Tensor = self.activation(self.layer(large))
        return result
