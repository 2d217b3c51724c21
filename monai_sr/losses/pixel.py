"""Pixel losses: mean squared and mean absolute error come from torch, Charbonnier from here."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import L1Loss, MSELoss

__all__ = ["CharbonnierLoss", "L1Loss", "MSELoss"]


class CharbonnierLoss(nn.Module):
    """Smooth absolute error: mean of sqrt((sr - hr)^2 + epsilon^2); lower is better.

    Shape: sr and hr equal, any rank, values in [0, 1] -> scalar.

    Args:
        epsilon: width of the smooth part around zero, in units of the images.

    References:
        P. Charbonnier et al., 1994, doi:10.1109/ICIP.1994.413553; used for super-resolution by
        W.-S. Lai et al., 2017, doi:10.1109/CVPR.2017.618.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean over all pixels and channels."""
        return torch.sqrt((sr - hr) ** 2 + self.epsilon**2).mean()
