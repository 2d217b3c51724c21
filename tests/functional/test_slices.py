"""Thick slices against integrals computed otherwise, and splines against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from monai_sr.core import OptionError
from monai_sr.functional import (
    SliceProfile,
    agree_with_slices,
    reduce_slices,
    restore_slices,
    slice_conditions,
    slice_matrix,
    spline_matrix,
)

KINDS = ["boxcar", "gaussian", "slr"]


def density(kind, x):
    """Evaluate a profile of width 1 by its definition, not by its integral."""
    if kind == "boxcar":
        return float(abs(x) < 0.5)
    if kind == "gaussian":
        return norm.pdf(x, scale=1 / (2 * math.sqrt(2 * math.log(2))))
    # A box, softened: the convolution with a Gaussian of a tenth of the width.
    return quad(lambda t: norm.pdf(x - t, scale=0.1), -0.5, 0.5)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thickness", [0.8, 1.0])
def test_weights_are_integrals_of_the_profile(kind, thickness):
    thin, thick, middle = 23, 7, 3
    factor = thin / thick
    found = slice_matrix(thin, thick, SliceProfile(kind, thickness))[middle]
    center, width = (middle + 0.5) * factor, thickness * factor
    for sample in (8, 10, 11, 13):
        edges = [center - width / 2, center + width / 2]
        kinks = [edge for edge in edges if sample < edge < sample + 1]
        expected, _ = quad(
            lambda z: density(kind, (z - center) / width) / width,
            sample, sample + 1, points=kinks or None,
        )  # fmt: skip
        assert found[sample] == pytest.approx(expected, abs=2e-5)  # tails end at 4.5 deviations


@pytest.mark.parametrize(("kind", "tolerance"), [("gaussian", 1e-6), ("slr", 1e-3)])
def test_thickness_is_the_full_width_at_half_maximum(kind, tolerance):
    profile, step = SliceProfile(kind, 0.7), 1e-5
    places = np.array([0.0, 0.35])
    height = (profile.integral(places + step) - profile.integral(places - step)) / (2 * step)
    assert height[1] / height[0] == pytest.approx(0.5, abs=tolerance)


def test_slices_of_a_boxcar_are_means_of_whole_numbers_of_samples():
    volume = torch.rand(2, 12, 5, dtype=torch.float64)
    found = reduce_slices(volume, 4, 1, SliceProfile("boxcar"))
    torch.testing.assert_close(found, volume.unflatten(1, (4, 3)).mean(2))


def test_a_wave_loses_what_the_transforms_of_profile_and_sample_say():
    thin, thick, cycles = 240, 60, 7
    profile = SliceProfile("gaussian")
    # Thin slices are means over their own length: sinc(f). An even wave keeps its mirrored ends.
    frequency = cycles / thin
    wave = np.cos(2 * math.pi * frequency * (np.arange(thin) + 0.5))
    found = slice_matrix(thin, thick, profile) @ wave
    sigma = 4 / (2 * math.sqrt(2 * math.log(2)))
    loss = math.exp(-2 * (math.pi * sigma * frequency) ** 2) * np.sinc(frequency)
    centers = (np.arange(thick) + 0.5) * 4
    np.testing.assert_allclose(
        found, loss * np.cos(2 * math.pi * frequency * centers), rtol=0, atol=2e-4
    )


@given(
    thick=st.integers(1, 20),
    more=st.integers(0, 60),
    kind=st.sampled_from(KINDS),
    thickness=st.floats(0.25, 1.5),
)
def test_constants_stay(thick, more, kind, thickness):
    matrix = slice_matrix(thick + more, thick, SliceProfile(kind, thickness))
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-12)
    assert (matrix >= -1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_ends_are_mirrored(kind):
    profile, line = SliceProfile(kind), np.random.default_rng(0).random(18)
    whole = np.concatenate([line[::-1], line, line[::-1]])
    expected = slice_matrix(54, 15, profile) @ whole
    np.testing.assert_allclose(slice_matrix(18, 5, profile) @ line, expected[5:10], atol=1e-12)


def test_splines_go_through_the_slices():
    values = np.random.default_rng(0).random(9)
    large = spline_matrix(9, 27) @ values
    np.testing.assert_allclose(large[1::3], values, atol=1e-9)


@given(
    thick=st.integers(2, 12),
    factor=st.floats(1.2, 6),
    kind=st.sampled_from(KINDS),
    thickness=st.floats(0.5, 1.1),
)
def test_restored_slices_reduce_to_the_given_ones(thick, factor, kind, thickness):
    profile, thin = SliceProfile(kind, thickness), round(thick * factor)
    given_slices = torch.rand(3, thick, dtype=torch.float64)
    restored = restore_slices(given_slices, thin, 1, profile)
    torch.testing.assert_close(
        reduce_slices(restored, thick, 1, profile), given_slices, rtol=0, atol=1e-9
    )
    other = agree_with_slices(torch.rand(3, thin, dtype=torch.float64), given_slices, 1, profile)
    torch.testing.assert_close(
        reduce_slices(other, thick, 1, profile), given_slices, rtol=0, atol=1e-9
    )


def test_what_agrees_already_stays():
    thin = torch.rand(2, 3, 24, dtype=torch.float64)
    profile = SliceProfile()
    thick = reduce_slices(thin, 6, 2, profile)
    torch.testing.assert_close(agree_with_slices(thin, thick, 2, profile), thin)


def test_conditions_tell_thickness_and_place():
    planes = torch.rand(2, 1, 9, 4)
    found = slice_conditions(planes, 3)
    assert torch.equal(found[:, :1], planes)
    assert found[:, 1].unique().tolist() == [0.5]
    expected = torch.tensor([2 / 3, 0, 2 / 3] * 3)[:, None].expand(9, 4)
    torch.testing.assert_close(found[1, 2], expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SliceProfile("sinc"), "kind: must be one of boxcar, gaussian, slr, got 'sinc'"),
        (lambda: SliceProfile("slr", 2.0), "thickness: must be 0.25 to 1.5 distances of slices"),
        (lambda: slice_matrix(4, 5, SliceProfile()), "slices: must be 1 to 4 for 4 thin ones"),
    ],
)
def test_what_is_no_slice_is_refused(make, words):
    with pytest.raises(OptionError, match=words):
        make()
