"""The weighted sum: each term gets what it names, weights ramp, state survives a restart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.losses import (
    CompositeLoss,
    DeepSupervisionLoss,
    L1Loss,
    MSELoss,
    RelativisticAverageLoss,
)

SR, HR = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2)


class Steadiness(nn.Module):
    """A term with an argument that it can do without."""

    def forward(self, sr, ema_sr, lr=None):
        self.seen = lr
        return (sr - ema_sr).abs().mean()


def gan_loss(**kwargs):
    terms = {"pixel": L1Loss(), "adversarial": RelativisticAverageLoss()}
    return CompositeLoss(terms, {"pixel": 1.0, "adversarial": 0.5}, **kwargs)


def test_the_total_is_the_weighted_sum():
    loss = CompositeLoss({"l1": L1Loss(), "mse": MSELoss()}, {"l1": 2.0, "mse": 4.0})
    values = loss.measure(sr=SR, hr=HR)
    assert {name: float(value) for name, value in values.items()} == {"l1": 0.5, "mse": 0.25}
    assert float(loss.total(values)) == 2.0
    assert float(loss(SR, HR)) == 2.0


def test_a_term_without_a_weight_has_weight_one():
    assert float(CompositeLoss({"l1": L1Loss()})(SR, HR)) == 0.5


def test_terms_get_what_their_arguments_name():
    term = Steadiness()
    loss = CompositeLoss({"steady": term})
    assert loss.needs == {"sr", "ema_sr"}
    value = loss.measure(sr=SR, hr=HR, ema_sr=HR, lr="small")["steady"]
    assert float(value) == 0.5
    assert term.seen == "small"


def test_the_images_of_torchs_losses_are_sr_and_hr():
    loss = CompositeLoss({"l1": nn.SmoothL1Loss()})
    assert loss.needs == loss.needs_of("l1") == {"sr", "hr"}


def test_needs_leave_out_terms_without_weight():
    loss = gan_loss(ramps={"adversarial": {"start": 10, "length": 5}})
    assert loss.needs == {"sr", "hr"}
    assert set(loss.measure(sr=SR, hr=HR)) == {"pixel"}
    loss.step = 11
    assert loss.needs == {"sr", "hr", "real_logits", "fake_logits"}


def test_a_missing_argument_is_named_with_its_term_and_what_there_is():
    with pytest.raises(OptionError, match="'adversarial': needs 'real_logits', available: hr, sr"):
        gan_loss()(SR, HR)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (10, 0.0), (11, 0.1), (15, 0.5), (20, 1.0), (99, 1.0)]
)
def test_a_ramp_rises_linearly(step, expected):
    loss = CompositeLoss({"l1": L1Loss()}, ramps={"l1": {"start": 10, "length": 10}})
    loss.step = step
    assert loss.weight("l1") == pytest.approx(expected)


def test_a_ramp_of_length_zero_is_a_switch():
    loss = CompositeLoss({"l1": L1Loss()}, ramps={"l1": {"start": 3, "length": 0}})
    weights = []
    for loss.step in range(5):
        weights.append(loss.weight("l1"))
    assert weights == [0, 0, 0, 1, 1]


def test_without_any_weight_the_total_is_zero():
    loss = CompositeLoss({"l1": L1Loss()}, {"l1": 0.0})
    assert loss.needs == set()
    assert float(loss(SR, HR)) == 0.0


def test_factors_change_weights_and_survive_a_restart(tmp_path):
    loss = gan_loss()
    loss.step = 7
    loss.factors["adversarial"] = 50.0
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    other = gan_loss()
    other.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert (other.step, other.weight("adversarial")) == (7, 25.0)


def test_a_list_of_outputs_supervises_its_last_and_all_of_them():
    loss = CompositeLoss({"pixel": L1Loss(), "deep": DeepSupervisionLoss(L1Loss(), 2.0)})
    assert loss.needs == {"sr", "hr", "outputs"}
    assert float(loss([SR, SR, HR], HR)) == 0.0 + 2.0 * 0.5


def test_half_precision_terms_are_added_in_float32():
    loss = CompositeLoss({"l1": L1Loss()})
    assert loss(SR.bfloat16(), HR.bfloat16()).dtype == torch.float32


def test_gradients_are_weighted_too():
    sr = torch.rand(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    loss = CompositeLoss({"l1": L1Loss(), "mse": MSELoss()}, {"l1": 0.3, "mse": 0.7})
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.zeros_like(x)), sr)


@pytest.mark.parametrize("option", ["weights", "ramps"])
def test_an_unknown_term_is_answered_with_the_nearest(option):
    value = {"adversarail": {"start": 0, "length": 1} if option == "ramps" else 1.0}
    with pytest.raises(OptionError, match="did you mean 'adversarial'"):
        CompositeLoss({"adversarial": RelativisticAverageLoss()}, **{option: value})


@pytest.mark.parametrize("ramp", [{"start": 0}, {"start": -1, "length": 2}, {"begin": 1}])
def test_a_ramp_needs_start_and_length(ramp):
    with pytest.raises(OptionError, match=r"ramps\['l1'\]: needs start and length"):
        CompositeLoss({"l1": L1Loss()}, ramps={"l1": ramp})
