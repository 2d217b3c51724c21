"""Measure how well a result keeps the structure of its reference: SSIM, MS-SSIM, GMSD, DSS.

SSIM compares means, variances and covariance in a sliding window, MS-SSIM so at five resolutions.
GMSD is the standard deviation, over the image, of the similarity of gradient magnitudes (Prewitt
filters, after averaging 2 x 2 pixels): 0 for equal images, at most about 0.35 in practice. DSS cuts
images into blocks of 8 x 8, takes their cosine transform and compares, band by band, the local
variances of the coefficients: as much structure of each fineness as in the reference, less its
exact place, so that it sees missing texture, which PSNR and GMSD forgive. GMSD and DSS need no
network, and no loss of ours uses them.

References:
    Wang, Bovik, Sheikh, Simoncelli (2004), Image quality assessment: from error visibility to
    structural similarity, doi:10.1109/TIP.2003.819861.
    Xue, Zhang, Mou, Bovik (2014), Gradient magnitude similarity deviation: a highly efficient
    perceptual image quality index, doi:10.1109/TIP.2013.2293423.
    Balanov, Schwartz, Moshe, Peleg (2015), Image quality assessment based on DCT subband
    similarity, doi:10.1109/ICIP.2015.7351172.
"""

from torch import Tensor

from monai_sr.functional import MULTISCALE_SIDE_PX, WINDOW_PX, ms_ssim
from monai_sr.functional.ssim import ssim
from monai_sr.metrics.base import PairMetric, View, color_or_grey, handler_of
from monai_sr.metrics.measures import Measure, register_metric

_GMSD_SIDE_PX = 6  # three gradients a side after halving
_DSS_SIDE_PX = 32
"""The worst twentieth of 4 x 4 blocks is one block; of fewer it would be none."""


def gmsd(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the gradient magnitude similarity deviation with the ``piq`` package.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,), same dtype; lower is better. RGB is
    compared by its luma (Y of YIQ), other numbers of channels one by one.

    Raises:
        OptionError: if the shapes differ or a side is shorter than six pixels.
    """
    return _by_piq("gmsd", sr, hr, _GMSD_SIDE_PX)


def dss(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the similarity of DCT sub-bands with the ``piq`` package.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,), same dtype; higher is better, 1 for
    equal images. RGB is compared by its luma (Y of YIQ), other numbers of channels one by one.

    Raises:
        OptionError: if the shapes differ or a side is shorter than 32 pixels.
    """
    return _by_piq("dss", sr, hr, _DSS_SIDE_PX)


def _by_piq(name: str, sr: Tensor, hr: Tensor, side: int) -> Tensor:
    # Imported when used: torchvision, which piq imports, takes a second.
    from monai_sr.core import import_torchvision

    import_torchvision()
    import piq

    def measure(a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = getattr(piq, name)(a, b, reduction="none", data_range=1.0)
        return result

    return color_or_grey(measure, sr, hr, side)


@register_metric(
    Measure(
        name="ssim", label="SSIM", luma_label="SSIM-Y", is_more_better=True, digits=4,
        stored_digits=5, column=2, is_always=True, side_px=WINDOW_PX,
        about="11 x 11 Gaussian window, Wang et al. (2004), doi:10.1109/TIP.2003.819861",
    )
)  # fmt: skip
class SSIMMetric(PairMetric):
    """Average the SSIM over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Images need at least 11 pixels a side inside the border, else an OptionError says so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ssim(sr, hr, data_range=self.protocol.data_range)


@register_metric(
    Measure(
        name="ms_ssim", label="MS-SSIM", is_more_better=True, digits=4, side_px=MULTISCALE_SIDE_PX,
        about="five resolutions, Wang et al. (2003), doi:10.1109/ACSSC.2003.1292216",
    )
)  # fmt: skip
class MSSSIMMetric(PairMetric):
    """Average the multi-scale SSIM over images, see :func:`monai_sr.functional.ssim.ms_ssim`.

    Images need at least 161 pixels a side inside the border, else an OptionError says so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ms_ssim(sr, hr, data_range=self.protocol.data_range)


@register_metric(
    Measure(
        name="gmsd", label="GMSD", is_more_better=False, digits=4, stored_digits=5, column=4,
        side_px=WINDOW_PX,
        about="gradient similarity deviation, Xue et al. (2014), doi:10.1109/TIP.2013.2293423",
    )
)  # fmt: skip
class GMSDMetric(PairMetric):
    """Average the GMSD over images; as key metric of an engine it needs ``metric_cmp_fn``."""

    view = View.COLORS

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return gmsd(sr, hr)


@register_metric(
    Measure(
        name="dss", label="DSS", is_more_better=True, digits=4, stored_digits=5, column=5,
        side_px=_DSS_SIDE_PX,
        about="DCT sub-band similarity, Balanov et al. (2015), doi:10.1109/ICIP.2015.7351172",
    )
)  # fmt: skip
class DSSMetric(PairMetric):
    """Average the DSS over images; see :class:`monai_sr.metrics.base.PairMetric`."""

    view = View.COLORS

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return dss(sr, hr)


SSIMHandler, MSSSIMHandler = handler_of(SSIMMetric), handler_of(MSSSIMMetric)
GMSDHandler, DSSHandler = handler_of(GMSDMetric), handler_of(DSSMetric)
