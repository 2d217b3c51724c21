"""Measure how well a result keeps the spectrum of a scene: SAM and ERGAS, band against band.

References:
    Yuhas, Goetz, Boardman (1992), Discrimination among semi-arid landscape endmembers using the
    spectral angle mapper (SAM) algorithm, JPL Airborne Geoscience Workshop.
    Wald (2000), Quality of high resolution synthesised images: is there a simple criterion?,
    Fusion of Earth Data, p. 99 (ERGAS).
"""

import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.metrics.base import PairMetric, View, handler_of
from monai_sr.metrics.measures import Measure, register_metric


def sam(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the mean angle between spectra, in degrees; lower is better, 0 for equal spectra.

    A brighter or darker pixel of the same hue has the angle 0. Where one of both is black in every
    band there is no angle: such pixels are left out.

    Shape: sr, hr (N, C, H, W), C at least 2 -> (N,) float64; NaN where no pixel has an angle.

    Raises:
        OptionError: if the shapes differ or there is one band only.
    """
    if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] < 2:
        raise OptionError(
            f"sr: must be (N, C, H, W) with at least two bands, of the shape of hr "
            f"{tuple(hr.shape)}, got {tuple(sr.shape)}; one band has no spectrum"
        )
    a, b = sr.double(), hr.double()
    product = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    cosine = (a * b).sum(dim=1) / product
    angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    return torch.where(product > 0, angle, torch.nan).flatten(1).nanmean(1)


def ergas(sr: Tensor, hr: Tensor, scale: int) -> Tensor:
    """Compute 100 / scale · sqrt(mean over bands of (RMSE / mean)²); lower is better.

    Below 3 counts as good. It does not depend on the units of the bands.

    Shape: sr, hr (N, C, H, W) -> (N,) float64; NaN where a band of the reference averages zero.

    Raises:
        OptionError: if the shapes differ.
    """
    if sr.shape != hr.shape or sr.ndim != 4:
        raise OptionError(
            f"sr: must be (N, C, H, W) of the shape of hr {tuple(hr.shape)}, got {tuple(sr.shape)}"
        )
    a, b = sr.double().flatten(2), hr.double().flatten(2)
    relative = ((a - b) ** 2).mean(2) / b.mean(2) ** 2
    result = 100 / scale * relative.mean(1).sqrt()
    return torch.where(torch.isfinite(result), result, torch.nan)


@register_metric(
    Measure(
        name="sam", label="SAM", unit="degrees", is_more_better=False, digits=3, channels=2,
        about="mean angle between spectra, Yuhas et al. (1992)",
    )
)  # fmt: skip
class SAMMetric(PairMetric):
    """Average the spectral angle over images; see :func:`sam`."""

    view = View.COLORS

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return sam(sr, hr)


@register_metric(
    Measure(
        name="ergas", label="ERGAS", is_more_better=False, digits=3,
        about="100 / scale · sqrt(mean (RMSE / mean)²), Wald (2000)",
    )
)  # fmt: skip
class ERGASMetric(PairMetric):
    """Average ERGAS over images; see :func:`ergas`."""

    view = View.COLORS

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ergas(sr, hr, self.scale)


SAMHandler, ERGASHandler = handler_of(SAMMetric), handler_of(ERGASMetric)
