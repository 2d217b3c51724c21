"""Says how wide the interval of uncertainty of a result is, also where its input is degraded.

The interval is a conformal one, scaled by the spread of eight views (Lei et al. 2018, section 5.2,
doi:10.1080/01621459.2017.1307116; of images Angelopoulos et al. 2022, arXiv:2202.05265): the factor
is the quantile of errors of images whose truth is known. Errors grow slower than the spread, as its
square root. Where all views agree the truth still has noise and texture that no view shows, so the
spread has a floor (Papadopoulos and Haralambous 2011, doi:10.1016/j.neunet.2011.05.008), a share of
the root mean square spread of the median calibration image, or of this one if that is larger:

    plain = factor (spread^2 + floor^2)^(power / 2)

The spread grows with noise, but not where an input is blurred: a smooth image is the same to all
views, and the detail that it has lost is missing in each. So the interval widens by what is
measured in the input, noise and a lack of detail, each beyond what clean images have:

    half width^2 = plain^2 + (g noise)^2 + (a lack activity)^2

``activity`` is the standard deviation of the result in a window of five input pixels: what was lost
lies where something is left. ``benchmarks/fit_uncertainty.py`` fits factor and floor on clean
images, ``benchmarks/fit_widening.py`` g and a on degraded ones; both keep them in a bundle's
``metadata.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from monai_sr.core import OptionError, PathLike, weights_sha256
from monai_sr.functional import block_places, detail_frequency, measure_quality

Array = npt.NDArray[np.floating[Any]]

COVERAGE = 0.9

_SLICES = 5  # of a volume, evenly placed
_WINDOW_PX = 5  # of the input
_ENDS = (1.0, 99.0)  # percent, as of measure_quality


@dataclass(frozen=True)
class Reading:
    """What was measured in an input.

    Attributes:
        noise: standard deviation of each channel's noise, in [0, 1] as the network sees it; NaN
            where it cannot be told.
        detail: frequency of the finest detail in cycles a pixel, see
            :func:`monai_sr.functional.detail_frequency`; likewise.
    """

    noise: tuple[float, ...]
    detail: float

    @property
    def loudest(self) -> float:
        """Noise of the channel that has most; NaN where none tells."""
        told = [noise for noise in self.noise if not math.isnan(noise)]
        return max(told, default=math.nan)


def read_input(image: Array, valid: npt.NDArray[np.bool_] | None = None, axis: int = -1) -> Reading:
    """Measure an input as the network sees it.

    Shape: image (C, X, Y[, Z]) in [0, 1].

    Args:
        image: the input.
        valid: of its shape, or of one channel: which pixels are measurements; None: all.
        axis: across the slices of a volume, among X, Y, Z.
    """
    known = np.broadcast_to(np.isfinite(image) if valid is None else valid, image.shape)
    blocks: list[Array] = []
    masks: list[npt.NDArray[np.bool_]] = []
    for plane, mask in zip(_slices(image, axis), _slices(known, axis), strict=True):
        for x, y in block_places(*plane.shape[1:]):
            blocks.append(plane[:, x, y])
            masks.append(mask[:, x, y])
    channels = range(image.shape[0])
    if not blocks:
        return Reading(tuple(math.nan for _ in channels), math.nan)
    noise = tuple(_noise([b[c] for b in blocks], [m[c] for m in masks]) for c in channels)
    return Reading(noise, detail_frequency(blocks, noise, masks))


def _slices(volume: npt.NDArray[Any], axis: int) -> list[npt.NDArray[Any]]:
    if volume.ndim < 4:
        return [volume]
    count = volume.shape[axis + 1 if axis >= 0 else -1]
    places = np.unique(np.linspace(0, count - 1, _SLICES + 2).round().astype(int)[1:-1])
    return [volume.take(place, axis + 1 if axis >= 0 else -1) for place in places]


def _noise(blocks: Sequence[Array], masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    told = np.concatenate([b[m] for b, m in zip(blocks, masks, strict=True)])
    if not told.size:
        return math.nan
    low, high = np.percentile(told, _ENDS)
    found = measure_quality([b[None] for b in blocks], [m[None] for m in masks])
    return found.noise * float(high - low)


@dataclass(frozen=True)
class Widening:
    """How the interval of a bundle's weights widens, and from which readings on.

    As it stands it does not widen: the half width is factor times spread.

    Args:
        power: of the spread in the half width of clean images.
        floor: the least spread of a pixel, in [0, 1].
        floor_share: of the image's root mean square spread, likewise the least; the larger counts.
        noise_gain: g, half width for each unit of noise beyond ``clean_noise``.
        clean_noise: standard deviation in [0, 1] up to which noise is that of clean images.
        detail_gain: a, see the module.
        clean_detail: cycles a pixel down to which detail is that of clean images.
        holds: share of the values of degraded images that lay within the widened interval, by
            gains that were fitted on others.
        held: share of them within the interval that is not widened.
    """

    power: float = 1.0
    floor: float = 0.0
    floor_share: float = 0.0
    noise_gain: float = 0.0
    clean_noise: float = math.inf
    detail_gain: float = 0.0
    clean_detail: float = 0.0
    holds: float = math.nan
    held: float = math.nan

    def plain(self, factor: float, spread: Array) -> npt.NDArray[np.float64]:
        """Return the half width of the interval of a clean image.

        Shape: spread (C, X, Y[, Z]) in [0, 1] -> the same.

        Args:
            factor: half width for a spread of 1.
            spread: standard deviation of the views.
        """
        squares = np.square(spread, dtype=np.float64)
        if self.floor or self.floor_share:
            own = squares.mean(axis=tuple(range(1, squares.ndim)), keepdims=True)
            squares += np.maximum(self.floor_share**2 * own, self.floor**2)
        return np.asarray(factor * squares ** (self.power / 2))

    def noise_beyond(self, reading: Reading) -> npt.NDArray[np.float64]:
        """Return the noise of each channel beyond that of clean images."""
        noise = np.nan_to_num(np.asarray(reading.noise, dtype=np.float64))
        return np.asarray(np.sqrt(np.maximum(noise**2 - self.clean_noise**2, 0.0)))

    def lack(self, reading: Reading) -> float:
        """Return which share of clean images' fine detail is missing: 0 for none, up to 1."""
        if math.isnan(reading.detail) or self.clean_detail <= 0:
            return 0.0
        share = math.tan(math.pi * reading.detail) / math.tan(math.pi * self.clean_detail)
        return max(1 - share, 0.0)

    def is_beyond(self, reading: Reading) -> bool:
        """Tell whether the interval is widened."""
        return bool(self.noise_beyond(reading).any()) or self.lack(reading) > 0

    def __call__(
        self, half_width: Array, result: Array, reading: Reading, scale: float, axis: int = -1
    ) -> Array:
        """Widen an interval; where nothing was found in the input, it stays what it is.

        Shape: half_width, result (C, X, Y[, Z]) in [0, 1] -> the same.

        Args:
            half_width: that of a clean image, see :meth:`plain`.
            result: what the interval is about.
            reading: of its input.
            scale: of the enlargement.
            axis: across the slices of a volume, among X, Y, Z.
        """
        if not self.is_beyond(reading):
            return half_width
        squares = np.square(half_width, dtype=np.float64)
        noise = self.noise_gain * self.noise_beyond(reading)
        squares += (noise**2).reshape(-1, *[1] * (squares.ndim - 1))
        lack = self.detail_gain * self.lack(reading)
        if lack:
            squares += (lack * activity(result, scale, axis)) ** 2
        return np.asarray(np.sqrt(squares))

    def told(self, reading: Reading) -> str:
        """Say what was found beyond clean images, and what it does to the interval; else ""."""
        if math.isnan(reading.loudest) and math.isnan(reading.detail):
            return "too small or too even to be measured: the interval is that of clean input"
        found = []
        if self.noise_beyond(reading).any():
            found.append(f"noise {reading.loudest:.4f} (clean input: up to {self.clean_noise:.4f})")
        if self.lack(reading) > 0:
            found.append(
                f"finest detail {reading.detail:.3f} cycles a pixel (clean input: from "
                f"{self.clean_detail:.3f})"
            )
        if not found:
            return ""
        beyond = ", ".join(found)
        if not (self.noise_gain or self.detail_gain):
            told = f": on such images the interval held {self.held:.0%} of the values"
            held = "" if math.isnan(self.held) else told
            return beyond + held
        return (
            f"{beyond}: the interval is wider for it; on such images it held {self.holds:.0%} of "
            f"the values, without that {self.held:.0%}"
        )


def activity(result: Array, scale: float, axis: int = -1) -> npt.NDArray[np.float64]:
    """Return the standard deviation around each pixel, within slices.

    Shape: result (C, X, Y[, Z]), any range -> the same.
    """
    side = 2 * round(_WINDOW_PX * scale / 2) + 1
    across = axis + 1 if axis >= 0 else result.ndim - 1
    sides = [
        1 if a == 0 or (result.ndim == 4 and a == across) else side for a in range(result.ndim)
    ]
    values = np.asarray(result, dtype=np.float64)
    mean = uniform_filter(values, sides)
    return np.asarray(np.sqrt(np.maximum(uniform_filter(values**2, sides) - mean**2, 0.0)))


def interval_widening(metadata: PathLike, scale: float, enabled: bool = True) -> Widening:
    """Return how wide the interval of a bundle's own weights is, as far as that was fitted.

    Args:
        metadata: ``metadata.json`` of the bundle.
        scale: factor of the enlargement.
        enabled: whether intervals are asked for.
    """
    if not enabled:
        return Widening()
    entry = json.loads(Path(metadata).read_text(encoding="utf-8")).get("uncertainty", {})
    fitted: Mapping[str, Any] = entry.get("widening", {}).get(f"{scale:g}", {})
    return Widening(**{name: float(value) for name, value in fitted.items()})


def interval_factor(
    metadata: PathLike,
    weights: PathLike | None,
    scale: float,
    enabled: bool = True,
    consistency: int = 2,
    others: Sequence[object] = (),
    overshoot: float = math.inf,
) -> float:
    """Return the factor for a bundle's own weights.

    Args:
        metadata: ``metadata.json`` of the bundle.
        weights: weights file in use; None where nothing was learned.
        scale: factor of the enlargement.
        enabled: whether it is asked for at all.
        consistency: back-projection steps.
        others: further choices that change results, each false where it was not made.
        overshoot: margin around the local range of the input; infinite for none.

    Returns:
        The factor; 0 where it is not asked for.

    Raises:
        OptionError: the factor was fitted for other weights, or for none.
    """
    if not enabled:
        return 0.0
    entry = json.loads(Path(metadata).read_text(encoding="utf-8")).get("uncertainty", {})
    factor = entry.get("factors", {}).get(f"{scale:g}")
    own = weights is not None and weights_sha256(weights) == entry.get("weights_sha256")
    margin = None if overshoot == math.inf else overshoot  # infinity is no JSON
    # What was fitted before margins were written down is taken at its word.
    fitted = (entry.get("consistency"), entry.get("overshoot", margin))
    if factor is None or not own or (consistency, margin) != fitted or any(others):
        raise OptionError(
            "uncertainty: its interval was not fitted for these weights and options; leave "
            "--uncertainty out, or fit it with benchmarks/fit_uncertainty.py"
        )
    return float(factor)
