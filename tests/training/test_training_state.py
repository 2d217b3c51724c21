"""A run that was killed and resumed ends exactly as one that was not."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from monai.engines import SupervisedTrainer

from monai_sr.core.errors import OptionError, OutputError, TrainingFailedError, WeightsError
from monai_sr.core.private_folder import hold
from monai_sr.inferers import AutocastInferer
from monai_sr.losses import L1Loss
from monai_sr.networks import create_generator
from monai_sr.training import (
    BudgetSchedule,
    GradientClipping,
    PatchLoader,
    RandomDegradation,
    TrainingState,
    prepare_sr_batch,
    training_state,
)

STEPS, EPOCH = 40, 8


class KilledError(Exception):
    """Stands for whatever ends a process."""


class Run:
    """Everything of a small training, built anew as a new process would."""

    def __init__(self, files, path, every=5, resume=True, steps=STEPS, options=None):
        torch.manual_seed(int(path.exists()))  # a resumed run must not lean on its first weights
        self.network = create_generator(
            "hybrid_cascade", in_channels=1, block="plain", channels=4, num_blocks=1
        ).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.loader = PatchLoader(
            files, np.load, patch_size=4, batch_size=2, epoch_length=EPOCH, group_batches=7
        )
        self.schedule = BudgetSchedule(self.optimizer, 1e-2, steps=steps, warmup_steps=10)
        ema = EMAHandler(self.network, momentum=0.1)
        self.ema = ema.ema_model
        self.state = TrainingState(
            path,
            {"network": self.network, "ema": self.ema, "optimizer": self.optimizer}
            | {"schedule": self.schedule},
            self.loader,
            every=every,
            resume=resume,
            options=options,
        )
        self.trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=1000,
            train_data_loader=self.loader,
            network=self.network,
            optimizer=self.optimizer,
            loss_function=L1Loss(),
            prepare_batch=prepare_sr_batch,
            inferer=AutocastInferer("float32"),
            decollate=False,
            optim_set_to_none=True,  # else a tail that a batch does not use is stepped as well
            train_handlers=[
                self.schedule,
                GradientClipping(self.network, 0.5),
                ema,
                self.state,
            ],
        )
        self.losses, self.epochs = {}, []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._note_epoch)

    def _note_loss(self, engine):
        self.losses[engine.state.iteration] = engine.state.output["loss"].item()

    def _note_epoch(self, engine):
        self.epochs.append((engine.state.epoch, engine.state.iteration))

    def go(self, kill_at=None):
        if kill_at:
            self.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=kill_at), self._kill)
        self.trainer.run()
        return self

    def _kill(self):
        raise KilledError

    def bytes(self):
        states = self.optimizer.state_dict()["state"].values()
        return [
            *self.network.state_dict().values(),
            *self.ema.state_dict().values(),
            *(value for state in states for value in state.values()),
        ]


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(4)
    names = [tmp_path / f"{i}.npy" for i in range(3)]
    for name in names:
        np.save(name, random.integers(0, 256, (1, 24, 28), dtype=np.uint8))
    return names


@pytest.fixture
def uninterrupted(files, tmp_path):
    return Run(files, tmp_path / "whole.pt").go()


@pytest.fixture
def killed(files, tmp_path):
    """Kill a run at step 23, with checkpoints every 5 steps."""
    path = tmp_path / "state.pt"
    with pytest.raises(KilledError):
        Run(files, path).go(kill_at=23)
    return path


def test_killed_and_resumed_equals_uninterrupted(files, killed, uninterrupted):
    resumed = Run(files, killed).go()
    assert min(resumed.losses) == 21
    assert max(resumed.losses) == STEPS
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.bytes(), uninterrupted.bytes(), strict=True)
    )
    assert all(resumed.losses[i] == uninterrupted.losses[i] for i in resumed.losses)


def test_a_run_that_goes_on_with_other_options_says_so(files, tmp_path, caplog):
    path, photos = tmp_path / "state.pt", tmp_path / "photos"
    photos.mkdir()
    noise = RandomDegradation(noise_sigma=[0, 5])
    told = {"seed": 0, "dataset_dir": str(photos), "degradation": noise}
    Run(files, path, steps=5, options=told).go()
    same = RandomDegradation(noise_sigma=(0, 5))
    Run(files, path, steps=10, options=told | {"dataset_dir": photos, "degradation": same}).go()
    assert "other options" not in caplog.text
    other = RandomDegradation(noise_sigma=[0, 9])
    Run(files, path, steps=15, options=told | {"seed": 1, "degradation": other}).go()
    assert "trained with other options, got seed '1' (before: '0'), degradation" in caplog.text
    assert "from step 10 on" in caplog.text


def test_a_run_that_is_over_takes_no_other_options(files, tmp_path):
    path = tmp_path / "state.pt"
    Run(files, path, steps=5, options={"seed": 0}).go()
    assert Run(files, path, steps=5, options={"seed": 0, "more": 1}).go().losses == {}
    with pytest.raises(OptionError, match=r"got seed '1' .*budget is spent; name another"):
        Run(files, path, steps=5, options={"seed": 1}).go()


def test_epochs_of_a_resumed_run_fall_on_the_same_steps(files, killed, uninterrupted):
    resumed = Run(files, killed).go()
    assert resumed.epochs == [pair for pair in uninterrupted.epochs if pair[1] > 20]


def test_killed_at_every_kind_of_step_and_resumed_equals_uninterrupted(
    files, tmp_path, uninterrupted
):
    path = tmp_path / "often.pt"
    for step in (1, EPOCH, EPOCH + 1, 39):
        with pytest.raises(KilledError):
            Run(files, path, every=1).go(kill_at=step)
    resumed = Run(files, path, every=1).go()
    assert min(resumed.losses) == STEPS
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.bytes(), uninterrupted.bytes(), strict=True)
    )


def test_finished_run_takes_no_further_step(files, tmp_path, uninterrupted):
    again = Run(files, tmp_path / "whole.pt").go()
    assert again.losses == {}
    assert all(torch.equal(a, b) for a, b in zip(again.bytes(), uninterrupted.bytes(), strict=True))


def test_run_starts_afresh_when_told_not_to_resume(files, killed):
    assert min(Run(files, killed, resume=False).go().losses) == 1


def test_checkpoint_loads_with_weights_only_and_leaves_no_partial_file(killed):
    assert torch.load(killed, weights_only=True)["iteration"] == 20
    assert not list(killed.parent.glob(".*"))


def test_what_a_killed_run_was_writing_goes_when_it_goes_on(files, killed):
    left = killed.parent / ".0123456789ab.part"
    left.mkdir(mode=0o700)
    (left / "whole.pt").write_bytes(b"half")
    Run(files, killed).go()
    assert not left.exists()


def test_checkpoint_of_another_run_is_refused(files, killed):
    torch.save({"iteration": 5}, killed)
    with pytest.raises(WeightsError, match="remove it or start with --resume False"):
        Run(files, killed).go()


def test_damaged_checkpoint_is_refused(files, killed):
    killed.write_bytes(killed.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"state\.pt: is no checkpoint of this run"):
        Run(files, killed).go()


def test_folder_that_cannot_be_written_is_named(files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another output folder"):
        Run(files, tmp_path / "file" / "state.pt").go()


class Count:
    """A loader and a part of the state: a number."""

    def __init__(self):
        self.iteration = 0

    def __len__(self):
        return 1000

    def state_dict(self):
        return {"iteration": self.iteration}

    def load_state_dict(self, state):
        self.iteration = state["iteration"]


def saved_at(path, steps, accumulation_steps, **options):
    """Return the steps after which the checkpoint was new."""
    seen = {}
    engine = Engine(lambda engine, batch: None)
    if accumulation_steps:
        engine.accumulation_steps = accumulation_steps
    TrainingState(path, {"count": Count()}, Count(), **options).attach(engine)

    @engine.on(Events.ITERATION_COMPLETED)
    def look(engine):
        if path.exists():
            saved = torch.load(path, weights_only=True)["iteration"]
            seen.setdefault(saved, engine.state.iteration)

    engine.run(range(1000), max_epochs=1, epoch_length=steps)
    assert all(saved == step for saved, step in seen.items())
    return list(seen)


@pytest.mark.parametrize(
    ("accumulation_steps", "steps"),
    [(None, [10, 20, 30]), (1, [10, 20, 30]), (4, [20]), (3, [30]), (5, [10, 20, 30])],
)
def test_checkpoint_waits_until_added_gradients_are_used(tmp_path, accumulation_steps, steps):
    assert saved_at(tmp_path / "state.pt", 35, accumulation_steps, every=10) == steps


def test_only_the_first_process_writes_and_every_one_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(training_state, "rank", lambda: 1)
    path = tmp_path / "state.pt"
    assert saved_at(path, 5, 1, every=1) == []
    torch.save({"count": {"iteration": 7}, "iteration": 7}, path)
    part, loader = Count(), Count()
    engine = Engine(lambda engine, batch: None)
    TrainingState(path, {"count": part}, loader).attach(engine)
    engine.run(range(1000), max_epochs=1, epoch_length=9)
    assert (part.iteration, engine.state.iteration) == (7, 9)
    assert torch.load(path, weights_only=True)["iteration"] == 7


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_state_with_a_broken_weight_is_never_saved(tmp_path, kind, value):
    path = tmp_path / "state.pt"
    network = torch.nn.BatchNorm1d(2)
    state = TrainingState(path, {"network": network}, Count())
    engine = Engine(lambda engine, batch: None)
    state.save(engine)
    before = path.read_bytes()
    engine.state.iteration = 3
    with torch.no_grad():
        (network.bias if kind == "parameter" else network.running_mean)[1] = value
    with pytest.raises(
        TrainingFailedError, match=r"network: a weight is NaN.*step 3; lower.*state\.pt"
    ):
        state.save(engine)
    assert path.read_bytes() == before


def test_parts_that_are_added_leave_the_callers_alone(tmp_path):
    parts = {"one": Count()}
    TrainingState(tmp_path / "state.pt", parts, Count()).parts["two"] = Count()
    assert list(parts) == ["one"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_a_folder_in_which_another_process_trains_is_refused(files, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    other = hold(folder)
    with pytest.raises(OptionError, match=r"run: another process is training there; wait until"):
        Run(files, folder / "state.pt", steps=2).go()
    os.close(other)
    Run(files, folder / "state.pt", steps=2).go()
    other = hold(folder)  # the run is over
    assert other is not None
    os.close(other)
