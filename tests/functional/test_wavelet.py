"""The stationary wavelet transform against PyWavelets and numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.wavelet import high_bands, smallest_side, stationary_wavelet


def normalized(name):
    """A wavelet whose low-pass filter adds up to one."""
    wavelet = pywt.Wavelet(name)
    low = np.array(wavelet.dec_lo) / sum(wavelet.dec_lo)
    bank = [low, wavelet.dec_hi, wavelet.rec_lo, wavelet.rec_hi]
    return pywt.Wavelet("normalized", bank)


@pytest.mark.parametrize("name", ["haar", "sym7", "db3", "bior2.2"])
@pytest.mark.parametrize("level", [0, 1])
def test_equals_pywavelets_away_from_the_edges(name, level):
    image = np.random.rand(72, 64)
    ours = stationary_wavelet(torch.from_numpy(image)[None, None], name, levels=2)[level]
    # pywt gives the coarsest level first, and within one (LL, (HL, LH, HH)) in our names.
    low, (high_rows, high_columns, high) = pywt.swt2(image, normalized(name), 2)[::-1][level]
    inner = slice(21, -21)
    for band, reference in zip(ours[0, :, 0], (low, high_columns, high_rows, high), strict=True):
        np.testing.assert_allclose(band[inner, inner], reference[inner, inner], atol=1e-12)


def test_edges_are_mirrored():
    image = torch.rand(1, 1, 20, 24, dtype=torch.float64)
    padded = torch.nn.functional.pad(image, (13, 13, 13, 13), mode="reflect")
    wide = stationary_wavelet(padded, "sym7")[0]
    torch.testing.assert_close(stationary_wavelet(image, "sym7")[0], wide[..., 13:-13, 13:-13])


def test_haar_bands_are_half_sums_and_differences():
    image = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3)[None, None]  # a step along W
    low_low, low_high, high_low, high_high = stationary_wavelet(image, "haar")[0][0, :, 0]
    root = 2**-0.5
    torch.testing.assert_close(low_low[1], torch.tensor([0.0, 0.5, 1.0, 1.0]))
    torch.testing.assert_close(low_high[1].abs(), torch.tensor([0.0, root, 0.0, 0.0]))
    assert high_low.abs().max() < 1e-6
    assert high_high.abs().max() < 1e-6


def test_a_flat_image_keeps_its_value_in_the_low_band_and_has_no_detail():
    image = torch.full((1, 2, 40, 40), 0.3)
    for bands in stationary_wavelet(image, "sym7", levels=3):
        torch.testing.assert_close(bands[:, 0], image)
        assert bands[:, 1:].abs().max() < 1e-5


def test_high_bands_lie_level_by_level_then_band_by_band():
    image = torch.rand(2, 3, 32, 36)
    result = high_bands(image, "haar", levels=2)
    divided = stationary_wavelet(image, "haar", levels=2)
    assert result.shape == (2, 3 * 2 * 3, 32, 36)
    for level in range(2):
        for band in range(3):
            start = 9 * level + 3 * band
            torch.testing.assert_close(result[:, start : start + 3], divided[level][:, band + 1])


def test_gradient_is_that_of_the_transform():
    image = torch.rand(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: high_bands(x, "haar", 2), image)


def test_automatic_casting_leaves_the_precision_alone():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert high_bands(torch.rand(1, 1, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize(("name", "levels"), [("sym7", 1), ("sym7", 3), ("haar", 2)])
def test_the_smallest_side_is_the_smallest_that_works(name, levels):
    side = smallest_side(name, levels)
    assert high_bands(torch.rand(1, 1, side, side), name, levels).isfinite().all()
    with pytest.raises(OptionError, match=f"needs at least {side} pixels a side"):
        high_bands(torch.rand(1, 1, side, side - 1), name, levels)


def test_bad_options_are_refused():
    image = torch.rand(1, 1, 32, 32)
    with pytest.raises(OptionError, match="did you mean 'sym7'"):
        high_bands(image, "sim7")
    with pytest.raises(OptionError, match="levels: must be at least 1"):
        high_bands(image, levels=0)
