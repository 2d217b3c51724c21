"""Punish pixels where a result is likely an artifact rather than texture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_sr.core.errors import OptionError
from monai_sr.losses.precision import at_least_float32

_PATCH_EXPONENT = 0.2
"""The paper's power of the variance of a whole patch (a = 5 in its 1/a)."""


class ArtifactLoss(nn.Module):
    """Weigh the absolute error by how likely a pixel is an artifact: mean of map * |sr - hr|.

    See :func:`artifact_map`. The map is a weight: no gradient flows through it.

    Shape: sr, hr and ema_sr (N, C, H, W) in [0, 1], sides above ``window // 2`` -> scalar; lower is
    better.

    Args:
        window: side of the window of the local variance, odd, in pixels.

    Raises:
        OptionError: if ``window`` is even or below 3.

    References:
        Liang, Zeng, Zhang (2022), Details or artifacts: a locally discriminative learning approach
        to realistic image super-resolution, arXiv:2203.09195.
    """

    def __init__(self, window: int = 7) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise OptionError(f"window: must be odd and at least 3, got {window}; the paper has 7")
        self.window = window

    def forward(self, sr: Tensor, hr: Tensor, ema_sr: Tensor) -> Tensor:
        """Return the weighted mean error.

        Args:
            sr: result of the generator in training.
            hr: the truth.
            ema_sr: result of the generator whose weights are averaged over steps.
        """
        sr, hr = at_least_float32(sr), at_least_float32(hr)
        weight = artifact_map(sr, hr, at_least_float32(ema_sr), self.window)
        return (weight * (sr - hr).abs()).mean()


@torch.no_grad()
def artifact_map(sr: Tensor, hr: Tensor, ema_sr: Tensor, window: int = 7) -> Tensor:
    """Estimate how likely each pixel of a result is an artifact.

    With the residual r = sum over channels of |hr - sr|: the variance of r in the window around the
    pixel, times the fifth root of the variance of r over the image; and zero where the averaged
    generator, which is steadier, is no closer to the truth.

    Shape: sr, hr, ema_sr (N, C, H, W) -> (N, 1, H, W), not negative.
    """
    residual = (hr - sr).abs().sum(dim=1, keepdim=True)
    steady = (hr - ema_sr).abs().sum(dim=1, keepdim=True)
    margin = window // 2
    padded = F.pad(residual, (margin, margin, margin, margin), mode="reflect")
    # Shifted by the mean of the image: squares of small numbers lose less to rounding.
    padded = padded - residual.mean(dim=(2, 3), keepdim=True)
    mean = F.avg_pool2d(padded, window, stride=1)
    square = F.avg_pool2d(padded**2, window, stride=1)
    count = window**2
    local = (square - mean**2).clamp(min=0) * (count / (count - 1))
    patch = residual.var(dim=(1, 2, 3), keepdim=True) ** _PATCH_EXPONENT
    return torch.where(residual < steady, 0.0, local * patch)


__all__ = ["ArtifactLoss", "artifact_map"]
