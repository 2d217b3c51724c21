"""The discriminator of SRGAN: strided convolutions and a dense head, one verdict an image."""

from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    register_discriminator,
)


@register_discriminator("srgan_vgg")
class SRGANDiscriminator(Discriminator):
    """Eight 3 x 3 convolutions that double the width from 64 to 512 as the grid halves, two layers.

    Differs from the paper: the features are averaged to ``pooled_size`` before the dense layers, so
    that any image size serves (6 is the paper's own for 96 x 96); logits come out, the sigmoid is
    the loss's; 3D is offered.

    Args:
        channels: width of the first convolution.
        dense_features: width between the two dense layers.
        pooled_size: side of the features that enter the dense layers.
        activation: "leaky_relu" (0.2, the paper's) or "mish" (IGAN-SRCP).

    Shape: image (N, C, H, W[, D]) in [0, 1] -> [features..., logits (N, 1)].
    """

    info = DiscriminatorInfo(
        paper="C. Ledig et al., 2017, doi:10.1109/CVPR.2017.19; L. Zou et al., 2023, "
        "doi:10.3390/s23167296 (Mish)"
    )

    def __init__(
        self,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        dense_features: int = 1024,
        pooled_size: int = 6,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        if activation not in ("leaky_relu", "mish"):
            raise OptionError(f"activation: must be 'leaky_relu' or 'mish', got {activation!r}")
        at_least_one(channels=channels, dense_features=dense_features, pooled_size=pooled_size)
        self._declare(in_channels, spatial_dims, minimum_size=16)
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]

        def bend() -> nn.Module:
            return nn.LeakyReLU(0.2) if activation == "leaky_relu" else nn.Mish()

        layers: list[nn.Module] = [nn.Sequential(conv(in_channels, channels, 3, padding=1), bend())]
        width = channels
        for i in range(1, 8):
            wider = channels * 2 ** (i // 2)
            # The normalization would take a bias away.
            strided = conv(width, wider, 3, stride=1 + i % 2, padding=1, bias=False)
            layers.append(nn.Sequential(strided, norm(wider), bend()))
            width = wider
        self.layers = nn.ModuleList(layers)
        self.pool = Pool[Pool.ADAPTIVEAVG, spatial_dims](pooled_size)
        self.head = nn.Sequential(
            nn.Linear(width * pooled_size**spatial_dims, dense_features),
            bend(),
            nn.Linear(dense_features, 1),
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge images; the logits are last."""
        self.check_size(image)
        x, features = image, []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return [*features, self.head(self.pool(x).flatten(1))]
