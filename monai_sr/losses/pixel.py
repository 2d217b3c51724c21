"""Losses that compare a result with the truth by pixel, frequency or band, or hunt artifacts."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import L1Loss as L1Loss
from torch.nn import MSELoss as MSELoss
from torch.nn import functional as F

from monai_sr.core import OptionError, unknown_name
from monai_sr.functional import BANDS, smallest_side, stationary_wavelet


class CharbonnierLoss(nn.Module):
    """Smooth absolute error: mean of sqrt((sr - hr)^2 + epsilon^2); lower is better.

    Shape: sr and hr equal, any rank, values in [0, 1] -> scalar.

    Args:
        epsilon: width of the smooth part around zero, in units of the images.

    References:
        P. Charbonnier et al., 1994, doi:10.1109/ICIP.1994.413553; used for super-resolution by
        W.-S. Lai et al., 2017, doi:10.1109/CVPR.2017.618.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean over all pixels and channels."""
        return torch.sqrt((sr - hr) ** 2 + self.epsilon**2).mean()


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision to float32; leave float32 and float64 as they are.

    Shape: any, any floating dtype -> same, float32 or float64.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class FrequencyLoss(nn.Module):
    """Compare discrete Fourier transforms: mean |F(sr) - F(hr)| over real and imaginary parts.

    The transform is orthonormal, so that the value does not depend on the size of the patch.

    Shape: sr and hr (N, C, H, W[, D]) in [0, 1] -> scalar; lower is better.

    References:
        Cho et al. (2021), Rethinking coarse-to-fine approach in single image deblurring,
        doi:10.1109/ICCV48922.2021.00460 (there the transform is not normalized).
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean over all coefficients of the half spectrum."""
        difference = at_least_float32(sr) - at_least_float32(hr)
        axes = tuple(range(2, difference.ndim))
        spectrum = torch.fft.rfftn(difference, dim=axes, norm="ortho")
        return torch.view_as_real(spectrum).abs().mean()


_PAPER = {"LL": 0.1, "LH": 0.01, "HL": 0.01, "HH": 0.05}


class WaveletBandLoss(nn.Module):
    """Weigh mean absolute errors by band: the sum over bands of weight * mean |sr - hr|.

    The low band keeps colors and shapes; small weights of the others leave texture to the
    discriminator. The paper's weights are for luma on 16 ... 235: for images in [0, 1] the same
    balance with other losses needs 219 times the weight.

    Shape: sr and hr (N, C, H, W) in [0, 1] -> scalar; lower is better.

    Args:
        weights: of "LL", "LH", "HL" and "HH"; a band without one is left out. None: the paper's.
        wavelet: see :func:`monai_sr.functional.wavelet.stationary_wavelet`.
        levels: number of levels; their details are averaged, and LL is that of the last.

    Raises:
        OptionError: if a band, or the wavelet, is unknown.

    References:
        Korkmaz, Tekalp, Dogan (2024), Training generative image super-resolution models by
        wavelet-domain losses enables better control of artifacts, arXiv:2402.19215. There on luma
        alone, and a second level has weights of its own; here on all channels.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        wavelet: str = "sym7",
        levels: int = 1,
    ) -> None:
        super().__init__()
        self.weights = dict(_PAPER if weights is None else weights)
        for band, weight in self.weights.items():
            if band not in BANDS:
                raise unknown_name("band", band, BANDS)
            if weight < 0:
                raise OptionError(f"weights[{band!r}]: must not be negative, got {weight}")
        if levels < 1:
            raise OptionError(f"levels: must be at least 1, got {levels}")
        self.wavelet = wavelet
        self.levels = levels
        self.minimum_size = smallest_side(wavelet, levels)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the weighted sum over bands."""
        # The transform is linear: one of the difference does.
        difference = at_least_float32(sr) - at_least_float32(hr)
        divided = stationary_wavelet(difference, self.wavelet, self.levels)
        value = difference.new_zeros(())
        for band, weight in self.weights.items():
            index = BANDS.index(band)
            bands = [each[:, index].abs().mean() for each in divided]
            value = value + weight * (bands[-1] if band == "LL" else torch.stack(bands).mean())
        return value


_PATCH_EXPONENT = 0.2
"""The paper's power of the variance of a whole patch (a = 5 in its 1/a)."""


class ArtifactLoss(nn.Module):
    """Weigh the absolute error by how likely a pixel is an artifact: mean of map * |sr - hr|.

    See :func:`artifact_map`. The map is a weight: no gradient flows through it.

    Shape: sr, hr and ema_sr (N, C, H, W) in [0, 1], sides above ``window // 2`` -> scalar; lower is
    better.

    Args:
        window: side of the window of the local variance, odd, in pixels.

    Raises:
        OptionError: if ``window`` is even or below 3.

    References:
        Liang, Zeng, Zhang (2022), Details or artifacts: a locally discriminative learning approach
        to realistic image super-resolution, arXiv:2203.09195.
    """

    def __init__(self, window: int = 7) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise OptionError(f"window: must be odd and at least 3, got {window}; the paper has 7")
        self.window = window

    def forward(self, sr: Tensor, hr: Tensor, ema_sr: Tensor) -> Tensor:
        """Return the weighted mean error.

        Args:
            sr: result of the generator in training.
            hr: the truth.
            ema_sr: result of the generator whose weights are averaged over steps.
        """
        sr, hr = at_least_float32(sr), at_least_float32(hr)
        weight = artifact_map(sr, hr, at_least_float32(ema_sr), self.window)
        return (weight * (sr - hr).abs()).mean()


@torch.no_grad()
def artifact_map(sr: Tensor, hr: Tensor, ema_sr: Tensor, window: int = 7) -> Tensor:
    """Estimate how likely each pixel of a result is an artifact.

    With the residual r = sum over channels of |hr - sr|: the variance of r in the window around the
    pixel, times the fifth root of the variance of r over the image; and zero where the averaged
    generator, which is steadier, is no closer to the truth.

    Shape: sr, hr, ema_sr (N, C, H, W) -> (N, 1, H, W), not negative.
    """
    residual = (hr - sr).abs().sum(dim=1, keepdim=True)
    steady = (hr - ema_sr).abs().sum(dim=1, keepdim=True)
    margin = window // 2
    padded = F.pad(residual, (margin, margin, margin, margin), mode="reflect")
    # Shifted by the mean of the image: squares of small numbers lose less to rounding.
    padded = padded - residual.mean(dim=(2, 3), keepdim=True)
    mean = F.avg_pool2d(padded, window, stride=1)
    square = F.avg_pool2d(padded**2, window, stride=1)
    count = window**2
    local = (square - mean**2).clamp(min=0) * (count / (count - 1))
    patch = residual.var(dim=(1, 2, 3), keepdim=True) ** _PATCH_EXPONENT
    return torch.where(residual < steady, 0.0, local * patch)
