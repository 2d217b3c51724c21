"""RRDBNet: the generator of ESRGAN, residual blocks in residuals with dense connections inside."""

from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.blocks import fine_reach, he_conv, pass_image, pass_smoothed, steps
from monai_sr.networks.dense_blocks import LEAKY_SLOPE, NearestStage, ResidualInResidual, rrdb
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("rrdbnet")
class RRDBNet(Generator):
    """Head, RRDB trunk under one global skip, nearest + convolution stages, two convolutions.

    There is no normalization; the trunk has 0.2 on every residual and a start of a tenth of He's.

    Differs from the paper: x2 has one stage and x3 a single nearest x3; it starts as linear
    interpolation (the trunk's last convolution at zero, the image handed through), which short
    training needs; 3D is offered.

    Args:
        num_blocks: residual-in-residual blocks; 23 is the paper's, 12 that of Szigetvari et al.
        channels: width.
        growth_channels: growth of the dense blocks.
    """

    info = GeneratorInfo(
        paper="X. Wang et al., 2018, ESRGAN, doi:10.1007/978-3-030-11021-5_5",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        num_blocks: int = 23,
        channels: int = 64,
        growth_channels: int = 32,
    ) -> None:
        super().__init__()
        at_least_one(num_blocks=num_blocks, channels=channels, growth_channels=growth_channels)
        factors = steps(scale)
        # A convolution follows each enlargement, two more end the network.
        stages = [*((factor, 1) for factor in factors[:-1]), (factors[-1], 3)]
        halo = 1 + num_blocks * ResidualInResidual.num_layers + 1 + fine_reach(stages)
        self._declare(scale, in_channels, spatial_dims, halo=halo)
        self.head = he_conv(spatial_dims, in_channels, channels, slope=1.0)
        self.blocks = nn.Sequential(
            *(rrdb(spatial_dims, channels, growth_channels) for _ in range(num_blocks))
        )
        # The trunk grows its input by 1.2 a block: 66 times over 23.
        self.body_end = he_conv(spatial_dims, channels, channels, gain=0.0)
        fine = [he_conv(spatial_dims, channels, channels, slope=LEAKY_SLOPE) for _ in factors]
        self.enlarge = nn.Sequential(*map(NearestStage, factors, fine))
        self.tail = nn.Sequential(
            he_conv(spatial_dims, channels, channels, slope=LEAKY_SLOPE),
            nn.LeakyReLU(LEAKY_SLOPE),
            he_conv(spatial_dims, channels, in_channels, slope=1.0),
        )
        if in_channels <= channels:
            for layer in (self.head, self.tail[0], self.tail[2]):
                pass_image(layer, in_channels)
            for factor, conv in zip(factors, fine, strict=True):
                pass_smoothed(conv, in_channels, factor)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        head = self.head(image)
        features = head + self.body_end(self.blocks(head))
        result: Tensor = self.tail(self.enlarge(features))
        return result
