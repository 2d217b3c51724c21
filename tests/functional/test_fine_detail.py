"""The frequency of a wave is found, noise apart; blur lowers it, and what tells nothing is NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_sr.functional import detail_frequency

X, Y = np.meshgrid(np.arange(64.0), np.arange(64.0), indexing="ij")


def wave(frequency, strength=0.2):
    return (0.5 + strength * np.sin(2 * np.pi * frequency * X + 0.3))[None]


@pytest.mark.parametrize("frequency", [0.05, 0.12, 0.21, 0.3])
def test_the_frequency_of_a_wave_is_found(frequency):
    assert detail_frequency([wave(frequency)], [0.0]) == pytest.approx(frequency, abs=2e-3)


@pytest.mark.parametrize(("frequency", "noise"), [(0.12, 0.02), (0.21, 0.05), (0.3, 0.02)])
def test_noise_that_is_known_changes_little(frequency, noise):
    random = np.random.default_rng(0)
    blocks = [wave(frequency) + noise * random.standard_normal((1, 64, 64)) for _ in range(4)]
    found = detail_frequency(blocks, [noise])
    # Sums over 4 x 4096 pixels have a standard error of about 1 %.
    assert found == pytest.approx(frequency, rel=0.06)
    assert abs(found - frequency) < abs(detail_frequency(blocks, [0.0]) - frequency)


def test_values_times_a_number_plus_another_measure_alike():
    image = wave(0.2) + wave(0.07)
    assert detail_frequency([1000 * image - 30], [0.0]) == pytest.approx(
        detail_frequency([image], [0.0]), rel=1e-9
    )


def test_letters_in_one_block_of_a_blurred_image_do_not_count():
    blocks = [*[wave(0.06)] * 8, wave(0.3)]
    assert detail_frequency(blocks, [0.0]) == pytest.approx(0.06, abs=2e-3)


def test_pixels_that_are_no_measurements_are_left_out():
    image, valid = wave(0.1), np.ones((1, 64, 64), bool)
    valid[:, :, 20:40] = False
    spoiled = np.where(valid, image, 7.0)
    assert detail_frequency([spoiled], [0.0], [valid]) == pytest.approx(0.1, abs=2e-3)
    assert detail_frequency([np.where(valid, image, np.nan)], [0.0]) == pytest.approx(0.1, abs=2e-3)


def test_constants_and_noise_alone_tell_nothing():
    assert math.isnan(detail_frequency([np.full((1, 64, 64), 0.5)], [0.0]))
    noise = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((1, 64, 64))
    assert math.isnan(detail_frequency([noise], [0.1]))
    assert math.isnan(detail_frequency([], [0.1]))


def test_where_the_noise_is_unknown_it_is_taken_for_none():
    assert detail_frequency([wave(0.2)], [math.nan]) == detail_frequency([wave(0.2)], [0.0])
