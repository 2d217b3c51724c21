"""Judge a super-resolved scene as opensr-test does: is it consistent, does it add what is there?

Consistency compares the result, brought back to the input's grid, with the input: reflectance,
spectrum and place. Synthesis is how much was added. Correctness tells what was added apart:
improvement (as in the reference), hallucination (like neither), omission (as in the input), each a
share; they sum to one.

Differs from the package: the place is searched by scikit-image's phase correlation to a hundredth
of a pixel under a Hann window, and results are not moved onto the reference before synthesis and
correctness, for here they share its grid by construction. All else is equal to rounding (measured:
docs/results.md), synthesis and correctness to its option ``harm_apply_spatial=False``.

References:
    Aybar, Montero, Donike, Kalaitzis, Gómez-Chova (2024), A comprehensive benchmark for optical
    remote sensing image super-resolution, doi:10.1109/LGRS.2024.3401394; definitions as in the
    package opensr-test with the configuration of its commit 01ff993: distances by pixel, L1 for
    reflectance and synthesis, normalized difference for correctness with softmin 0.25 and weights
    0.05, border 16, pixels above the third quartile.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError
from monai_sr.metrics.base import Comparison, PairMetric, handler_of
from monai_sr.metrics.measures import Measure, register_metric
from monai_sr.metrics.protocol import make_lr, to_stored
from monai_sr.metrics.spectral import sam

BORDER_PX = 16
SMALLEST_SIDE_PX = 2 * BORDER_PX + 32
"""Below this too little is left inside the border to find a shift in."""
_QUARTILE = 0.75
_WEIGHT = 0.05
_TEMPERATURE = 0.25
_EPSILON = 1e-8
_UPSAMPLING = 100
"""A shift is found to a hundredth of a pixel."""


class OpenSR(NamedTuple):
    """Hold the figures of one image.

    Attributes:
        reflectance: mean |LR - SR made small|; lower is better.
        spectral: mean angle between their spectra in degrees; lower is better; NaN for one band.
        spatial: shift between them in LR pixels; lower is better.
        synthesis: mean |SR - LR made large|; higher is more added detail.
        hallucination: share of added detail like neither reference nor input; lower is better.
        omission: share of missing detail; lower is better.
        improvement: share of added detail that is in the reference; higher is better.
    """

    reflectance: float
    spectral: float
    spatial: float
    synthesis: float
    hallucination: float
    omission: float
    improvement: float


def opensr(sr: Tensor, hr: Tensor, lr: Tensor) -> OpenSR:
    """Compute all figures of one image.

    Shape: sr, hr (C, H, W), lr (C, H / scale, W / scale) in [0, 1] (reflectance).

    Raises:
        OptionError: if the shapes do not belong together, or a side is shorter than 64 pixels.
    """
    scale = hr.shape[-1] // lr.shape[-1]
    fits = hr.shape == (lr.shape[0], lr.shape[1] * scale, lr.shape[2] * scale) == sr.shape
    if not fits or min(hr.shape[1:]) < SMALLEST_SIDE_PX:
        raise OptionError(
            f"sr: result and reference must be a whole multiple of lr {tuple(lr.shape)} with sides "
            f"of at least {SMALLEST_SIDE_PX} pixels, got {tuple(sr.shape)} and {tuple(hr.shape)}"
        )
    low = BORDER_PX // scale
    lr = lr.double()[:, low:-low, low:-low] if low else lr.double()
    cut = low * scale
    sr, hr = (x.double()[:, cut : x.shape[1] - cut, cut : x.shape[2] - cut] for x in (sr, hr))
    back = _resized(sr, 1 / scale)
    large = _resized(lr, scale)
    harmonized = _matched(sr, hr)
    hallucination, omission, improvement = _correctness(large, harmonized, hr)
    return OpenSR(
        reflectance=float((lr - back).abs().mean()),
        spectral=float(sam(back[None], lr[None])) if len(lr) > 1 else float("nan"),
        spatial=_shift(lr, back),
        synthesis=float((large - harmonized).abs().mean()),
        hallucination=hallucination,
        omission=omission,
        improvement=improvement,
    )


def _resized(image: Tensor, factor: float) -> Tensor:
    return F.interpolate(
        image[None], scale_factor=factor, mode="bilinear", antialias=True, align_corners=False
    )[0]


def _matched(sr: Tensor, hr: Tensor) -> Tensor:
    """Give the result the histogram of the reference: a shift of brightness is no detail."""
    # Imported when used: scikit-image takes a second.
    from skimage.exposure import match_histograms

    matched = match_histograms(sr.cpu().numpy(), hr.cpu().numpy(), channel_axis=0)
    return torch.from_numpy(np.ascontiguousarray(matched)).to(sr)


def _shift(lr: Tensor, back: Tensor) -> float:
    from skimage.filters import window
    from skimage.registration import phase_cross_correlation

    bands = [image[:3].mean(0).cpu().numpy() for image in (lr, back)]
    if min(band.std() for band in bands) == 0:
        return float("nan")
    # Without a window the edges, which do not move, pull the shift of a small image to zero.
    make_window: Any = window
    search: Any = phase_cross_correlation
    taper = make_window("hann", bands[0].shape)
    bands = [(band - band.mean()) * taper for band in bands]
    shift = search(*bands, upsample_factor=_UPSAMPLING)[0]
    return float(np.hypot(*shift))


def _correctness(large: Tensor, sr: Tensor, hr: Tensor) -> tuple[float, float, float]:
    reference, improving, omitting = (
        _difference(a, b) for a, b in ((large, hr), (sr, hr), (sr, large))
    )
    threshold = reference.flatten().kthvalue(max(int(_QUARTILE * reference.numel()), 1)).values
    judged = torch.stack([reference, improving, omitting]).amax(0) > threshold
    if not bool(judged.any()):
        return (float("nan"),) * 3
    # Where input and reference agree exactly, all that was added is invented.
    d_ref = reference[judged].clamp(min=_EPSILON)
    d_im, d_om = improving[judged] / d_ref, omitting[judged] / d_ref
    excess = 1 - torch.exp(-(d_im + d_om - 1) * _WEIGHT)
    distances = torch.stack(
        [
            torch.exp(-d_im * d_om * _WEIGHT),
            d_om + d_im * excess,
            d_im + d_om * excess,
        ]
    )
    shares = torch.softmax(-distances / _TEMPERATURE, dim=0).mean(1)
    hallucination, omission, improvement = shares.tolist()
    return hallucination, omission, improvement


def _difference(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b).abs() / (a + b + _EPSILON).abs()).mean(0)


def _figure(name: str, is_more_better: bool | None, unit: str = "", channels: int = 1) -> Measure:
    return Measure(
        name=f"opensr_{name}",
        label=name,
        variant="opensr",
        unit=unit,
        is_more_better=is_more_better,
        digits=4,
        side_px=SMALLEST_SIDE_PX,
        channels=channels,
        options={"figure": name},
        about="opensr-test, Aybar et al. (2024), doi:10.1109/LGRS.2024.3401394",
    )


@register_metric(
    _figure("reflectance", False),
    _figure("spectral", False, "degrees", channels=2),
    _figure("spatial", False, "LR pixels"),
    _figure("synthesis", None),
    _figure("hallucination", False),
    _figure("omission", False),
    _figure("improvement", True),
)
class OpenSRMetric(PairMetric):
    """Average one figure of opensr-test over images; the input is made from the reference.

    It looks at every channel of the whole image in [0, 1] and leaves out a border of its own.

    Args:
        *args: as of every metric here.
        figure: a field of :class:`OpenSR`.
        **kwargs: as of every metric here.
    """

    def __init__(self, *args: Any, figure: str = "hallucination", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if figure not in OpenSR._fields:
            raise OptionError(f"figure: must be one of {', '.join(OpenSR._fields)}, got {figure!r}")
        self.figure = figure

    def _prepare(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        return sr, hr

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        lr = make_lr(hr, self.scale, self.protocol)
        figures = [getattr(opensr(*parts), self.figure) for parts in zip(sr, hr, lr, strict=True)]
        return torch.tensor(figures, dtype=torch.float64)

    def compare(self, comparison: Comparison) -> float:
        """Compute the figure with the input that the system was given; all are made at once."""

        def measure() -> OpenSR:
            images = (comparison.sr, comparison.hr, comparison.lr)
            stored = (to_stored(image, self.protocol)[0] for image in images)
            return opensr(*(image / self.protocol.data_range for image in stored))

        return float(getattr(comparison.once(OpenSR, measure), self.figure))


OpenSRHandler = handler_of(OpenSRMetric)
