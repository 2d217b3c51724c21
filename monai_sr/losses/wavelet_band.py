"""Compare images band by band of a wavelet transform."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.functional.wavelet import BANDS, smallest_side, stationary_wavelet
from monai_sr.losses.precision import at_least_float32

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


__all__ = ["WaveletBandLoss"]
