"""Measure sharpness by a slanted edge: the transfer of contrast, and MTF50.

An edge that is slanted against the pixel grid passes at every place within a pixel, so that its
pixels, sorted by their distance from it, sample its profile several times finer than the grid. The
derivative of the profile is the line spread, whose Fourier transform is the transfer function.

The edge may be the result of anything, also of a network: what is measured then is how that network
answers to this edge at this contrast, not a transfer function that would hold for other structure.

Differs from ISO 12233: the edge is found by least squares over all pixels, not by the centroid of
each row, which noise moves; the averaging of a bin is corrected as the derivative is.

References:
    ISO 12233:2017, Photography - Electronic still picture imaging - Resolution and spatial
    frequency responses, clause 6 and annex D (slanted edge, bins of a quarter of a pixel, Hamming
    window, correction of the derivative).
    P. D. Burns, 2000, Slanted-edge MTF for digital camera and scanner analysis, IS&T PICS, 135-138.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf
from torch import Tensor

from monai_sr.core import BadImageError, OptionError

DEGREES = 5.0
"""Angle between the edge and the columns, as in the charts of the standard."""
_BINS_PER_PX = 4
_PADDING = 8  # frequencies are that many times denser than the window asks for
_STEEPEST = math.tan(math.radians(20))
_OUTER = 0.1  # share of the columns at each side that show the levels
_BLUR_PX = 1.5  # from which the fit starts
_SHARPEST_PX = 0.1
Values = NDArray[np.float64]


class EdgeResponse(NamedTuple):
    """Hold the transfer across an edge.

    Attributes:
        frequency: in cycles a pixel of the image, along the normal of the edge; (K,) float64, from
            0 to 1.
        transfer: share of contrast that is left, 1 at frequency 0; (K,) float64.
    """

    frequency: Tensor
    transfer: Tensor


def slanted_edge(
    side_px: int, *, degrees: float = DEGREES, low: float = 0.3, high: float = 0.7
) -> Tensor:
    """Draw a straight edge through the middle of a square, dark on the left.

    Pixels hold the exact mean over their area, so that the transfer is that of the pixels alone.

    Shape: -> (side_px, side_px) float64.

    Args:
        side_px: of the square.
        degrees: between the edge and the columns, more than 0 and less than 45.
        low: value on the left.
        high: value on the right.

    Raises:
        OptionError: if the angle is out of these limits.
    """
    if not 0 < degrees < 45:
        raise OptionError(f"degrees: must lie between 0 and 45, got {degrees:g}")
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    place = torch.arange(side_px, dtype=torch.float64) - (side_px - 1) / 2
    distance = c * place[None] + s * place[:, None]
    wide, narrow = (c + s) / 2, (c - s) / 2

    def ramp(x: Tensor) -> Tensor:
        return x.clamp(min=0) ** 2 / 2

    # A square seen along the edge is a trapezoid; this is the part of it beyond the edge.
    covered = ramp(distance + wide) - ramp(distance + narrow) - ramp(distance - narrow)
    covered = (covered + ramp(distance - wide)) / (c * s)
    return low + (high - low) * covered


def edge_response(image: Tensor, *, reach_px: float | None = None) -> EdgeResponse:
    """Measure the transfer across one nearly vertical edge.

    Shape: image (H, W), any range; the edge runs from the first to the last row.

    Args:
        image: shows the edge and nothing else. Noise is averaged along the edge.
        reach_px: half width of the profile that is used, in pixels; more than the blur, less than
            the distance from the edge to the next side. By default all that every row has.

    Raises:
        BadImageError: if there is no such edge, or too little of it.
    """
    values = image.detach().cpu().double().numpy()
    if values.ndim != 2 or min(values.shape) < 2 * _BINS_PER_PX:
        raise BadImageError(
            f"image: must be (H, W) with sides of at least {2 * _BINS_PER_PX} pixels, got "
            f"{tuple(values.shape)}; give one channel of one image"
        )
    offset, slope = _edge_line(values)
    rows, columns = (np.arange(n, dtype=np.float64) for n in values.shape)
    crossing = offset + slope * (rows - rows.mean())
    cosine = 1 / math.hypot(1, slope)
    distance = (columns[None] - crossing[:, None]) * cosine
    room = min(crossing.min(), values.shape[1] - 1 - crossing.max()) * cosine
    reach = math.floor(room) if reach_px is None else reach_px
    if not 1 <= reach <= room:
        raise BadImageError(
            f"image: must show {max(reach, 1):g} pixels on both sides of the edge in every row, "
            f"got {room:.1f}; give a wider image or a smaller reach_px"
        )
    return _transfer(_profile(values, distance, reach))


def mtf50(response: EdgeResponse) -> float:
    """Return where the transfer first falls to one half; higher is sharper.

    An ideal edge on ideal pixels has 0.60; sharpening that overshoots raises it beyond.

    Args:
        response: of :func:`edge_response`.

    Returns:
        Cycles a pixel of the image that was measured; NaN where the transfer stays above.
    """
    frequency, transfer = (part.numpy() for part in response)
    below = np.flatnonzero(transfer < 0.5)
    if not len(below):
        return math.nan
    right = int(below[0])
    left = right - 1
    share = (transfer[left] - 0.5) / (transfer[left] - transfer[right])
    return float(frequency[left] + share * (frequency[right] - frequency[left]))


def _edge_line(values: Values) -> tuple[float, float]:
    """Return where the edge crosses the middle row, and how it moves from row to row."""
    height, width = values.shape
    outer = max(1, round(_OUTER * width))
    low, high = values[:, :outer].mean(), values[:, -outer:].mean()
    contrast = high - low
    noise = max(values[:, :outer].std(), values[:, -outer:].std())
    if not np.isfinite(contrast) or abs(contrast) <= 4 * noise / math.sqrt(height) + 1e-9:
        raise BadImageError(
            "image: must show a nearly vertical edge from the first to the last row, got none; "
            "turn it, or cut it out"
        )
    # The sum of a row tells how much of it is beyond the edge.
    rows = np.arange(height) - (height - 1) / 2
    share = (values - low) / contrast
    first = width - 0.5 - share.sum(1)
    slope, offset = np.polyfit(rows, first, 1)
    fitted = _fitted(share, rows, [offset, slope, _BLUR_PX])
    if abs(fitted[1]) > _STEEPEST or not 0 < fitted[0] < width - 1:
        raise BadImageError(
            f"image: its edge must be less than 20 degrees from the columns, got "
            f"{math.degrees(math.atan(abs(fitted[1]))):.0f}; turn it"
        )
    return float(fitted[0]), float(fitted[1])


def _fitted(share: Values, rows: Values, start: list[float]) -> Values:
    """Fit a straight edge with a Gaussian blur to values from 0 to 1: offset, slope and blur."""
    columns = np.arange(share.shape[1])[None]

    def placed(given: Values) -> tuple[Values, float]:
        at, lean, blur = given
        blur = max(abs(blur), _SHARPEST_PX)
        return (columns - at - lean * rows[:, None]) / (math.sqrt(2) * blur), blur

    def misfit(given: Values) -> Values:
        place, _ = placed(given)
        return np.asarray((1 + erf(place)) / 2 - share).ravel()

    def slopes(given: Values) -> Values:
        place, blur = placed(given)
        density = np.exp(-(place**2)) / (math.sqrt(2 * math.pi) * blur)
        parts = (-density, -density * rows[:, None], -density * math.sqrt(2) * place)
        return np.stack([part.ravel() for part in parts], 1)

    found: Values = least_squares(misfit, start, jac=slopes, method="lm").x
    return found


def _profile(values: Values, distance: Values, reach: float) -> Values:
    """Return the profile at every quarter of a pixel from -reach to reach: means over as much.

    The pixels of a bin lie not evenly in it: the mean stands where they lie on average.
    """
    bins = 2 * math.floor(reach * _BINS_PER_PX)
    index = np.floor(distance * _BINS_PER_PX).astype(np.int64) + bins // 2
    inside = (index >= 0) & (index < bins)
    counts = np.bincount(index[inside], minlength=bins)
    if not counts.all():
        raise BadImageError(
            "image: its edge must pass at every quarter of a pixel, got gaps; give more rows, or "
            "an edge at another angle, such as 5 degrees"
        )
    places, means = (
        np.bincount(index[inside], part[inside], minlength=bins) / counts
        for part in (distance, values)
    )
    centers = (np.arange(bins) - bins // 2 + 0.5) / _BINS_PER_PX
    return np.interp(centers, places, means)


def _transfer(profile: Values) -> EdgeResponse:
    spread = np.diff(profile) * np.hamming(len(profile) - 1)
    count = _PADDING * len(spread)
    frequency = np.fft.rfftfreq(count, 1 / _BINS_PER_PX)
    magnitude = np.abs(np.fft.rfft(spread, count))
    shown = frequency <= 1
    # Both the mean over a bin and the difference of two bins dampen by sinc(f / 4).
    damped = np.sinc(frequency / _BINS_PER_PX) ** 2
    transfer = magnitude / magnitude[0] / damped
    return EdgeResponse(torch.from_numpy(frequency[shown]), torch.from_numpy(transfer[shown]))
