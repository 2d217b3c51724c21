"""Hot pixels: what counts as one, and what the network sees in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from monai_sr.formats import Facts
from monai_sr.transforms import ScaleToUnit
from monai_sr.transforms.bad_pixels import calm_hot_pixels, has_far_pixels, hot_planes

RNG = np.random.default_rng(3)
META = {"sr_range": np.array([[0.0, 1.0]])}


def image(*sides: int) -> np.ndarray:
    return RNG.random((1, *(sides or (20, 30)))).astype(np.float32)


@pytest.mark.parametrize(
    "places",
    [[(7, 8)], [(0, 0)], [(19, 11)], [(7, 8), (7, 9)], [(4, 4), (4, 5), (5, 4), (5, 5)]],
    ids=["one", "corner", "edge", "two", "four"],
)
@pytest.mark.parametrize("value", [1e6, -40])
def test_hot_pixels_become_the_median_around_them(places, value):
    clean = image()
    given, expected = clean.copy(), clean.copy()
    for place in places:
        given[(0, *place)] = value
    around = median_filter(given[0], 3, mode="nearest")
    for place in places:
        expected[(0, *place)] = around[place]
    kept = given.copy()
    calm, hot = calm_hot_pixels(given, np.ones(given.shape, bool), META)
    np.testing.assert_allclose(calm, expected, rtol=1e-6)
    np.testing.assert_array_equal(given, kept)
    assert sorted(map(tuple, hot.tolist())) == sorted((0, *place, value) for place in places)


def test_a_bright_target_and_what_networks_see_stay():
    given = image()
    given[0, 5:9, 6:10] = 50  # its corners alone stick out
    given[0, 15, 20] = 1.5
    calm, hot = calm_hot_pixels(given, np.ones(given.shape, bool), META)
    corners = {(5, 6), (5, 9), (8, 6), (8, 9)}
    assert {(int(x), int(y)) for _, x, y, _ in hot} == corners
    assert (calm[0, 6:8, 6:10] == 50).all()
    assert calm[0, 15, 20] == 1.5


def test_without_values_far_outside_nothing_is_copied():
    given = image()
    seen = np.ones(given.shape, bool)
    calm, hot = calm_hot_pixels(given, seen, META)
    assert calm is given
    assert hot.shape == (0, 4)
    assert not has_far_pixels(given, seen, META)
    given[0, 2, 2] = 9
    assert has_far_pixels(given, seen, META)
    seen[0, 2, 2] = False
    assert not has_far_pixels(given, seen, META)


def test_what_is_no_measurement_counts_for_no_median():
    given = image()
    given[0, 3:6, 3:6] = -9999
    given[0, 4, 3:6] = 0.25, 77, 0.75
    calm, hot = calm_hot_pixels(given, given != -9999, META)
    assert hot.tolist() == [[0, 4, 4, 77]]
    assert calm[0, 4, 4] == 0.75


def test_slices_are_judged_one_by_one_and_codes_not_at_all():
    given = image(9, 8, 5)
    given[0, 2:5, 3:6, 2] = 30  # a bright structure of one thick slice
    seen = np.ones(given.shape, bool)
    _, hot = calm_hot_pixels(given, seen, {**META, "sr_slice_axis": 2})
    assert len(hot) == 4
    _, whole = calm_hot_pixels(given, seen, META)
    assert len(whole) == 9
    codes = {**META, "sr_code_bands": np.array([0])}
    assert len(calm_hot_pixels(given, seen, codes)[1]) == 0


def test_values_come_back_within_bounds():
    hot = np.array([[1.0, 2, 3, 1e6], [1, 0, 0, -5]])
    ((channel, plane),) = hot_planes(hot, (2, 4, 5), np.array([[0.0, 1.0]]))
    assert channel == 1
    assert (plane[2, 3], plane[0, 0]) == (1, 0)
    assert np.isnan(plane).sum() == 18


def test_the_mapping_says_which_pixels_are_hot():
    given = image(40, 50) + 0.01
    given[0, 7, 8] = 4e5
    unit, valid = ScaleToUnit()(torch.from_numpy(given))
    assert valid.numel() == 0
    assert Facts(unit.meta).hot.tolist() == [[0, 7, 8, 4e5]]
    assert float(unit.max()) <= 1.1
