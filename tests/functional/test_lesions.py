"""Lesions have the contrast, size and place asked for, in the large image and after reduction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional import choose_places, disc, disc_reach, downsample, insert_discs

_SCALE, _CONTRAST, _LEVEL = 4, 0.1, 0.4


def _flat(side=160):
    return torch.full((side, side), _LEVEL, dtype=torch.float64)


def _inserted(image, place, radius, kind="additive", edge=1.0):
    places = np.array([place])
    return insert_discs(image, places, [radius], [_CONTRAST], edge_px=edge, kind=kind) - image


@pytest.mark.parametrize("radius", [2, 4, 8])
def test_a_disc_has_its_analytic_sum_and_is_half_at_its_radius(radius):
    profile = disc(radius, 1.0)
    assert float(profile.sum()) == pytest.approx(math.pi * (radius**2 + 1), rel=5e-3)
    middle = len(profile) // 2
    assert float(profile[middle, middle + radius]) == 0.5
    assert float(profile[0].max()) < 1e-4


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
@pytest.mark.parametrize("place", [(80, 80), (61, 83)])
@pytest.mark.parametrize("radius", [2, 4, 8])
def test_contrast_and_place_are_those_asked_for_after_reduction(kind, place, radius):
    small = downsample(_inserted(_flat(), place, radius, kind)[None, None], _SCALE)[0, 0]
    total = float(small.sum()) * _SCALE**2
    expected = _CONTRAST * _LEVEL * math.pi * (radius**2 + 1)
    assert total == pytest.approx(expected, rel=2e-2)
    axis = torch.arange(len(small), dtype=torch.float64)
    for side, wanted in enumerate(place):
        center = float((small.sum(1 - side) * axis).sum() / small.sum())
        assert center == pytest.approx((wanted + 0.5) / _SCALE - 0.5, abs=0.02)


def test_the_middle_of_a_large_lesion_has_the_whole_contrast_after_reduction():
    small = downsample((_flat() + _inserted(_flat(), (82, 82), 16))[None, None], _SCALE)[0, 0]
    assert float(small[20, 20]) == pytest.approx(_LEVEL * (1 + _CONTRAST), rel=5e-3)


def test_an_additive_lesion_takes_the_mean_under_it_a_multiplicative_one_each_pixel():
    image = torch.linspace(0.2, 0.6, 160, dtype=torch.float64).expand(160, 160)
    profile = disc(8, 1.0)
    reach = disc_reach(8, 1.0)
    window = slice(80 - reach, 81 + reach)
    added = _inserted(image, (80, 80), 8)[window, window]
    level = float((image[window, window] * profile).sum() / profile.sum())
    torch.testing.assert_close(added, _CONTRAST * level * profile)
    scaled = _inserted(image, (80, 80), 8, "multiplicative")[window, window]
    torch.testing.assert_close(scaled, _CONTRAST * image[window, window] * profile)


def test_what_cannot_be_inserted_is_refused():
    with pytest.raises(OptionError, match=r"kind: must be one of additive, multiplicative"):
        _inserted(_flat(), (80, 80), 2, "other")
    with pytest.raises(OptionError, match=r"6 pixels or more from the edge .* leave it out"):
        _inserted(_flat(), (80, 5), 2)
    with pytest.raises(OptionError, match=r"must be positive, got 0 and 1"):
        disc(0, 1)


def test_places_lie_within_the_body_apart_from_one_another_and_are_the_same_again():
    image = torch.zeros(200, 180, dtype=torch.float64)
    image[40:150, 30:160] = 0.5
    image[90:100, 90:100] = 0.9  # no body: too bright
    options = {"reach_px": 5, "spacing_px": 20, "margin_px": 50}
    places = choose_places(image, (0.2, 0.8), seed=3, **options)
    assert len(places) > 4
    for row, column in places:
        around = image[row - 5 : row + 6, column - 5 : column + 6]
        assert 0.2 <= float(around.min()) <= float(around.max()) <= 0.8
        assert 50 <= row < 150
        assert 50 <= column < 130
    distances = np.abs(places[:, None] - places[None]).max(-1)
    assert (distances[~np.eye(len(places), dtype=bool)] > 20).all()
    again = choose_places(image, (0.2, 0.8), seed=3, **options)
    np.testing.assert_array_equal(places, again)
    assert not np.array_equal(places, choose_places(image, (0.2, 0.8), seed=4, **options))
    assert choose_places(image, (0.95, 1.0), seed=3, **options).shape == (0, 2)
