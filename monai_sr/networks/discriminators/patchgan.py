"""PatchGAN: a verdict for every overlapping 70 x 70 part, by MONAI's ``PatchDiscriminator``."""

from monai.networks.nets import PatchDiscriminator
from torch import Tensor

from monai_sr.core import at_least_one
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    register_discriminator,
)


@register_discriminator("patchgan")
class PatchGAN(Discriminator):
    """Strided 4 x 4 convolutions; with three layers each verdict sees 70 x 70 pixels.

    Args:
        channels: width of the first layer; it doubles at each halving.
        num_layers: layers after the first; 3 is the paper's 70 x 70.
        norm: MONAI's name of a normalization: "BATCH" (the paper's), "INSTANCE", ...

    Shape: image (N, C, H, W[, D]) in [0, 1] -> [features..., logits (N, 1, h, w[, d])].
    """

    info = DiscriminatorInfo(
        paper="P. Isola, J.-Y. Zhu, T. Zhou and A. A. Efros, 2017, doi:10.1109/CVPR.2017.632"
    )

    def __init__(
        self,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 64,
        num_layers: int = 3,
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, num_layers=num_layers)
        # After the halvings, two layers without stride take one pixel each.
        smallest = 3 * 2**num_layers
        self._declare(in_channels, spatial_dims, minimum_size=smallest)
        self.judge = PatchDiscriminator(
            spatial_dims=spatial_dims,
            channels=channels,
            in_channels=in_channels,
            num_layers_d=num_layers,
            norm=norm,
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge images; the logits are last."""
        self.check_size(image)
        result: list[Tensor] = self.judge(image)
        return result
