"""A run that fails stops with a remedy, and the state before it failed is kept."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_sr.core.errors import TrainingFailedError
from monai_sr.training import FailureGuard, TrainingState


class Loader:
    iteration = 0

    def __len__(self):
        return 100


class Run:
    """A trainer that counts in its weight, and a validator that reports given figures."""

    def __init__(self, path, *, losses=None, scalars=None, psnrs=(), saved=5, every=1, **options):
        self.network = nn.Linear(1, 1, bias=False)
        self.losses, self.scalars, self.psnrs = losses or {}, scalars or {}, iter(psnrs)
        self.trainer = Engine(self.step)
        self.validator = Engine(lambda engine, batch: None)
        self.validator.state.key_metric_name = "val_psnr"
        self.validator.add_event_handler(Events.COMPLETED, self.measure)
        self.state = TrainingState(path, {"network": self.network}, Loader(), every=saved)
        self.guard = FailureGuard(self.state, validator=self.validator, every=every, **options)
        self.guard.attach(self.trainer)
        self.state.attach(self.trainer)

    def step(self, engine, batch):
        step = engine.state.iteration
        nn.init.constant_(self.network.weight, step)
        loss = torch.tensor(float(self.losses.get(step, 1.0)))
        scalars = {name: torch.tensor(values[step]) for name, values in self.scalars.items()}
        return {"loss": loss, "scalars": scalars}

    def measure(self, engine):
        engine.state.metrics["val_psnr"] = next(self.psnrs)

    def go(self, steps=20, validate_every=None):
        if validate_every:
            self.trainer.add_event_handler(
                Events.ITERATION_COMPLETED(every=validate_every), lambda _: self.validator.run([0])
            )
        self.trainer.run([0], max_epochs=steps)
        return self


def weight(path):
    return torch.load(path, weights_only=True)["network"]["weight"].item()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_loss_that_is_no_number_stops_the_run_and_leaves_the_checkpoint(tmp_path, value):
    run = Run(tmp_path / "state.pt", losses={10: value})
    with pytest.raises(TrainingFailedError, match=r"loss became NaN.*step 11; lower.*state\.pt"):
        run.go()
    assert weight(tmp_path / "state.pt") == 5


def test_every_figure_that_is_no_number_is_named(tmp_path):
    scalars = {"pixel": [0.1] * 9, "real": [math.nan] * 9, "fake": [math.inf] * 9}
    with pytest.raises(TrainingFailedError, match="training: real, fake became NaN"):
        Run(tmp_path / "state.pt", scalars=scalars).go()


def test_run_that_fails_before_any_checkpoint_names_its_start(tmp_path):
    with pytest.raises(TrainingFailedError, match="continue from the weights it started from"):
        Run(tmp_path / "state.pt", losses={2: math.nan}).go()
    assert not list(tmp_path.iterdir())


def test_loss_is_looked_at_every_so_many_steps(tmp_path):
    with pytest.raises(TrainingFailedError, match="before step 9"):
        Run(tmp_path / "state.pt", losses={6: 1.0, 8: math.nan}, every=4).go()
    assert Run(tmp_path / "b.pt", losses={6: math.nan}, every=4).go(7).trainer.state.iteration == 7


@pytest.mark.parametrize("psnr", [21.9, -3.0, math.nan])
def test_collapse_stops_the_run_and_names_the_good_state(tmp_path, psnr):
    run = Run(tmp_path / "state.pt", psnrs=[27.0, 28.0, psnr])
    with pytest.raises(
        TrainingFailedError,
        match=rf"collapsed by step 18, .* from 28\.00 to {psnr:.2f} dB; lower.*state_good\.pt",
    ):
        run.go(validate_every=6)
    # The newest checkpoint comes after the last validation that was good.
    assert weight(tmp_path / "state_good.pt") == 10
    assert weight(tmp_path / "state.pt") == 15


def test_usual_loss_of_a_gan_is_no_collapse(tmp_path):
    run = Run(tmp_path / "state.pt", psnrs=[28.0, 22.1, 25.0]).go(validate_every=6)
    assert run.trainer.state.iteration == 20
    assert weight(tmp_path / "state_good.pt") == 15


def test_slow_fall_is_measured_from_the_best_validation(tmp_path):
    with pytest.raises(TrainingFailedError, match=r"from 30\.00 to 26\.90 dB"):
        Run(tmp_path / "state.pt", psnrs=[30.0, 28.0, 26.9], max_drop=3.0).go(validate_every=5)


def test_best_validation_is_remembered_over_a_resume(tmp_path):
    path = tmp_path / "state.pt"
    Run(path, psnrs=[30.0]).go(8, validate_every=6)
    with pytest.raises(TrainingFailedError, match=r"from 30\.00 to 20\.00 dB"):
        Run(path, psnrs=[20.0]).go(20, validate_every=12)


def test_good_state_is_a_checkpoint_to_continue_from(tmp_path):
    run = Run(tmp_path / "state.pt", psnrs=[30.0, 31.0]).go(validate_every=9)
    run.state.path = run.guard.good
    assert run.state.load() == 15
    assert run.network.weight.item() == 15


def test_run_without_validation_is_watched_too(tmp_path):
    run = Run(tmp_path / "state.pt", losses={3: math.nan})
    other = FailureGuard(run.state, every=3)
    engine = Engine(run.step)
    other.attach(engine)
    with pytest.raises(TrainingFailedError, match="loss became NaN"):
        engine.run([0], max_epochs=5)
