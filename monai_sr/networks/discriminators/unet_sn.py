"""U-Net with spectral normalization: a verdict for every pixel, and a slope that is bounded."""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from monai_sr.core import at_least_one
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    register_discriminator,
)

_SLOPE = 0.2


@register_discriminator("unet_sn")
class UNetDiscriminator(Discriminator):
    """Three halvings and three doublings with skips; no normalization over images.

    Differs from the paper: any number of channels, 3D is offered, and sides need not be multiples
    of 8 (features are enlarged to the size of the skip that they join).

    Args:
        channels: width on the finest grid; it doubles at each halving.

    Shape: image (N, C, H, W[, D]) in [0, 1] -> [features..., logits (N, 1, H, W[, D])].
    """

    info = DiscriminatorInfo(
        paper="X. Wang, L. Xie, C. Dong and Y. Shan, 2021, Real-ESRGAN, arXiv:2107.10833"
    )

    def __init__(self, in_channels: int = 3, *, spatial_dims: int = 2, channels: int = 64) -> None:
        super().__init__()
        at_least_one(channels=channels)
        self._declare(in_channels, spatial_dims, minimum_size=8)
        conv = Conv[Conv.CONV, spatial_dims]
        widths = [channels * 2**i for i in range(4)]

        def normalized(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Module:
            layer = conv(before, after, size, stride=stride, padding=1, bias=False)
            return spectral_norm(layer)

        self.first = conv(in_channels, channels, 3, padding=1)
        self.down = nn.ModuleList(
            normalized(widths[i], widths[i + 1], size=4, stride=2) for i in range(3)
        )
        self.up = nn.ModuleList(normalized(widths[i + 1], widths[i]) for i in (2, 1, 0))
        self.refine = nn.ModuleList(normalized(channels, channels) for _ in range(2))
        self.last = conv(channels, 1, 3, padding=1)
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge images; the logits are last."""
        self.check_size(image)
        x = F.leaky_relu(self.first(image), _SLOPE)
        skips = [x]
        for conv in self.down:
            x = F.leaky_relu(conv(x), _SLOPE)
            skips.append(x)
        features = [x]
        for conv, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, size=skip.shape[2:], mode=self.mode, align_corners=False)
            x = F.leaky_relu(conv(x), _SLOPE) + skip
            features.append(x)
        for conv in self.refine:
            x = F.leaky_relu(conv(x), _SLOPE)
        return [*features, self.last(x)]
