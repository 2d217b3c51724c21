"""DRCN: what the contract of every generator does not say."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_generator


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = create_generator("drcn", scale=2, in_channels=1, channels=3, recursions=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.01, 0.2)
    return model


def test_every_output_is_each_pass_and_their_weighted_sum(model):
    lr = torch.rand(2, 1, 5, 4)
    *passes, average = model.every_output(lr)
    assert len(passes) == 3
    expected = sum(w * image for w, image in zip(model.pass_weights, passes, strict=True))
    torch.testing.assert_close(average, expected)
    assert torch.equal(average, model(lr))
    with pytest.raises(OptionError, match="built for"):
        model.every_output(lr, 4)


def test_first_passes_do_not_depend_on_how_many_follow(model):
    shorter = create_generator("drcn", scale=2, in_channels=1, channels=3, recursions=2)
    state = {**model.state_dict(), "pass_weights": torch.ones(2)}
    shorter.load_state_dict(state)
    lr = torch.rand(1, 1, 4, 4)
    for expected, got in zip(model.every_output(lr)[:2], shorter.every_output(lr)[:2], strict=True):
        torch.testing.assert_close(got, expected)


def test_recursion_starts_as_the_identity():
    model = create_generator("drcn", channels=4)
    x = torch.rand(1, 4, 3, 3)
    torch.testing.assert_close(model.recursion(x), x)
    assert model.pass_weights.sum().item() == pytest.approx(1)
