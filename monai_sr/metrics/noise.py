"""Measure what becomes of noise: how strong it comes out of an enlargement, and how fine.

Both take the noise alone: the difference of two images that differ in nothing else. Of a network
that is the result of noisy input less that of the same input without noise, so that what it makes
of the noise counts, also where it takes noise for structure.

References:
    IEC 62220-1: noise power spectra of images.
    F. J. Harris, 1978, doi:10.1109/PROC.1978.10837 (Hann window).
"""

import torch
from torch import Tensor

from monai_sr.core import OptionError


def noise_gain(after: Tensor, before: Tensor) -> Tensor:
    """Compute the root mean square of noise in a result over that of the noise in its input.

    1: as strong as it was; less: dampened.

    Shape: after (N, C, H, W), before (N, C, h, w), on the same scale of values -> (N,) float64; NaN
    where the input has no noise.
    """
    ours, given = (part.double().square().flatten(1).mean(1).sqrt() for part in (after, before))
    return torch.where(given > 0, ours / given, torch.nan)


def fine_noise(noise: Tensor, cutoff: float) -> Tensor:
    """Compute the share of the noise's power beyond a frequency along either axis, in percent.

    With a cut-off of 0.5 / scale it is what is finer than the input's pixels can hold: specks that
    the enlargement made.

    Shape: noise (N, C, H, W) -> (N,) float64, the mean over channels; NaN where there is no noise.

    Args:
        noise: of any range; a Hann window is applied.
        cutoff: in cycles a pixel, below 0.5.

    Raises:
        OptionError: if the cut-off is none, or it is no batch of images.
    """
    if not 0 < cutoff < 0.5 or noise.ndim != 4:
        raise OptionError(
            f"cutoff: must lie between 0 and 0.5 cycles a pixel, for noise (N, C, H, W), got "
            f"{cutoff:g} for {tuple(noise.shape)}"
        )
    height, width = noise.shape[-2:]
    taper = _hann(height, noise)[:, None] * _hann(width, noise)[None]
    power = torch.fft.fft2(noise.double() * taper).abs() ** 2
    v, h = (torch.fft.fftfreq(n, dtype=torch.float64, device=noise.device) for n in (height, width))
    is_fine = torch.maximum(v.abs()[:, None], h.abs()[None]) > cutoff
    whole = power.flatten(1).sum(1)
    share = 100 * (power * is_fine).flatten(1).sum(1) / whole
    return torch.where(whole > 0, share, torch.nan)


def _hann(side: int, like: Tensor) -> Tensor:
    return torch.hann_window(side, periodic=False, dtype=torch.float64, device=like.device)
