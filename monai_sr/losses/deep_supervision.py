"""Supervise the early outputs of a network beside its result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import resize


class DeepSupervisionLoss(nn.Module):
    """Compare the result with the truth, and early outputs with the truth on their grids.

    The value is loss(result, hr) + early_weight * mean over early outputs of loss(early, hr). Where
    an early output has a coarser grid, hr is reduced to it by bicubic down-sampling.

    Shape: outputs, a list of (N, C, H', W'[, D']) with the result last, on the grid of
    hr (N, C, H, W[, D]) in [0, 1] -> scalar; lower is better.

    Args:
        loss: (sr, hr) -> scalar.
        early_weight: weight of the mean over early outputs.

    Raises:
        OptionError: if the weight is negative.

    References:
        Lee, Xie, Gallagher, Zhang, Tu (2015), Deeply-supervised nets, arXiv:1409.5185.
        Kim, Lee, Lee (2016), Deeply-recursive convolutional network for image super-resolution,
        doi:10.1109/CVPR.2016.181 (every recursion supervised).
    """

    def __init__(self, loss: nn.Module, early_weight: float = 1.0) -> None:
        super().__init__()
        if early_weight < 0:
            raise OptionError(f"early_weight: must not be negative, got {early_weight}")
        self.loss = loss
        self.early_weight = early_weight

    def forward(self, outputs: Sequence[Tensor], hr: Tensor) -> Tensor:
        """Return the loss of the result plus the weighted mean of the early outputs'."""
        *early, result = outputs
        value: Tensor = self.loss(result, hr)
        if early and self.early_weight:
            losses = [self.loss(output, _on_grid_of(output, hr)) for output in early]
            value = value + self.early_weight * torch.stack(losses).mean()
        return value


def _on_grid_of(output: Tensor, hr: Tensor) -> Tensor:
    """Reduce hr to the size of an output."""
    if output.shape == hr.shape:
        return hr
    dims = range(2, hr.ndim)
    with torch.no_grad():
        reduced = resize(hr, [output.shape[d] / hr.shape[d] for d in dims], dims)
    return reduced


__all__ = ["DeepSupervisionLoss"]
