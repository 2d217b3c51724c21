"""Adversarial losses against their formulas, torch's cross entropy and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from monai_sr.core.errors import OptionError
from monai_sr.losses import (
    HingeAdversarialLoss,
    LeastSquaresAdversarialLoss,
    RelativisticAverageLoss,
    VanillaAdversarialLoss,
)

EVERY = [
    VanillaAdversarialLoss(),
    VanillaAdversarialLoss(label_smoothing=0.1),
    LeastSquaresAdversarialLoss(),
    HingeAdversarialLoss(),
    *[RelativisticAverageLoss(base) for base in ("bce", "least_squares", "hinge")],
]
REAL = torch.tensor([2.0, 0.5, -0.5])
FAKE = torch.tensor([-1.0, 3.0])


def close(value, expected):
    torch.testing.assert_close(value, torch.tensor(expected), rtol=1e-6, atol=1e-6)


def cross_entropy(logits, target):
    return F.binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, target))


def test_vanilla_is_the_cross_entropy_of_probabilities():
    loss = VanillaAdversarialLoss()
    torch.testing.assert_close(loss(REAL, FAKE), cross_entropy(FAKE, 1.0))
    expected = cross_entropy(REAL, 1.0) + cross_entropy(FAKE, 0.0)
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)


def test_label_smoothing_lowers_the_target_of_real_images_for_the_discriminator_alone():
    loss = VanillaAdversarialLoss(label_smoothing=0.1)
    torch.testing.assert_close(loss(REAL, FAKE), cross_entropy(FAKE, 1.0))
    expected = cross_entropy(REAL, 0.9) + cross_entropy(FAKE, 0.0)
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)


def test_least_squares_measures_the_distance_to_zero_and_one():
    loss = LeastSquaresAdversarialLoss()
    close(loss(REAL, FAKE), ((-2.0) ** 2 + 2.0**2) / 4)
    close(loss.discriminator(REAL, FAKE), (1 + 0.25 + 2.25) / 6 + (1 + 9) / 4)


def test_hinge_ignores_what_lies_beyond_the_margin():
    loss = HingeAdversarialLoss()
    close(loss(REAL, FAKE), -1.0)
    close(loss.discriminator(REAL, FAKE), (0 + 0.5 + 1.5) / 3 + (0 + 4) / 2)


@pytest.mark.parametrize(
    ("base", "high"),
    [
        ("bce", lambda t: math.log(1 + math.exp(-t))),
        ("least_squares", lambda t: (t - 1) ** 2),
        ("hinge", lambda t: max(0.0, 1 - t)),
    ],
)
def test_relativistic_compares_each_verdict_with_the_mean_of_the_others(base, high):
    loss = RelativisticAverageLoss(base)
    real = [r - 1.0 for r in (2.0, 0.5, -0.5)]  # the mean of FAKE is 1
    fake = [f - 2 / 3 for f in (-1.0, 3.0)]  # the mean of REAL is 2/3
    discriminator = sum(map(high, real)) / 3 + sum(high(-f) for f in fake) / 2
    generator = sum(map(high, fake)) / 2 + sum(high(-r) for r in real) / 3
    close(loss.discriminator(REAL, FAKE), discriminator)
    close(loss(REAL, FAKE), generator)


@pytest.mark.parametrize("loss", EVERY)
def test_gradients_of_both_players_are_those_of_the_formulas(loss):
    real = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: loss(real.detach(), f), fake)
    assert torch.autograd.gradcheck(loss.discriminator, (real, fake))


@pytest.mark.parametrize("loss", EVERY)
def test_the_players_pull_the_verdict_on_results_in_opposite_directions(loss):
    real, fake = torch.zeros(4), torch.zeros(4, requires_grad=True)
    (up,) = torch.autograd.grad(loss(real, fake), fake)
    (down,) = torch.autograd.grad(loss.discriminator(real, fake), fake)
    assert (up < 0).all()
    # A least-squares verdict of 0 is just what its discriminator wants.
    assert (down > 0).all() or isinstance(loss, LeastSquaresAdversarialLoss)


@pytest.mark.parametrize("loss", EVERY)
def test_huge_logits_and_half_precision_give_finite_float32(loss):
    real = torch.tensor([30000.0, -30000.0], dtype=torch.float16)
    fake = real.clone().requires_grad_()
    value = loss(real, fake) + loss.discriminator(real, fake)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert fake.grad.isfinite().all()


def test_the_relativistic_means_are_those_of_all_processes(monkeypatch):
    asked = []

    def global_mean(values):
        asked.append(values.shape)
        return values.mean() + 100

    monkeypatch.setattr("monai_sr.losses.adversarial.global_mean", global_mean)
    value = RelativisticAverageLoss("least_squares")(torch.zeros(3), torch.zeros(2))
    assert len(asked) == 2
    close(value, 101.0**2 + 99.0**2)


def test_an_unknown_base_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'hinge'"):
        RelativisticAverageLoss("hing")


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_label_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(OptionError, match="label_smoothing: must be in"):
        VanillaAdversarialLoss(label_smoothing=value)
