"""SRResNet: the generator of SRGAN, residual blocks with batch normalization and pixel shuffles."""

from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.networks.blocks import SubPixelStage, fine_reach, pass_enlarged, pass_image, steps
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


class ResidualBlock(nn.Module):
    """Convolution, normalization, PReLU, convolution, normalization, added to the input."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        self.layers = nn.Sequential(
            conv(channels, channels, 3, padding=1, bias=False),
            norm(channels),
            nn.PReLU(channels),
            conv(channels, channels, 3, padding=1, bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.layers(x)
        return x + residual


@register_generator("srresnet")
class SRResNet(Generator):
    """Head, residual body under one global skip, sub-pixel stages (x2, x3 or x2 x2), tail.

    The defaults are the paper's network: 1,548,547 parameters at x4 for color. With
    ``num_blocks=8`` it is the small SRGAN of Szigetvari et al., 2025: 956,163.

    Differs from the paper: a PReLU has a slope for each channel, as where it comes from (He et al.,
    2015), since the paper does not say; convolutions before a normalization have no bias, which it
    would cancel; the first weights interpolate linearly, so that short training need not learn what
    the image looks like; x2, x3, 3D and x1 (no stage: a refinement) are offered. As in the paper,
    the image is -1 to 1 at the network's end.

    Args:
        scale: 1, 2, 3 or 4.
        channels: width of the body and of the stages.
        num_blocks: residual blocks.
        kernel_size: side of the first and the last kernel, odd.
    """

    info = GeneratorInfo(
        paper="C. Ledig et al., 2017, doi:10.1109/CVPR.2017.19",
        scales=(1, 2, 3, 4),
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
        kernel_size: int = 9,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, num_blocks=num_blocks)
        if kernel_size < 1 or kernel_size % 2 != 1:
            raise OptionError(f"kernel_size: must be odd, got {kernel_size}")
        factors = () if scale == 1 else steps(scale)
        edge = kernel_size // 2
        # Of the stages' convolutions and the tail, the first one works on the input's grid.
        coarse, *fine = *(1 for _ in factors), edge
        reach = coarse + fine_reach(list(zip(factors, fine, strict=True)))
        self._declare(scale, in_channels, spatial_dims, halo=edge + 2 * num_blocks + 1 + reach)
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        head = conv(in_channels, channels, kernel_size, padding=edge)
        end = norm(channels)
        stages = [SubPixelStage(spatial_dims, channels, factor) for factor in factors]
        tail = conv(channels, in_channels, kernel_size, padding=edge)
        pass_image(head, in_channels)
        nn.init.zeros_(end.weight)
        for stage in stages:
            pass_enlarged(stage, in_channels)
        pass_image(tail, in_channels, gain=2.0)
        nn.init.constant_(tail.bias, -1.0)
        self.head = nn.Sequential(head, nn.PReLU(channels))
        self.body = nn.Sequential(
            *(ResidualBlock(spatial_dims, channels) for _ in range(num_blocks)),
            conv(channels, channels, 3, padding=1, bias=False),
            end,
        )
        self.enlarge = nn.Sequential(
            *(layer for stage in stages for layer in (stage, nn.PReLU(channels)))
        )
        self.tail = tail

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        head = self.head(image)
        features = head + self.body(head)
        result: Tensor = (self.tail(self.enlarge(features)) + 1) / 2
        return result
