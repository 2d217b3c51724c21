"""Measure how unevenly a result keeps the edges of its reference; no loss of ours uses it.

GMSD is the standard deviation, over the image, of the similarity of gradient magnitudes (Prewitt
filters, after averaging 2 x 2 pixels): 0 for equal images, lower is better, at most about 0.35 in
practice. It needs no network, so that a loss on network features cannot be trained towards it.

References:
    Xue, Zhang, Mou, Bovik (2014), Gradient magnitude similarity deviation: a highly efficient
    perceptual image quality index, doi:10.1109/TIP.2013.2293423.
"""

from __future__ import annotations

from torch import Tensor

from monai_sr.metrics.base import ColorMetric, PairHandler, by_piq

_SMALLEST_SIDE_PX = 6  # three gradients a side after halving


def gmsd(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the gradient magnitude similarity deviation with the ``piq`` package.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,), same dtype; lower is better. RGB is
    compared by its luma (Y of YIQ), other numbers of channels one by one.

    Raises:
        OptionError: if the shapes differ or a side is shorter than six pixels.
    """
    return by_piq("gmsd", sr, hr, _SMALLEST_SIDE_PX)


class GMSDMetric(ColorMetric):
    """Average the GMSD over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Lower is better: as key metric of an engine it needs ``metric_cmp_fn`` to say so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return gmsd(sr, hr)


class GMSDHandler(PairHandler):
    """Compute GMSD while an engine validates."""

    metric_class = GMSDMetric
