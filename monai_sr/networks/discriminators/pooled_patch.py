"""The patch discriminator of the recursive residual GAN: convolution and max pooling by turns."""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    register_discriminator,
)


@register_discriminator("pooled_patch")
class PooledPatchDiscriminator(Discriminator):
    """Three times: 4 x 4 convolution of stride 2, batch normalization, LeakyReLU, max pooling.

    The paper counts six layers with stride 2 and patches of at least 70 x 70. Six convolutions each
    with its own pooling would divide the image by 4096, so three convolutions and three poolings
    are read as the six: each verdict sees 106 x 106 pixels (74 x 74 before the last pooling).
    Where the image is too small for the last pooling, verdicts are taken before it.

    Args:
        channels: width of the first convolution; it doubles at each of the next.

    Shape: image (N, C, H, W[, D]) in [0, 1] -> [features..., logits (N, 1, h, w[, d])].
    """

    info = DiscriminatorInfo(
        paper="Y.-L. Wang, X.-J. Li, H.-B. Ma, Q.-T. Ma, Q. Ding and M. Pirouz, 2020, 'Image "
        "super-resolution reconstruction based on improved generative adversarial network'"
    )

    def __init__(self, in_channels: int = 3, *, spatial_dims: int = 2, channels: int = 64) -> None:
        super().__init__()
        at_least_one(channels=channels)
        self._declare(in_channels, spatial_dims, minimum_size=32)
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        widths = [in_channels, *(channels * 2**i for i in range(3))]
        self.convs = nn.ModuleList(
            conv(widths[i], widths[i + 1], 4, stride=2, padding=1, bias=False) for i in range(3)
        )
        self.norms = nn.ModuleList(norm(width) for width in widths[1:])
        self.pool = Pool[Pool.MAX, spatial_dims](2)
        self.last = conv(widths[-1], 1, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge images; the logits are last."""
        self.check_size(image)
        x, features = image, []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
            if min(x.shape[2:]) > 1:
                x = self.pool(x)
            features.append(x)
        return [*features, self.last(x)]
