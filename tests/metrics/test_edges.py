"""Slanted edges: against blurs whose transfer is known by formula, and edges that are none."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.metrics import edge_response, mtf50, slanted_edge

_SIDE = 128
_HALF = math.sqrt(math.log(2) / 2) / math.pi  # where exp(-2 (pi sigma f)^2) is 1/2, times sigma


def _gaussian(sigma, degrees=5.0, shift=0.0, step=0.4, side=_SIDE):
    """Sample the edge that a Gaussian of ``sigma`` pixels blurs, at points."""
    turn = math.radians(degrees)
    place = np.arange(side) - (side - 1) / 2
    distance = math.cos(turn) * (place[None] - shift) + math.sin(turn) * place[:, None]
    return torch.from_numpy(0.3 + step / 2 * (1 + erf(distance / sigma / math.sqrt(2))))


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 3.0])
@pytest.mark.parametrize(("degrees", "shift", "step"), [(5, 0, 0.4), (3, 7.3, -0.2), (-9, -4.6, 2)])
def test_mtf50_of_a_gaussian_is_that_of_the_formula(sigma, degrees, shift, step):
    found = mtf50(edge_response(_gaussian(sigma, degrees, shift, step)))
    assert found == pytest.approx(_HALF / sigma, rel=0.01)


def test_the_whole_transfer_is_that_of_the_formula():
    sigma = 1.5
    frequency, transfer = edge_response(_gaussian(sigma))
    expected = torch.exp(-2 * (math.pi * sigma * frequency) ** 2)
    assert float((transfer - expected).abs().max()) < 0.002
    assert float(frequency[0]) == 0
    assert float(transfer[0]) == 1
    assert 0.98 < float(frequency[-1]) <= 1


def test_pixels_hold_the_mean_over_their_area():
    side, finer, degrees = 12, 64, 17.0
    turn = math.radians(degrees)
    place = (np.arange(side * finer) + 0.5) / finer - side / 2
    beyond = math.cos(turn) * place[None] + math.sin(turn) * place[:, None] > 0
    means = beyond.reshape(side, finer, side, finer).mean((1, 3))
    found = slanted_edge(side, degrees=degrees, low=-1, high=3)
    np.testing.assert_allclose(found.numpy(), -1 + 4 * means, atol=0.02)


def test_a_sharp_edge_has_the_transfer_of_its_pixels():
    frequency, transfer = (part.numpy() for part in edge_response(slanted_edge(_SIDE)))
    turn = math.radians(5)
    expected = np.abs(np.sinc(frequency * math.cos(turn)) * np.sinc(frequency * math.sin(turn)))
    np.testing.assert_allclose(transfer, expected, atol=0.01)


def test_blur_of_another_library_is_found():
    sigma = 2.0
    blurred = torch.from_numpy(gaussian_filter(slanted_edge(_SIDE).numpy(), sigma))
    found = mtf50(edge_response(blurred))
    frequency = np.linspace(0, 0.2, 20001)
    known = np.exp(-2 * (np.pi * sigma * frequency) ** 2) * np.sinc(frequency)
    assert found == pytest.approx(frequency[np.argmax(known < 0.5)], rel=0.01)


def test_noise_moves_mtf50_little_and_to_no_side():
    clean = _gaussian(2.0, side=256)
    found = [
        mtf50(edge_response(clean + 0.04 * torch.randn(256, 256), reach_px=32)) for _ in range(6)
    ]
    assert statistics.fmean(found) == pytest.approx(_HALF / 2, rel=0.03)
    assert max(found) - min(found) < 0.2 * _HALF / 2


def test_sharpening_raises_it():
    plain = _gaussian(2.0)
    blurred = torch.from_numpy(gaussian_filter(plain.numpy(), 2.0))
    sharpened = plain + 0.7 * (plain - blurred)
    assert mtf50(edge_response(sharpened)) > 1.2 * mtf50(edge_response(plain))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((64, 64), 0.5), "must show a nearly vertical edge"),
        (torch.rand(64, 64, generator=torch.Generator().manual_seed(3)), "nearly vertical edge"),
        (slanted_edge(64).T, "must show a nearly vertical edge"),
        (slanted_edge(64, degrees=35), "must be less than 20 degrees .* got 35; turn it"),
        (slanted_edge(64)[None], r"must be \(H, W\) .* got \(1, 64, 64\)"),
        (torch.full((64, 64), math.nan), "must show a nearly vertical edge"),
        (slanted_edge(64)[:9], "must pass at every quarter of a pixel, got gaps"),
    ],
)
def test_what_is_no_edge_is_refused(image, message):
    with pytest.raises(BadImageError, match=message):
        edge_response(image)


def test_the_profile_must_fit_into_the_image():
    with pytest.raises(BadImageError, match="must show 40 pixels on both sides"):
        edge_response(slanted_edge(64), reach_px=40)


def test_a_transfer_that_stays_high_has_no_mtf50():
    response = edge_response(slanted_edge(_SIDE))
    assert math.isnan(mtf50(response._replace(transfer=torch.ones_like(response.transfer))))


@pytest.mark.parametrize("degrees", [0, 45, -5])
def test_only_slanted_edges_are_drawn(degrees):
    with pytest.raises(OptionError, match="degrees: must lie between 0 and 45, got"):
        slanted_edge(64, degrees=degrees)
