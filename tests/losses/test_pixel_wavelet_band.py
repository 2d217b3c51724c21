"""Errors weighted band by band."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.wavelet import BANDS, stationary_wavelet
from monai_sr.losses import WaveletBandLoss


@pytest.fixture
def pair():
    return torch.rand(2, 2, 3, 24, 20, dtype=torch.float64).unbind()


def test_a_shift_in_brightness_is_an_error_of_the_low_band_alone():
    hr = torch.rand(1, 3, 24, 24, dtype=torch.float64)
    loss = WaveletBandLoss({"LL": 0.5, "LH": 10.0, "HL": 10.0, "HH": 10.0})
    torch.testing.assert_close(float(loss(hr + 0.1, hr)), 0.05, rtol=0, atol=1e-10)


@pytest.mark.parametrize("band", BANDS)
def test_one_weight_is_the_error_of_one_band(pair, band):
    sr, hr = pair
    bands = [stationary_wavelet(image, "haar", 2) for image in (sr, hr)]
    errors = [(a - b)[:, BANDS.index(band)].abs().mean() for a, b in zip(*bands, strict=True)]
    expected = errors[1] if band == "LL" else sum(errors) / 2
    loss = WaveletBandLoss({band: 3.0}, wavelet="haar", levels=2)
    torch.testing.assert_close(loss(sr, hr), 3 * expected)


def test_the_papers_weights_are_the_default(pair):
    paper = WaveletBandLoss({"LL": 0.1, "LH": 0.01, "HL": 0.01, "HH": 0.05})
    assert WaveletBandLoss()(*pair) == paper(*pair)


def test_gradient_is_that_of_the_formula():
    hr = torch.rand(1, 1, 4, 5, dtype=torch.float64)
    sr = torch.rand_like(hr).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: WaveletBandLoss(wavelet="haar")(x, hr), sr)


def test_bad_options_are_refused():
    with pytest.raises(OptionError, match="band 'LX' is unknown"):
        WaveletBandLoss({"LX": 1.0})
    with pytest.raises(OptionError, match=r"weights\['LL'\]: must not be negative"):
        WaveletBandLoss({"LL": -1.0})
    with pytest.raises(OptionError, match="levels: must be at least 1"):
        WaveletBandLoss(levels=0)
    with pytest.raises(OptionError, match="wavelet 'sim7' is unknown; did you mean 'sym7'"):
        WaveletBandLoss(wavelet="sim7")
