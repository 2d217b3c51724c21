"""Measure the peak signal-to-noise ratio in dB; the data range is always stated, never guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.metrics.base import PairHandler, PairMetric


def psnr(sr: Tensor, hr: Tensor, data_range: float) -> Tensor:
    """Compute 10 log10(data_range² / MSE) of every image; higher is better.

    Shape: sr, hr (N, ...) of any dtype -> (N,) float64, in dB; infinite for equal images.

    Args:
        sr: the result, already cropped and rounded as the protocol says.
        hr: the reference.
        data_range: difference between the largest and the smallest possible value.

    Raises:
        OptionError: if the shapes differ or the range is not positive.
        BadImageError: if a value is NaN or infinite.
    """
    if sr.shape != hr.shape or sr.ndim < 2:
        raise OptionError(
            f"sr: must be a batch of the shape of hr {tuple(hr.shape)}, got {tuple(sr.shape)}; "
            "crop one of them or add the batch axis"
        )
    if not data_range > 0:
        raise OptionError(
            f"data_range: must be positive, got {data_range}; pass 255 for 8-bit values"
        )
    error = sr.double() - hr.double()
    mse = (error * error).flatten(1).mean(1)
    if not bool(torch.isfinite(mse).all()):
        raise BadImageError(
            "sr: every value must be finite, got NaN or infinity; "
            "check the network's weights and the input"
        )
    return 10.0 * torch.log10(data_range**2 / mse)


class PSNRMetric(PairMetric):
    """Average the PSNR over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Example:
        >>> metric = PSNRMetric(scale=2, protocol="native")
        >>> _ = metric(y_pred=torch.full((1, 1, 8, 8), 0.1), y=torch.zeros(1, 1, 8, 8))
        >>> round(metric.aggregate().item(), 3)
        20.0
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return psnr(sr, hr, self.protocol.data_range)


class PSNRHandler(PairHandler):
    """Compute PSNR while an engine validates, as key metric or beside it."""

    metric_class = PSNRMetric
