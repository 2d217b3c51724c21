"""A sample is the middle of an image: its error is that of the mean of the views, in place."""

from __future__ import annotations

import interval_samples as script
import numpy as np
import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.transforms import Reading, Widening
from tests.network_factory import tiny_bundle


@pytest.fixture
def resolver(tmp_path):
    return SuperResolver.from_bundle(tiny_bundle(tmp_path), scale=2, device="cpu")


def test_error_and_spread_are_those_of_the_middle(resolver):
    hr = torch.rand(3, 160, 200, generator=torch.Generator().manual_seed(0))
    lr, hr = script.small(hr, 2)
    sample = script.take_sample(resolver, lr, hr)
    side, border = script.SIDE_PX, 4
    assert sample.error.shape == (3, side - 2 * border, side - 2 * border)
    mean, spread = resolver.inferer.mean_and_spread(lr[None, :, 8:72, 18:82], resolver.network)
    inner = (slice(None), slice(border, -border), slice(border, -border))
    truth = hr[:, 16:144, 36:164]
    expected = (mean[0].clamp(0, 1).double() - truth.double()).abs()[inner]
    np.testing.assert_allclose(sample.error, expected)
    np.testing.assert_allclose(sample.spread, spread[0][inner])


def test_values_are_covered_up_to_their_half_width():
    error = np.array([[[0.1, 0.2], [0.3, 0.41]]])
    sample = script.Sample(error, np.full_like(error, 0.1), error, Reading((0.0,), 0.2), 2)
    assert sample.covered(3, Widening()).tolist() == [[[True, True], [True, False]]]
    loud = script.Sample(error, np.zeros_like(error), error, Reading((0.2,), 0.2), 2)
    assert loud.covered(3, Widening(noise_gain=2, clean_noise=0.0)).mean() == 0.75


def test_images_are_drawn_evenly():
    assert script.evenly(range(9), 3) == [0, 4, 8]
    assert script.evenly([1, 2], 5) == [1, 2]
