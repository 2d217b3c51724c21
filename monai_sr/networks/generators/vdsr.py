"""VDSR: twenty convolutions that add detail to the bicubic-enlarged image."""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.networks.blocks import Interpolation, enlarged_halo
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("vdsr")
class VDSR(Generator):
    """A chain of 3 x 3 convolutions and ReLUs on the enlarged image, to which its result is added.

    For one channel the defaults have 664,704 weights, the paper's 665 k, and 1,217 biases.

    Differs from the paper: the last convolution starts at zero, so that training starts from plain
    interpolation; all channels are enlarged together (the paper's network sees luma alone); an
    instance is built for one scale, though its weights fit all; 3D is offered.

    Args:
        channels: width of the chain.
        num_layers: convolutions, the first and the last one included.
    """

    info = GeneratorInfo(
        paper="J. Kim, J. K. Lee and K. M. Lee, 2016, doi:10.1109/CVPR.2016.182",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        num_layers: int = 20,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels)
        if num_layers < 2:
            raise OptionError(f"num_layers: must be at least 2, got {num_layers}")
        self._declare(scale, in_channels, spatial_dims, halo=enlarged_halo(scale, num_layers))
        conv = Conv[Conv.CONV, spatial_dims]
        self.enlarge = Interpolation(spatial_dims, scale)
        self.head = conv(in_channels, channels, 3, padding=1)
        self.body = nn.ModuleList(
            conv(channels, channels, 3, padding=1) for _ in range(num_layers - 2)
        )
        self.tail = conv(channels, in_channels, 3, padding=1)
        for layer in (self.head, *self.body):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        large = self.enlarge(image)
        x = F.relu(self.head(large))
        for conv in self.body:
            x = F.relu(conv(x))
        result: Tensor = large + self.tail(x)
        return result
