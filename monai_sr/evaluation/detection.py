"""Find lesions by observers that are formulas: a matched filter, and a detector of blobs.

The *model observer* knows signal and place exactly and must tell images with it from images without
it: a non-prewhitening matched filter with an eye filter. Anatomy is its noise. Its score is
sum(t * image), t = the signal filtered twice by the eye's transfer E(f) = f^1.3 exp(-c f^2), whose
peak is at 4 cycles a degree. How well scores of both kinds are told apart is the area under the ROC
curve (AUC: 0.5 chance, 1 always), or as distance of two Gaussians d' = sqrt(2) Phi^-1(AUC).

The *blob detector* knows no place: it marks local maxima of -s^2 times the Laplacian of a Gaussian
of standard deviation s = R / sqrt(2), which responds most to discs of radius R. With one s it is
``skimage.feature.blob_log`` (a test compares them), but gives the responses, which a threshold of
a fixed rate of marks is found from.

References:
    ICRU Report 54, 1996, Medical imaging: the assessment of image quality.
    Barrett, Myers, 2004, Foundations of image science, chapters 13 and 14.
    Burgess, 1994, Statistically defined backgrounds: performance of a modified nonprewhitening
    observer model, doi:10.1364/JOSAA.11.001237: the eye filter.
    Lindeberg, 1998, Feature detection with automatic scale selection, doi:10.1023/A:1008045108935.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError

Places = npt.NDArray[np.int64]
"""(N, 2) row and column of pixels."""
Floats = npt.NDArray[np.float64]

_EYE_POWER = 1.3
_EYE_PEAK = 4.0
"""Cycles a degree."""
BLOB_REACH = 4
"""Beyond so many standard deviations the filter of a blob is zero for all purposes."""


def eye_filter(frequency: Tensor) -> Tensor:
    """Return the eye's transfer, 1 at its peak of 4 cycles a degree, 0 for constant images.

    Args:
        frequency: in cycles a degree, any shape.
    """
    x = (frequency / _EYE_PEAK) ** 2
    return x ** (_EYE_POWER / 2) * torch.exp(_EYE_POWER / 2 * (1 - x))


def observer_template(signal: Tensor, pixel_deg: float | None) -> Tensor:
    """Return what the model observer weighs an image by.

    Shape: signal (side, side) float64, as it was inserted -> the same.

    Args:
        signal: the signal that it knows.
        pixel_deg: angle under which it sees a pixel, in degrees; None leaves the eye filter out,
            so that the template is the signal, which is best in white noise.
    """
    if pixel_deg is None:
        return signal
    frequency = torch.fft.fftfreq(len(signal), pixel_deg, dtype=torch.float64)
    eye = eye_filter(torch.hypot(frequency[:, None], frequency[None]))
    template: Tensor = torch.fft.ifft2(torch.fft.fft2(signal) * eye**2).real
    return template


def observe(image: Tensor, places: Places, template: Tensor) -> Floats:
    """Return the score of the model observer at each place.

    Shape: image (H, W) float64; template (side, side), side odd -> (N,) float64.

    Raises:
        OptionError: if a place is closer to the edge than the template reaches.
    """
    side = template.shape[0]
    reach = side // 2
    limits = np.array(image.shape) - reach
    if len(places) and ((places < reach).any() or (places >= limits).any()):
        raise OptionError(
            f"places: must be {reach} pixels or more from the edge of an image of "
            f"{tuple(image.shape)}, got some that are not; leave them out"
        )
    patches = [image[r - reach : r + reach + 1, c - reach : c + reach + 1] for r, c in places]
    scores = [float((patch * template).sum()) for patch in patches]
    return np.array(scores, dtype=np.float64)


def count_ordered(present: Floats, absent: Floats) -> float:
    """Count pairs whose score with a lesion is higher than that without; equal ones by a half.

    Divided by the number of all pairs it is the AUC (Mann and Whitney).
    """
    ordered = np.sort(absent)
    below = np.searchsorted(ordered, present, side="left")
    not_above = np.searchsorted(ordered, present, side="right")
    return float((below + not_above).sum() / 2)


def auc(present: Floats, absent: Floats) -> float:
    """Return the area under the ROC curve; NaN where one kind has no scores."""
    pairs = len(present) * len(absent)
    return count_ordered(present, absent) / pairs if pairs else math.nan


def blob_response(image: Tensor, radii_px: Sequence[float]) -> Tensor:
    """Return how much each place looks like a bright disc of some radii.

    Within ``BLOB_REACH`` * s of the edge it holds what lies at the opposite one.

    Shape: image (H, W) float64 -> (radii, H, W).
    """
    height, width = image.shape
    v = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    h = torch.fft.rfftfreq(width, dtype=torch.float64)[None]
    squares = (2 * math.pi) ** 2 * (v**2 + h**2)
    spectrum = torch.fft.rfft2(image)
    responses = []
    for radius in radii_px:
        power = radius**2 / 2 * squares
        responses.append(torch.fft.irfft2(spectrum * power * torch.exp(-power / 2), s=image.shape))
    return torch.stack(responses)


def find_marks(response: Tensor, body: Tensor) -> tuple[Places, Floats]:
    """Return the local maxima of a response within a body, and their height.

    Shape: response (H, W) floating point, body (H, W) bool -> (N, 2) and (N,).
    """
    highest = F.max_pool2d(response[None, None], 3, stride=1, padding=1)[0, 0]
    marks = torch.nonzero((response == highest) & (response > 0) & body)
    return marks.numpy(), response[marks[:, 0], marks[:, 1]].double().numpy()


def are_marked(places: Places, marks: Places, reach_px: float) -> npt.NDArray[np.bool_]:
    """Tell of each place whether a mark lies within reach."""
    if not len(marks) or not len(places):
        return np.zeros(len(places), dtype=np.bool_)
    distance, _ = cKDTree(marks).query(places, distance_upper_bound=reach_px + 1e-9)
    return np.asarray(np.isfinite(distance))
