"""The stationary (undecimated) wavelet transform: bands of detail on the grid of the image.

An image is filtered along both axes with a low-pass and a high-pass filter and not decimated; the
next level filters the low band again, its taps twice as far apart. The low-pass filter adds up to
one, so that the low band keeps the image's values; otherwise values and alignment are those of
``pywt.swt2``. At the edges the image is mirrored, not wrapped around.

References:
    Nason and Silverman (1995), The stationary wavelet transform and some statistical applications,
    doi:10.1007/978-1-4612-2544-7_17.
    Korkmaz, Tekalp, Dogan (2024), Training generative image super-resolution models by wavelet-
    domain losses enables better control of artifacts, arXiv:2402.19215.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from monai_sr.core import OptionError, unknown_name

BANDS = ("LL", "LH", "HL", "HH")
"""Low or high frequencies along the rows' axis H (first letter) and along W (second)."""


def stationary_wavelet(image: Tensor, wavelet: str = "sym7", levels: int = 1) -> list[Tensor]:
    """Divide an image into bands, level by level, from the finest.

    Shape: image (N, C, H, W) floating point, any range -> per level (N, 4, C, H, W), same dtype,
    axis 1 as :data:`BANDS`.

    Args:
        image: what to divide.
        wavelet: an orthogonal or biorthogonal wavelet of PyWavelets: "haar", "db2", "sym7", ...
        levels: how many times the low band is divided.

    Raises:
        OptionError: if the wavelet is unknown, ``levels`` is not positive or the image is too small
            to be mirrored.
    """
    if levels < 1:
        raise OptionError(f"levels: must be at least 1, got {levels}")
    smallest = smallest_side(wavelet, levels)
    if min(image.shape[-2:]) < smallest:
        raise OptionError(
            f"image: needs at least {smallest} pixels a side for {levels} levels of {wavelet}, "
            f"got {tuple(image.shape[-2:])}; use a larger patch or a shorter wavelet"
        )
    n, c, h, w = image.shape
    low, result = image, []
    with torch.autocast(image.device.type, enabled=False):
        for level in range(levels):
            down = torch.as_tensor(_matrices(wavelet, h, 2**level)).to(image)
            across = torch.as_tensor(_matrices(wavelet, w, 2**level)).to(image)
            rows = torch.matmul(down[:, None, None], low)
            bands = torch.matmul(rows[:, None], across.mT[:, None, None])
            result.append(bands.reshape(4, n, c, h, w).transpose(0, 1))
            low = bands[0, 0]
    return result


def high_bands(image: Tensor, wavelet: str = "sym7", levels: int = 1) -> Tensor:
    """Return the bands of detail as channels: what a discriminator of texture looks at.

    Shape: image (N, C, H, W) floating point, any range -> (N, 3 * levels * C, H, W), same dtype,
    around zero: for each level, from the finest, LH, HL and HH of all channels.

    Raises:
        OptionError: as :func:`stationary_wavelet`.
    """
    divided = stationary_wavelet(image, wavelet, levels)
    return torch.cat([bands[:, 1:].flatten(1, 2) for bands in divided], dim=1)


def smallest_side(wavelet: str, levels: int) -> int:
    """Return the smallest image side, in pixels, that a wavelet can divide so often."""
    reach: int = len(_taps(wavelet)[0]) // 2 * 2 ** (levels - 1)
    return reach + 1


@lru_cache(maxsize=16)
def _matrices(wavelet: str, size: int, spacing: int) -> np.ndarray:
    """Return the low-pass and the high-pass filtering of one axis, (2, size, size).

    At the size of a training patch a product with a dense matrix takes a quarter of the time of a
    depth-wise convolution, and the mirrored edges are part of it.
    """
    taps = np.array(_taps(wavelet))
    length = taps.shape[1]
    # pywt's alignment: sample n of a band is the sum over k of taps[k] * image[n + length / 2 - k].
    reach = (length // 2 - np.arange(length)) * spacing
    place = np.arange(size)[:, None]
    source = np.abs(place + reach)
    source = np.where(source >= size, 2 * (size - 1) - source, source)
    matrices = np.zeros((2, size, size))
    for matrix, weights in zip(matrices, taps, strict=True):
        # Near an edge several taps fall on one sample: they add up.
        np.add.at(matrix, (place, source), weights)
    return matrices


@lru_cache(maxsize=16)
def _taps(name: str) -> tuple[list[float], list[float]]:
    """Return the low-pass and the high-pass filter of the analysis, of even length."""
    import pywt  # imported when used: few networks and losses need it

    known = pywt.wavelist(kind="discrete")
    if name not in known:
        raise unknown_name("wavelet", name, known)
    wavelet = pywt.Wavelet(name)
    total = sum(wavelet.dec_lo)
    return [tap / total for tap in wavelet.dec_lo], wavelet.dec_hi
