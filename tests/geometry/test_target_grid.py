"""Sizes of a result: whole samples, outer edges kept, nothing answered for that is not learned."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_sr.core.errors import OptionError
from monai_sr.geometry.target_grid import (
    covering_samples,
    scaled_sizes,
    sizes_for_spacing,
    spacing_of,
    target_spacing,
)

IN_PLANE, ALL = (0, 1), (0, 1, 2)


@pytest.mark.parametrize(
    ("scale", "expected"), [(2, [14, 10, 3]), (2.5, [18, 13, 3]), (1.1, [8, 6, 3])]
)
def test_sizes_are_the_nearest_whole_multiples(scale, expected):
    assert scaled_sizes([7, 5, 3], scale, IN_PLANE) == expected


@given(
    size=st.integers(1, 2000),
    spacing=st.floats(0.01, 20),
    ratio=st.floats(1.01, 3.99),
)
def test_spacing_is_met_as_nearly_as_whole_samples_can(size, spacing, ratio):
    (result,) = sizes_for_spacing("a.nii", [size], [spacing], [spacing / ratio], [0])
    extent = size * spacing
    # Half a sample of the grid that was asked for, over the whole extent.
    assert abs(result * spacing / ratio - extent) <= spacing / ratio / 2 * (1 + 1e-9)


def test_spacing_of_an_oblique_affine_is_the_length_of_its_steps():
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (3, 4, 0), (0, 0, 2), (-0.6, 0, 0.8)
    assert spacing_of(affine, 3) == [5, 2, 1]
    assert spacing_of(affine, 2) == [5, 2]


def test_one_number_is_meant_for_the_enlarged_axes():
    assert target_spacing(0.5, 3, IN_PLANE) == [0.5, 0.5, None]
    assert target_spacing(0.5, 3, ALL) == [0.5, 0.5, 0.5]
    assert target_spacing([0.5, None, 2], 3, IN_PLANE) == [0.5, None, 2]
    assert target_spacing([0.5, 0.4, 2], 2, IN_PLANE) == [0.5, 0.4]
    assert target_spacing([0.5, 0.4], 3, (0, 2)) == [0.5, None, 0.4]


@pytest.mark.parametrize(
    "spacing", [0, -1, float("nan"), float("inf"), "0.5", [0.5], [1, 1, 1, 1], [1, -1, 1], True]
)
def test_what_is_no_length_is_refused(spacing):
    with pytest.raises(OptionError, match=r"spacing: must be a length in mm.*write --spacing 0\.5"):
        target_spacing(spacing, 3, IN_PLANE)


@pytest.mark.parametrize(
    ("target", "axes", "remedy"),
    [
        ([0.8, 0.8, None], IN_PLANE, "finer than the input's 0.75 x 0.75 x 5.5 mm.*smaller"),
        ([0.75, 0.75, None], IN_PLANE, "ask for a smaller --spacing"),
        ([0.5, 0.8, None], IN_PLANE, "ask for a smaller --spacing"),
        ([None, None, 2.0], IN_PLANE, "this model makes no others, got - x - x 2; take one that"),
        ([0.5, 0.5, 6.0], IN_PLANE, "ask for a smaller --spacing"),
        ([6.0, 6.0, 6.0], ALL, "ask for a smaller --spacing"),
        ([0.18, 0.5, None], IN_PLANE, r"at least 0.1875 x 0.1875 x 1.375 mm.*a larger --spacing"),
        ([0.5, 0.5, 1.0], IN_PLANE, "ask for a larger --spacing"),
        ([0.6, 0.6, 0.6], ALL, r"1/8 of the input's.*ask for a larger --spacing"),
    ],
)
def test_coarser_than_the_input_or_too_fine_is_refused_with_the_remedy(target, axes, remedy):
    with pytest.raises(OptionError, match=rf"^scan\.nii: spacing must be .*{remedy}"):
        sizes_for_spacing("scan.nii", [320, 320, 26], [0.75, 0.75, 5.5], target, axes)


def test_float32_digits_of_the_same_spacing_change_no_size():
    sizes = sizes_for_spacing("a", [256, 99], [0.87000006, 0.87], [0.4350001, 0.87], IN_PLANE)
    assert sizes == [512, 99]


def test_a_thick_volume_becomes_isotropic_and_interpolation_is_named(caplog):
    with caplog.at_level(logging.INFO, logger="monai_sr"):
        sizes = sizes_for_spacing("v", [320, 320, 26], [0.75, 0.75, 5.5], [1.0] * 3, ALL)
    assert sizes == [240, 240, 143]
    assert caplog.messages == [
        "v: spacing of the result 1 x 1 x 1 mm",
        "v: axis 2 grows x5.5, of which x1.38 is interpolation that adds no detail",
    ]


def test_slices_that_are_interpolated_are_named(caplog):
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        sizes_for_spacing("v", [32, 32, 26], [1, 1, 5.5], [0.5, 0.5, 2.75], IN_PLANE)
    assert caplog.messages == [
        "v: axis 2 grows x2, of which x2 is interpolation that adds no detail"
    ]


@given(length=st.integers(1, 60), size=st.integers(1, 200))
def test_covering_samples_hold_the_centers(length, size):
    centers = (np.arange(size) + 0.5) * length / size
    expected = np.minimum(np.floor(centers + 1e-12), length - 1)
    assert np.array_equal(covering_samples(length, size), expected)


def knows(factor):
    """Stand for a network that was trained for 2 to 6."""
    return 2 <= factor <= 6


@pytest.mark.parametrize(
    ("target", "sizes"),
    [
        ([None, None, 1.1], [320, 320, 130]),
        ([0.75, 0.75, 0.75], [320, 320, 191]),
        ([1.0, 1.0, 1.0], [240, 240, 143]),
        ([0.375, 0.375, 2.75], [640, 640, 52]),
    ],
)
def test_where_slices_become_thinner_the_axes_in_plane_may_be_what_they_are(target, sizes):
    args = ("v", [320, 320, 26], [0.75, 0.75, 5.5], target, IN_PLANE)
    assert sizes_for_spacing(*args, knows=knows) == sizes


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ([1.0, 1.0, None], "finer than the input's .* ask for a smaller --spacing"),
        ([0.5, 0.5, 6.0], "finer than the input's .* ask for a smaller --spacing"),
        ([None, None, 0.6], "at least 0.1875 x 0.1875 x 0.6875 mm, 1/4 and 1/8 of .* larger"),
    ],
)
def test_thinner_slices_have_their_limits(target, remedy):
    args = ("v", [320, 320, 26], [0.75, 0.75, 5.5], target, IN_PLANE)
    with pytest.raises(OptionError, match=remedy):
        sizes_for_spacing(*args, knows=knows)


def test_only_factors_that_the_network_does_not_know_are_called_interpolation(caplog):
    for thickness in (1.1, 0.7, 5.0):
        with caplog.at_level(logging.INFO, logger="monai_sr"):
            target = [0.5, 0.5, thickness]
            sizes_for_spacing("v", [32, 32, 26], [1, 1, 5.5], target, IN_PLANE, knows=knows)
    said = [message for message in caplog.messages if "spacing of" not in message]
    assert said == [
        "v: 26 slices become 130, restored by the network",
        "v: axis 2 grows x7.85, of which x7.85 is interpolation that adds no detail",
        "v: axis 2 grows x1.12, of which x1.12 is interpolation that adds no detail",
    ]
