"""A discriminator that sees high frequencies alone: it cannot ask for another brightness."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from monai_sr.core import at_least_one
from monai_sr.functional import high_bands, smallest_side
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    create_discriminator,
    register_discriminator,
)


@register_discriminator("high_band")
class HighBandDiscriminator(Discriminator):
    """Another discriminator behind a stationary wavelet transform, whose low band is left out.

    Its input has 3 * levels * in_channels channels: the three bands of detail of every level.

    Args:
        discriminator: ``name`` and options of the one that judges the bands.
        wavelet: name of the wavelet; the paper's is "sym7".
        levels: how many times the low band is divided.

    Shape: image (N, C, H, W) in [0, 1] -> [features..., logits (N, 1, ...)].
    """

    info = DiscriminatorInfo(
        paper="C. Korkmaz, A. M. Tekalp and Z. Dogan, 2024, arXiv:2402.19215", spatial_dims=(2,)
    )

    def __init__(
        self,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        discriminator: Mapping[str, Any] | None = None,
        wavelet: str = "sym7",
        levels: int = 1,
    ) -> None:
        super().__init__()
        at_least_one(levels=levels)
        self.wavelet = wavelet
        self.levels = levels
        chosen = {"name": "unet_sn", **(discriminator or {})}
        fixed = {"in_channels": 3 * levels * in_channels, "spatial_dims": spatial_dims}
        self.judge = create_discriminator(**{**chosen, **fixed})
        smallest = max(self.judge.minimum_size, smallest_side(wavelet, levels))
        self._declare(in_channels, spatial_dims, minimum_size=smallest)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge images by their detail; the logits are last."""
        self.check_size(image)
        # Detail is a small difference of large values: in half precision little of it is left.
        with torch.autocast(image.device.type, enabled=False):
            single = image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
            bands = high_bands(single, self.wavelet, self.levels)
        result: list[Tensor] = self.judge(bands)
        return result
