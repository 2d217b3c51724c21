"""Measure errors of values: mean squared error, and the peak signal-to-noise ratio in dB.

The data range is always stated, never guessed. LR-PSNR asks how well a result, made small again,
agrees with the image it was made from: one that invents detail can still be faithful. It assumes
the down-sampling of the benchmark and says nothing about a real sensor.

References:
    Lugmayr et al. (2021), NTIRE 2021 challenge on learning the super-resolution space,
    doi:10.1109/CVPRW53098.2021.00072 (LR-PSNR).
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from monai_sr.core import BadImageError, OptionError
from monai_sr.functional import downsample
from monai_sr.metrics.base import Comparison, PairMetric, View, handler_of
from monai_sr.metrics.measures import Measure, register_metric
from monai_sr.metrics.protocol import prepare_pair


def mse(sr: Tensor, hr: Tensor, data_range: float = 1.0) -> Tensor:
    """Compute the mean of ((sr - hr) / range)²; lower is better.

    Shape: sr, hr (N, ...), cropped and rounded as the protocol says -> (N,) float64.
    """
    error = (sr.double() - hr.double()) / data_range
    return (error * error).flatten(1).mean(1)


def psnr(sr: Tensor, hr: Tensor, data_range: float) -> Tensor:
    """Compute 10 log10(data_range² / MSE) of every image; higher is better.

    Shape: sr, hr (N, ...) of any dtype, cropped and rounded as the protocol says -> (N,) float64,
    in dB; infinite for equal images.

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
    error = mse(sr, hr)
    if not bool(torch.isfinite(error).all()):
        raise BadImageError(
            "sr: every value must be finite, got NaN or infinity; "
            "check the network's weights and the input"
        )
    return 10.0 * torch.log10(data_range**2 / error)


def lr_psnr(
    sr: Tensor,
    lr: Tensor,
    scale: int,
    data_range: float,
    shrink: Callable[[Tensor, int], Tensor] = downsample,
) -> Tensor:
    """Compute the PSNR between the result, shrunk (by default by MATLAB bicubic), and the input.

    The shrunk result is not rounded, so that agreement beyond one grey level still counts; give
    ``sr`` as it was stored. Every channel and the whole image count.

    Shape: sr (N, C, H * scale, W * scale), lr (N, C, H, W) -> (N,) float64, in dB; higher is
    better, infinite where they agree exactly.

    Raises:
        OptionError: if the shapes do not belong together.
        BadImageError: if a value is NaN or infinite.
    """
    expected = (*lr.shape[:-2], lr.shape[-2] * scale, lr.shape[-1] * scale)
    if tuple(sr.shape) != expected:
        raise OptionError(
            f"sr: must have shape {expected} at scale {scale}, got {tuple(sr.shape)}; "
            "compare it with the input it was made from"
        )
    return psnr(shrink(sr.double(), scale), lr.double(), data_range)


@register_metric(
    Measure(
        name="psnr", label="PSNR", luma_label="PSNR-Y", unit="dB", is_more_better=True, digits=2,
        stored_digits=4, column=1, is_always=True, about="10 log10(range² / mean squared error)",
    )
)  # fmt: skip
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


@register_metric(
    Measure(
        name="psnr_y", label="PSNR-Y, grey too", unit="dB", is_more_better=True, digits=2,
        about="luma of 16 to 235 of grey images, too, as published figures have it",
    )
)  # fmt: skip
class PSNRYMetric(PSNRMetric):
    """Average the PSNR of luma; a grey image counts as a color image of three equal bands.

    Published figures are so: the scripts behind them read every image as RGB.
    """

    def _prepare(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        protocol = replace(self.protocol, uses_luma=True)
        sr, hr = (image.expand(-1, 3, -1, -1) for image in (sr, hr))
        return prepare_pair(sr, hr, self.scale, protocol)

    def compare(self, comparison: Comparison) -> float:
        """Compute the figure; NaN where an image is neither grey nor RGB."""
        if comparison.hr.shape[1] not in (1, 3):
            return math.nan
        return self._measure(*self._prepare(comparison.sr, comparison.hr)).item()


@register_metric(
    Measure(
        name="mse", label="MSE", is_more_better=False, digits=5,
        about="mean squared error of values in [0, 1]",
    )
)  # fmt: skip
class MSEMetric(PairMetric):
    """Average the mean squared error of values in [0, 1], as S4's tables (Badiy et al., 2025)."""

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return mse(sr, hr, self.protocol.data_range)


@register_metric(
    Measure(
        name="lr_psnr", label="LR-PSNR", unit="dB", is_more_better=True, digits=2, stored_digits=2,
        column=6, is_always=True,
        about="stored result, shrunk as the protocol has it, against its input",
    )
)  # fmt: skip
class LRPSNRMetric(PairMetric):
    """Average the LR-PSNR over images: ``y`` is the input (N, C, H, W), not the reference."""

    view = View.INPUT

    def _measure(self, sr: Tensor, lr: Tensor) -> Tensor:
        return lr_psnr(sr, lr, self.scale, self.protocol.data_range, self.protocol.shrink)


PSNRHandler, MSEHandler = handler_of(PSNRMetric), handler_of(MSEMetric)
LRPSNRHandler = handler_of(LRPSNRMetric)
