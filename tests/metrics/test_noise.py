"""What becomes of noise: its gain and its fineness, of enlargements whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import upsample
from monai_sr.metrics import fine_noise, noise_gain


def _white(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_gain_is_one_for_repeated_pixels_and_less_for_bicubic():
    noise = _white(2, 1, 96, 80)
    repeated = noise.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert noise_gain(repeated, noise).tolist() == pytest.approx([1, 1])
    assert noise_gain(-3 * repeated, noise).tolist() == pytest.approx([3, 3])
    # Keys' kernel at a random place keeps the mean of its squares, apart for each axis.
    place = np.linspace(-2, 2, 40001)
    x = np.abs(place)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kept = np.trapezoid(np.where(x <= 1, inner, outer) ** 2, place)
    assert noise_gain(upsample(noise, 4), noise).tolist() == pytest.approx([kept, kept], rel=0.03)


def test_white_noise_is_as_fine_as_the_area_beyond():
    for cutoff in (0.125, 0.25, 0.4):
        (found,) = fine_noise(_white(1, 3, 240, 256), cutoff).tolist()
        assert found == pytest.approx(100 * (1 - (2 * cutoff) ** 2), abs=1)


def test_noise_is_coarse_after_bicubic_and_fine_after_repetition():
    noise = _white(1, 1, 64, 64)
    bicubic = fine_noise(upsample(noise, 4), 0.125).item()
    repeated = noise.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert bicubic < 12 < fine_noise(repeated, 0.125).item()
    specks = torch.zeros(1, 1, 256, 256)
    specks[..., 3::16, 5::16] = 1
    specks -= specks.mean()
    assert fine_noise(specks, 0.125).item() > 90


def test_a_wave_counts_on_its_side_of_the_cutoff():
    place = torch.arange(128.0)
    low, high = (torch.cos(2 * math.pi * f * place).expand(1, 1, 128, 128) for f in (0.1, 0.2))
    assert fine_noise(low, 0.15).item() < 0.01
    assert fine_noise(high.mT, 0.15).item() > 99.99
    assert fine_noise(low + 2 * high, 0.15).item() == pytest.approx(80, abs=0.1)


def test_without_noise_there_is_no_figure():
    none = torch.zeros(1, 1, 16, 16)
    assert noise_gain(none, none).isnan().all()
    assert fine_noise(none, 0.1).isnan().all()


@pytest.mark.parametrize(
    ("shape", "cutoff"), [((1, 1, 8, 8), 0.5), ((1, 1, 8, 8), 0), ((8, 8), 0.1)]
)
def test_a_cutoff_beyond_the_pixels_is_refused(shape, cutoff):
    with pytest.raises(OptionError, match=r"cutoff: must lie between 0 and 0\.5 cycles"):
        fine_noise(torch.ones(shape), cutoff)
