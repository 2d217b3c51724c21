"""Measure the mean squared error of values in [0, 1], as S4's tables (Badiy et al., 2025) do."""

from __future__ import annotations

from torch import Tensor

from monai_sr.metrics.base import PairHandler, PairMetric


def mse(sr: Tensor, hr: Tensor, data_range: float = 1.0) -> Tensor:
    """Compute the mean of ((sr - hr) / range)²; lower is better.

    Shape: sr, hr (N, ...) -> (N,) float64.

    Args:
        sr: the result, already cropped and rounded as the protocol says.
        hr: the reference.
        data_range: difference between the largest and the smallest possible value.
    """
    error = (sr.double() - hr.double()) / data_range
    return (error * error).flatten(1).mean(1)


class MSEMetric(PairMetric):
    """Average the mean squared error over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Lower is better: as key metric of an engine it needs ``metric_cmp_fn`` to say so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return mse(sr, hr, self.protocol.data_range)


class MSEHandler(PairHandler):
    """Compute the mean squared error while an engine validates."""

    metric_class = MSEMetric
