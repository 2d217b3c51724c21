"""Measure structural similarity under a protocol, with the window of Wang et al. (2004)."""

from __future__ import annotations

from torch import Tensor

from monai_sr.functional.ssim import ms_ssim, ssim
from monai_sr.metrics.base import PairHandler, PairMetric


class SSIMMetric(PairMetric):
    """Average the SSIM over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Images need at least 11 pixels a side inside the border, else an OptionError says so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ssim(sr, hr, data_range=self.protocol.data_range)


class SSIMHandler(PairHandler):
    """Compute SSIM while an engine validates."""

    metric_class = SSIMMetric


class MSSSIMMetric(PairMetric):
    """Average the multi-scale SSIM over images, see :func:`monai_sr.functional.ssim.ms_ssim`.

    Images need at least 161 pixels a side inside the border, else an OptionError says so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ms_ssim(sr, hr, data_range=self.protocol.data_range)


class MSSSIMHandler(PairHandler):
    """Compute the multi-scale SSIM while an engine validates."""

    metric_class = MSSSIMMetric
