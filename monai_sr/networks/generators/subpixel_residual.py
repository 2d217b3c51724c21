"""Residual convolutional network with a sub-pixel convolution at its end (Yan et al., 2024)."""

from monai.networks.layers.factories import Conv, Norm
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.functional import REACH
from monai_sr.networks.blocks import Interpolation
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


def _layer(spatial_dims: int, in_channels: int, channels: int) -> nn.Module:
    """Build convolution, batch normalization and ReLU, He-initialized."""
    conv = Conv[Conv.CONV, spatial_dims](in_channels, channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, Norm[Norm.BATCH, spatial_dims](channels), nn.ReLU())


@register_generator("subpixel_residual")
class SubPixelResidual(Generator):
    """Feature extraction, a stack of conv/BN/ReLU, sub-pixel convolution, plus interpolation.

    The paper gives equations for the three parts, each convolution followed by batch normalization
    (named possible, used here) and ReLU, and leaves open: the number and width of the layers (here
    16 of 64), kernel sizes (3), the scale, the factors of the sub-pixel layers (one layer takes the
    whole factor, as in Shi et al., 2016, doi:10.1109/CVPR.2016.207), and between what the "residual
    learning strategy" lies. Its equation of a layer has no skip, therefore the residual is read as
    that of the whole image: the network predicts what bicubic interpolation lacks.

    Differs from the paper: its last equation ends in a ReLU, which could only brighten the
    interpolated image and is left out. The sub-pixel convolution starts at zero, so that training
    starts from plain interpolation, and 3D is offered.

    Args:
        channels: width of every layer.
        num_layers: convolutions of the non-linear mapping.
    """

    info = GeneratorInfo(
        paper="H. Yan, Z. Wang, Z. Xu, Z. Wang, Z. Wu and R. Lyu, 2024, arXiv:2407.13211",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        num_layers: int = 16,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, num_layers=num_layers)
        self._declare(scale, in_channels, spatial_dims, halo=max(1 + num_layers + 1, REACH))
        self.extraction = _layer(spatial_dims, in_channels, channels)
        self.mapping = nn.Sequential(
            *(_layer(spatial_dims, channels, channels) for _ in range(num_layers))
        )
        self.reconstruction = Conv[Conv.CONV, spatial_dims](
            channels, in_channels * scale**spatial_dims, 3, padding=1
        )
        nn.init.zeros_(self.reconstruction.weight)
        nn.init.zeros_(self.reconstruction.bias)
        self.enlarge = Interpolation(spatial_dims, scale)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        features = self.mapping(self.extraction(image))
        detail = pixelshuffle(self.reconstruction(features), self.spatial_dims, self.scale)
        result: Tensor = self.enlarge(image) + detail
        return result
