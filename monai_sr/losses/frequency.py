"""Compare images frequency by frequency."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_sr.losses.precision import at_least_float32


class FrequencyLoss(nn.Module):
    """Compare discrete Fourier transforms: mean |F(sr) - F(hr)| over real and imaginary parts.

    The transform is orthonormal, so that the value does not depend on the size of the patch.

    Shape: sr and hr (N, C, H, W[, D]) in [0, 1] -> scalar; lower is better.

    References:
        Cho et al. (2021), Rethinking coarse-to-fine approach in single image deblurring,
        doi:10.1109/ICCV48922.2021.00460 (there the transform is not normalized).
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean over all coefficients of the half spectrum."""
        difference = at_least_float32(sr) - at_least_float32(hr)
        axes = tuple(range(2, difference.ndim))
        spectrum = torch.fft.rfftn(difference, dim=axes, norm="ortho")
        return torch.view_as_real(spectrum).abs().mean()


__all__ = ["FrequencyLoss"]
