"""Measure whether intervals hold: the share of values that lie within theirs.

A 90 % interval is calibrated where it holds 90 % of the values it was not fitted on; fewer and it
promises too much, more and it says too little.
"""

import math

import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.metrics.base import Comparison, PairMetric, handler_of
from monai_sr.metrics.measures import Measure, register_metric
from monai_sr.metrics.protocol import reference_to_stored


def coverage(sr: Tensor, hr: Tensor, half_width: Tensor) -> Tensor:
    """Compute the share of values with |sr - hr| <= half_width, in percent.

    Shape: sr, hr, half_width (N, C, H, W[, D]) in the same units -> (N,) float64.

    Raises:
        OptionError: if the shapes differ.
    """
    if not sr.shape == hr.shape == half_width.shape:
        raise OptionError(
            f"sr: result, reference and half width must have one shape, got {tuple(sr.shape)}, "
            f"{tuple(hr.shape)} and {tuple(half_width.shape)}"
        )
    holds = (sr.double() - hr.double()).abs() <= half_width.double()
    return 100 * holds.double().flatten(1).mean(1)


@register_metric(
    Measure(
        name="coverage", label="90 % interval holds", unit="%", is_more_better=None, digits=1,
        about="share of values within their interval; 88 to 92 is calibrated",
    )
)  # fmt: skip
class CoverageMetric(PairMetric):
    """Average the coverage over images, of every channel inside the border, unrounded.

    ``y_pred`` holds the result and, after its channels, as many of half widths: (N, 2 C, H, W).
    """

    def _prepare(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        """Leave result and half width as they are: only the border goes."""
        for axis in range(2, hr.ndim):
            length = hr.shape[axis] - 2 * self.scale
            sr, hr = (image.narrow(axis, self.scale, length) for image in (sr, hr))
        return sr, reference_to_stored(hr, self.protocol) / self.protocol.data_range

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        if sr.shape[1] != 2 * hr.shape[1]:
            raise OptionError(
                f"y_pred: must hold result and half width, {2 * hr.shape[1]} channels, "
                f"got {sr.shape[1]}; concatenate them"
            )
        result, half_width = torch.chunk(sr, 2, dim=1)
        return coverage(result, hr, half_width)

    def compare(self, comparison: Comparison) -> float:
        """Compute the coverage; NaN where the system gives no intervals."""
        if comparison.half_width is None:
            return math.nan
        both = torch.cat([comparison.sr, comparison.half_width], dim=1)
        return self._measure(*self._prepare(both, comparison.hr)).item()


CoverageHandler = handler_of(CoverageMetric)
