"""The balance acts when the discriminator's loss stays near zero, and only then."""

from __future__ import annotations

import logging

import pytest
import torch
from ignite.engine import Engine

from monai_sr.core.errors import OptionError
from monai_sr.losses import CompositeLoss, L1Loss
from monai_sr.training import DiscriminatorBalance


class Run:
    """A trainer whose discriminator has the loss of each step that is given."""

    def __init__(self, losses, **options):
        self.loss = CompositeLoss({"pixel": L1Loss(), "adversarial": L1Loss()})
        self.balance = DiscriminatorBalance(self.loss, **{"window": 3, **options})
        self.losses, self.learned, self.factors = losses, [], []
        self.trainer = Engine(self.step)
        self.balance.attach(self.trainer)

    def step(self, engine, batch):
        learns = not engine.state.skip_discriminator
        self.learned.append(learns)
        self.factors.append(self.loss.factors["adversarial"])
        value = torch.tensor(self.losses[engine.state.iteration - 1])
        return {"scalars": {"discriminator": value} if learns else {}}

    def go(self, start=0):
        state = {"iteration": start, "max_epochs": len(self.losses), "epoch_length": 1}
        self.trainer.load_state_dict(state)
        self.trainer.run([0])
        return self


def test_weight_is_raised_after_each_window_in_which_the_discriminator_won():
    run = Run([0.01] * 3 + [0.9] * 3 + [0.02] * 4, factor=3.0).go()
    assert run.factors == [1.0] * 3 + [3.0] * 6 + [9.0]
    assert run.loss.factors == {"pixel": 1.0, "adversarial": 9.0}
    assert all(run.learned)


def test_weight_of_the_loss_follows():
    run = Run([0.0] * 6, factor=5.0).go()
    assert run.loss.weight("adversarial") == 25.0
    assert run.loss.weight("pixel") == 1.0


def test_it_is_the_mean_of_the_window_that_counts():
    assert Run([0.149, 0.0, 0.0]).go().loss.factors["adversarial"] == 2.0
    assert Run([0.151, 0.0, 0.0]).go().loss.factors["adversarial"] == 1.0


def test_weight_is_raised_to_the_largest_factor_and_not_beyond(caplog):
    with caplog.at_level(logging.INFO, logger="monai_sr.training.guards"):
        run = Run([0.0] * 15, factor=4.0, max_factor=10.0).go()
    assert run.factors[::3] == [1.0, 4.0, 10.0, 10.0, 10.0]
    assert [r.getMessage().split(": ")[1] for r in caplog.records] == [
        "adversarial weight x 4", "adversarial weight x 10",
    ]  # fmt: skip


def test_raised_term_is_the_one_that_is_named():
    run = Run([0.0] * 3, term="pixel").go()
    assert run.loss.factors == {"pixel": 2.0, "adversarial": 1.0}


def test_discriminator_rests_for_a_window_and_is_looked_at_again(caplog):
    with caplog.at_level(logging.INFO, logger="monai_sr.training.guards"):
        run = Run([0.01] * 9 + [0.9] * 6, action="skip").go()
    learns, rests = [True] * 3, [False] * 3
    assert run.learned == learns + rests + learns + rests + learns
    assert run.loss.factors["adversarial"] == 1.0
    assert "it rests for 3 steps" in caplog.text


def test_discriminator_that_does_not_win_never_rests():
    assert all(Run([0.6] * 12, action="skip").go().learned)


@pytest.mark.parametrize("action", ["raise", "skip"])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_resumed_run_equals_uninterrupted(action, stop):
    losses = [0.01, 0.04, 0.02, 0.01, 0.3, 0.0, 0.01, 0.01, 0.01, 0.02]
    whole = Run(losses, action=action).go()
    first = Run(losses[:stop], action=action).go()
    second = Run(losses, action=action)
    second.loss.load_state_dict(first.loss.state_dict())
    second.balance.load_state_dict(first.balance.state_dict())
    second.go(start=stop)
    assert first.learned + second.learned == whole.learned
    assert first.factors + second.factors == whole.factors


def test_state_is_plain_numbers():
    state = Run([0.25]).go().balance.state_dict()
    assert state == {"sum": 0.25, "count": 1, "is_skipping": False}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "rise"}, "action: must be 'raise' or 'skip', got 'rise'"),
        ({"threshold": 0.0}, "must be positive"),
        ({"window": 0}, "must be positive"),
        ({"factor": -1.0}, "must be positive"),
        ({"term": "adversrial"}, "did you mean 'adversarial'"),
    ],
)
def test_option_that_does_not_fit_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Run([0.0], **options)
