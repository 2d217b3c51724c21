"""Measure how well a result, made small again, agrees with the image it was made from.

A result that invents detail can still be faithful: shrunk by the down-sampling that the benchmark
assumes, it has to give the input back. This says nothing about a real sensor.

References:
    Lugmayr et al. (2021), NTIRE 2021 challenge on learning the super-resolution space,
    doi:10.1109/CVPRW53098.2021.00072 (LR-PSNR).
"""

from __future__ import annotations

from torch import Tensor

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample
from monai_sr.metrics.base import PairMetric, handler_of
from monai_sr.metrics.comparison import View
from monai_sr.metrics.measures import Measure, register_metric
from monai_sr.metrics.psnr import psnr


def lr_psnr(sr: Tensor, lr: Tensor, scale: int, data_range: float) -> Tensor:
    """Compute the PSNR between the result, shrunk by MATLAB bicubic, and the input.

    The shrunk result is not rounded, so that agreement beyond one grey level still counts; give
    ``sr`` as it was stored. Every channel and the whole image count.

    Shape: sr (N, C, H * scale, W * scale), lr (N, C, H, W) -> (N,) float64, in dB; higher is
    better, infinite where they agree exactly.

    Args:
        sr: the stored result.
        lr: the input.
        scale: the enlargement.
        data_range: difference between the largest and the smallest possible value.

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
    return psnr(downsample(sr.double(), scale), lr.double(), data_range)


@register_metric(
    Measure(
        name="lr_psnr", label="LR-PSNR", unit="dB", is_more_better=True, digits=2, stored_digits=2,
        column=6, is_always=True,
        about="stored result, shrunk by MATLAB bicubic, against its input",
    )
)  # fmt: skip
class LRPSNRMetric(PairMetric):
    """Average the LR-PSNR over images: ``y`` is the input (N, C, H, W), not the reference."""

    view = View.INPUT

    def _measure(self, sr: Tensor, lr: Tensor) -> Tensor:
        return lr_psnr(sr, lr, self.scale, self.protocol.data_range)


LRPSNRHandler = handler_of(LRPSNRMetric)
