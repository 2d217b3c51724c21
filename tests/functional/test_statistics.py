"""The numbers that describe an image are those of images whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.functional.statistics import image_statistics


def noisy(sigma, side=256):
    return 0.5 + sigma * np.random.default_rng(0).standard_normal((1, side, side))


def test_mean_and_contrast_are_those_of_numpy():
    image = np.random.default_rng(0).random((3, 20, 31))
    found = image_statistics(image)
    assert found["mean"] == pytest.approx(image.mean())
    assert found["contrast"] == pytest.approx(image.std())


def test_the_noise_level_is_the_one_that_was_added():
    # The estimate scatters by about 1 % at this size.
    assert image_statistics(noisy(0.03))["noise"] == pytest.approx(0.03, rel=0.05)


def test_white_noise_has_the_share_of_its_area():
    # A disk of radius 1/4 covers pi/16 of the square of frequencies.
    assert image_statistics(noisy(0.1))["high_frequency"] == pytest.approx(1 - np.pi / 16, abs=0.02)


@pytest.mark.parametrize(("cycles", "share"), [(8, 0.0), (48, 1.0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_lies_on_its_side_of_a_quarter_cycle_per_pixel(cycles, share, axis):
    wave = np.sin(2 * np.pi * cycles * np.arange(128) / 128)
    image = np.broadcast_to(wave if axis else wave[:, None], (128, 128))[None]
    assert image_statistics(image)["high_frequency"] == pytest.approx(share, abs=0.01)


def test_a_constant_image_has_neither_contrast_nor_noise():
    found = image_statistics(np.full((1, 16, 16), 0.25))
    expected = {"mean": 0.25, "contrast": 0, "high_frequency": 0, "noise": 0}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("width", [20, 21])
def test_the_share_of_high_frequencies_is_that_of_the_whole_transform(width):
    plane = np.random.default_rng(1).random((24, width))
    window = np.outer(np.hanning(26)[1:-1], np.hanning(width + 2)[1:-1])
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    is_high = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(width)[None]) > 0.25
    found = image_statistics(plane[None])["high_frequency"]
    assert found == pytest.approx(power[is_high].sum() / power.sum(), rel=1e-12)


def test_the_middle_speaks_for_a_larger_image():
    image = np.full((1, 8, 2148), 100.0)
    image[..., 50:-50] = np.random.default_rng(2).random((1, 8, 2048))
    assert image_statistics(image)["mean"] == pytest.approx(image[..., 50:-50].mean())
