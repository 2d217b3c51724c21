"""Pixel losses against their formulas."""

from __future__ import annotations

import pytest
import torch

from monai_sr.losses import CharbonnierLoss, L1Loss, MSELoss


@pytest.fixture
def pair():
    return torch.rand(2, 2, 3, 4, 5, dtype=torch.float64).unbind()


def test_charbonnier_is_its_formula(pair):
    sr, hr = pair
    expected = torch.stack([(d * d + 0.01**2) ** 0.5 for d in (sr - hr).flatten()]).mean()
    torch.testing.assert_close(CharbonnierLoss(0.01)(sr, hr), expected)


def test_charbonnier_lies_within_epsilon_above_the_absolute_error(pair):
    difference = CharbonnierLoss(1e-3)(*pair) - L1Loss()(*pair)
    assert 0 < difference < 1e-3


def test_charbonnier_has_a_gradient_where_images_agree():
    sr = torch.zeros(3, 4, requires_grad=True)
    CharbonnierLoss()(sr, torch.zeros(3, 4)).backward()
    assert sr.grad.isfinite().all()


@pytest.mark.parametrize("loss", [L1Loss(), MSELoss(), CharbonnierLoss()])
def test_loss_is_a_scalar_that_falls_as_images_come_closer(pair, loss):
    sr, hr = pair
    values = [loss(hr + part * (sr - hr), hr) for part in (1.0, 0.5, 0.0)]
    assert values[0].ndim == 0
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("loss", [L1Loss(), MSELoss(), CharbonnierLoss()])
def test_loss_does_not_depend_on_which_image_comes_first(pair, loss):
    sr, hr = pair
    torch.testing.assert_close(loss(sr, hr), loss(hr, sr))
