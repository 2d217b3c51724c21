"""EDSR: a deep residual network without normalization, enlarged at its end by pixel shuffling."""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.blocks import SubPixelStage, pass_enlarged, pass_image, steps
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between, scaled and added to the input."""

    def __init__(self, spatial_dims: int, channels: int, residual_scale: float) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.first = conv(channels, channels, 3, padding=1)
        self.second = conv(channels, channels, 3, padding=1)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.second(F.relu(self.first(x)))
        return x + self.residual_scale * residual


@register_generator("edsr")
class EDSR(Generator):
    """Head, residual body under one global skip, sub-pixel stages (x2, x3 or x2 x2), tail.

    The defaults are the paper's baseline; its full size is ``channels=256, num_blocks=32,
    residual_scale=0.1``.

    Differs from the paper: 0.5 takes the place of the mean color of DIV2K that is subtracted from
    the input and added to the result, so that any number of channels works; 3D is offered; the
    untrained network interpolates linearly.

    Args:
        channels: width of the body.
        num_blocks: residual blocks.
        residual_scale: factor of each residual; 0.1 keeps wide networks stable.
    """

    info = GeneratorInfo(
        paper="B. Lim, S. Son, H. Kim, S. Nah and K. M. Lee, 2017, doi:10.1109/CVPRW.2017.151",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        num_blocks: int = 16,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, num_blocks=num_blocks)
        # Head, two a block, end of the body, first sub-pixel stage; what follows it on the finer
        # grids reaches one input pixel further at every scale.
        halo = 1 + 2 * num_blocks + 1 + 1 + 1
        self._declare(scale, in_channels, spatial_dims, halo=halo)
        conv = Conv[Conv.CONV, spatial_dims]
        self.head = conv(in_channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(spatial_dims, channels, residual_scale) for _ in range(num_blocks))
        )
        self.body_end = conv(channels, channels, 3, padding=1)
        self.enlarge = nn.Sequential(
            *(SubPixelStage(spatial_dims, channels, factor) for factor in steps(scale))
        )
        self.tail = conv(channels, in_channels, 3, padding=1)
        pass_image(self.head, in_channels)
        pass_image(self.body_end, in_channels, gain=0.0)
        for stage in self.enlarge:
            assert isinstance(stage, SubPixelStage)
            pass_enlarged(stage, in_channels)
        pass_image(self.tail, in_channels)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        head = self.head(image - 0.5)
        features = head + self.body_end(self.blocks(head))
        result: Tensor = self.tail(self.enlarge(features)) + 0.5
        return result
