"""The learning curve holds the mean loss, speed and PSNR of every interval, also after a resume."""

from __future__ import annotations

import csv
import logging
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_sr.core.errors import OutputError
from monai_sr.training import BudgetSchedule, TrainingLog, training_log
from tests.full_disk import at_most


class Run:
    """A trainer whose loss is its step number, as are the scalars that it is told of."""

    def __init__(self, path, steps=10, every=4, validator=None, scalars=(), label=(2, 3, 50, 100)):
        self.scalars, self.label = scalars, label
        weight = torch.nn.Parameter(torch.zeros(1))
        self.schedule = BudgetSchedule(torch.optim.SGD([weight]), 0.1, steps=steps, warmup_steps=0)
        self.loader = SimpleNamespace(seconds=0.0)
        self.trainer = Engine(self.step)
        self.schedule.attach(self.trainer)
        self.log = TrainingLog(self.schedule, self.loader, path, every=every, validator=validator)
        self.log.attach(self.trainer)

    def step(self, engine, batch):
        value = torch.tensor(float(engine.state.iteration))
        output = {CommonKeys.LOSS: value, CommonKeys.LABEL: torch.zeros(self.label)}
        if self.scalars:
            output["scalars"] = {name: value * i for i, name in enumerate(self.scalars, 1)}
        return output

    def go(self, start=0):
        if start:
            self.trainer.load_state_dict({"iteration": start, "max_epochs": 100, "epoch_length": 1})
        self.trainer.run([0], max_epochs=100)


def rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_every_interval_has_its_mean_loss_and_the_last_is_not_lost(tmp_path):
    path = tmp_path / "deep" / "curve.csv"
    Run(path).go()
    assert [int(r["step"]) for r in rows(path)] == [4, 8, 10]
    assert [float(r["loss"]) for r in rows(path)] == [2.5, 6.5, 9.5]
    assert all(float(r["seconds_per_step"]) >= 0 for r in rows(path))


def test_lines_after_the_resumed_step_are_dropped(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, steps=10).go()
    Run(path, steps=12).go(start=8)
    assert [int(r["step"]) for r in rows(path)] == [4, 8, 12]


def test_a_line_that_a_kill_has_cut_is_dropped(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, steps=8).go()
    with path.open("a") as stream:
        stream.write("1")
    Run(path, steps=12).go(start=8)
    assert [int(r["step"]) for r in rows(path)] == [4, 8, 12]


def test_a_line_that_is_cut_in_its_last_figure_is_dropped(tmp_path):
    validator = SimpleNamespace(
        state=SimpleNamespace(metrics={"psnr": 31.25}, key_metric_name="psnr")
    )
    path = tmp_path / "curve.csv"
    Run(path, steps=8, validator=validator).go()
    path.write_bytes(path.read_bytes().rstrip()[:-5])  # "3" of "31.250"
    Run(path, steps=12, validator=validator).go(start=8)
    assert [(int(r["step"]), r["psnr"]) for r in rows(path)] == [(4, "31.250"), (12, "31.250")]


def test_a_line_that_the_disk_has_no_space_for_is_one_clear_line(tmp_path):
    path = tmp_path / "curve.csv"
    said = r"curve\.csv: cannot be written, got .* free space or choose another folder, "
    with at_most(150), pytest.raises(OutputError, match=said):
        Run(path).go()
    Run(path, steps=8).go()
    assert [int(r["step"]) for r in rows(path)] == [4, 8]


def test_a_new_run_starts_a_new_curve(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, steps=8).go()
    Run(path, steps=4).go()
    assert [int(r["step"]) for r in rows(path)] == [4]


def test_the_time_spent_on_data_is_a_share(tmp_path):
    run = Run(tmp_path / "curve.csv", steps=4)
    inner = run.step

    def slow(engine, batch):
        started = run.schedule.elapsed_seconds()
        while run.schedule.elapsed_seconds() - started < 0.01:
            pass
        run.loader.seconds += 0.005
        return inner(engine, batch)

    run.trainer._process_function = slow
    run.go()
    assert 0.2 < float(rows(tmp_path / "curve.csv")[0]["loader_share"]) <= 0.5


@pytest.mark.parametrize(("metrics", "expected"), [({}, ""), ({"val_psnr": 31.41592}, "31.416")])
def test_the_validators_metric_is_a_column_once_it_has_run(tmp_path, metrics, expected):
    state = SimpleNamespace(metrics=metrics, key_metric_name="val_psnr")
    Run(tmp_path / "curve.csv", validator=SimpleNamespace(state=state)).go()
    assert {r["psnr"] for r in rows(tmp_path / "curve.csv")} == {expected}


def test_high_resolution_pixels_are_counted_once_for_all_channels(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path).go()
    # Two images of 50 x 100 a step.
    assert [r["hr_megapixels"] for r in rows(path)] == ["0.040", "0.080", "0.100"]
    Run(path, label=(1, 1, 10, 20, 25)).go()
    assert [r["hr_megapixels"] for r in rows(path)] == ["0.020", "0.040", "0.050"]


def test_pixels_of_all_processes_count(tmp_path, monkeypatch):
    monkeypatch.setattr(training_log, "world_size", lambda: 3)
    Run(tmp_path / "curve.csv", steps=4).go()
    assert rows(tmp_path / "curve.csv")[0]["hr_megapixels"] == "0.120"


def test_pixels_before_a_resume_count(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, steps=8).go()
    Run(path, steps=12).go(start=8)
    assert [r["hr_megapixels"] for r in rows(path)] == ["0.040", "0.080", "0.120"]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(training_log, "rank", lambda: 1)
    Run(tmp_path / "curve.csv").go()
    assert not list(tmp_path.iterdir())


def test_named_figures_are_columns_with_their_means(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, scalars=["pixel", "adversarial"]).go()
    assert list(rows(path)[0])[-3:] == ["psnr", "pixel", "adversarial"]
    assert [float(r["pixel"]) for r in rows(path)] == [2.5, 6.5, 9.5]
    assert [float(r["adversarial"]) for r in rows(path)] == [5.0, 13.0, 19.0]


def test_figure_that_comes_later_is_a_column_empty_before(tmp_path):
    """A loss term of weight zero is not computed, and has no figure, until its ramp rises."""
    path = tmp_path / "curve.csv"
    run = Run(path, scalars=["pixel"])

    @run.trainer.on(Events.ITERATION_STARTED(once=7))
    def begin(_engine):
        run.scalars = ["pixel", "adversarial"]

    run.go()
    assert [r["pixel"] for r in rows(path)] == ["2.5", "6.5", "9.5"]
    # Of steps 7 and 8, twice their number; then of 9 and 10.
    assert [r["adversarial"] for r in rows(path)] == ["", "15", "19"]
    assert [int(r["step"]) for r in rows(path)] == [4, 8, 10]


def test_figure_that_is_absent_for_a_while_leaves_its_place_empty(tmp_path):
    path = tmp_path / "curve.csv"
    run = Run(path, scalars=["discriminator"], steps=12)

    @run.trainer.on(Events.ITERATION_STARTED)
    def rest(engine):
        run.scalars = [] if 4 < engine.state.iteration <= 8 else ["discriminator"]

    run.go()
    assert [r["discriminator"] for r in rows(path)] == ["2.5", "", "10.5"]


def test_resumed_run_keeps_the_columns_of_the_lines_before(tmp_path):
    path = tmp_path / "curve.csv"
    Run(path, steps=8, scalars=["pixel", "wavelet"]).go()
    Run(path, steps=12, scalars=["pixel", "edges"]).go(start=8)
    assert [r["pixel"] for r in rows(path)] == ["2.5", "6.5", "10.5"]
    assert [r["wavelet"] for r in rows(path)] == ["5", "13", ""]
    assert [r["edges"] for r in rows(path)] == ["", "", "21"]


def test_curve_of_a_version_without_pixels_goes_on(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,loss\n4,2.5\n")
    Run(path, steps=8).go(start=4)
    assert [r["loss"] for r in rows(path)] == ["2.5", "6.500000"]
    assert [r["hr_megapixels"] for r in rows(path)] == ["", "0.040"]


def test_progress_and_time_left_are_told(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="monai_sr.training.training_log"):
        Run(tmp_path / "curve.csv", steps=8).go()
    assert "step 4  loss 2.500000" in caplog.text
    assert "50 % done" in caplog.text
    assert "100 % done, 0:00:00 left" in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"curve\.csv"):
        Run(tmp_path / "file" / "curve.csv").go()
