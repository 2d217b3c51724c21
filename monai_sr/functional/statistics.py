"""A few plain numbers that tell what kind of image it is: light, contrast, sharpness, noise."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

SMALLEST_SIDE = 8
"""Below this side a spectrum and its noise mean nothing."""
_LARGEST_SIDE = 2048  # the middle of a larger plane speaks for it
_HIGH = 0.25  # cycles per pixel: half of what the sampling can hold


def image_statistics(image: npt.ArrayLike) -> dict[str, float]:
    """Measure one image, as a network would get it.

    - ``mean`` and ``contrast``: mean and standard deviation of all values.
    - ``high_frequency``: share of the power of the spectrum above a quarter cycle per pixel, the
      mean removed and a Hann window applied; mean of the channels. Blur lowers it, noise raises it.
    - ``noise``: standard deviation of white noise by the median absolute deviation of the finest
      diagonal wavelet details; mean of the channels.

    Shape: image (C, H, W), values in [0, 1], sides of at least ``SMALLEST_SIDE``.

    References:
        Donoho, Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage,
        doi:10.1093/biomet/81.3.425 (noise, by scikit-image).
    """
    from skimage.restoration import estimate_sigma

    estimate: Callable[..., list[float]] = estimate_sigma
    planes = _middle(np.asarray(image, dtype=np.float64))
    contrast = float(planes.std())
    # The estimate ignores details that are exactly zero: of a constant nothing would be left.
    noise = 0.0
    if contrast > 0:
        noise = float(np.nan_to_num(np.mean(estimate(planes, channel_axis=0))))
    return {
        "mean": float(planes.mean()),
        "contrast": contrast,
        "high_frequency": float(np.mean([_high_frequency(plane) for plane in planes])),
        "noise": noise,
    }


def _middle(planes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    starts = [max(side - _LARGEST_SIDE, 0) // 2 for side in planes.shape[1:]]
    top, left = starts
    return planes[:, top : top + _LARGEST_SIDE, left : left + _LARGEST_SIDE]


def _high_frequency(plane: npt.NDArray[np.float64]) -> float:
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in plane.shape))
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * window)) ** 2
    # Columns between the first and that of the highest frequency stand for two.
    twice = slice(1, (plane.shape[1] + 1) // 2)
    power[:, twice] *= 2
    rows, columns = np.fft.fftfreq(plane.shape[0]), np.fft.rfftfreq(plane.shape[1])
    is_high = np.hypot(rows[:, None], columns[None]) > _HIGH
    total = float(power.sum())
    return float(power[is_high].sum()) / total if total > 0 else 0.0
