"""Match what the discriminator sees in results with what it sees in real images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_sr.core.errors import OptionError
from monai_sr.losses.precision import at_least_float32


class FeatureMatchingLoss(nn.Module):
    """Compare the discriminator's inner features: mean over layers of mean |real - fake|.

    Features of real images are targets: no gradient flows into them.

    Shape: real_features and fake_features, lists of equal length and shapes -> scalar float32;
    lower is better.

    Raises:
        OptionError: if there are no features, or the lists differ in length.

    References:
        Wang et al. (2018), High-resolution image synthesis and semantic manipulation with
        conditional GANs, doi:10.1109/CVPR.2018.00917.
    """

    def forward(self, real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
        """Return the mean over layers."""
        if not real_features or len(real_features) != len(fake_features):
            raise OptionError(
                "real_features, fake_features: need equally many layers, at least one, got "
                f"{len(real_features)} and {len(fake_features)}; use a discriminator that returns "
                "its features"
            )
        differences = [
            F.l1_loss(at_least_float32(fake), at_least_float32(real.detach()))
            for real, fake in zip(real_features, fake_features, strict=True)
        ]
        return torch.stack(differences).mean()


__all__ = ["FeatureMatchingLoss"]
