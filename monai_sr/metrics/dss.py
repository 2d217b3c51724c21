"""Measure how well a result keeps the structure of every fineness; no loss of ours uses it.

DSS cuts images into blocks of 8 x 8, takes their cosine transform and compares, band by band, the
local variances of the coefficients: 1 for equal images, higher is better. It asks whether there is
as much structure of each fineness as in the reference, less for its exact place, so that it sees
missing texture, which PSNR and GMSD forgive. It needs no network.

References:
    Balanov, Schwartz, Moshe, Peleg (2015), Image quality assessment based on DCT subband
    similarity, doi:10.1109/ICIP.2015.7351172.
"""

from __future__ import annotations

from torch import Tensor

from monai_sr.metrics.base import ColorMetric, PairHandler, by_piq

SMALLEST_SIDE_PX = 32
"""The worst twentieth of 4 x 4 blocks is one block; of fewer it would be none."""


def dss(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the similarity of DCT sub-bands with the ``piq`` package.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,), same dtype; higher is better, 1 for
    equal images. RGB is compared by its luma (Y of YIQ), other numbers of channels one by one.

    Raises:
        OptionError: if the shapes differ or a side is shorter than 32 pixels.
    """
    return by_piq("dss", sr, hr, SMALLEST_SIDE_PX)


class DSSMetric(ColorMetric):
    """Average the DSS over images; see :class:`monai_sr.metrics.base.PairMetric`."""

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return dss(sr, hr)


class DSSHandler(PairHandler):
    """Compute DSS while an engine validates."""

    metric_class = DSSMetric
