"""Runs of a campaign: budgets that hold, more time as a new run, other machines, two cores."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from monai_sr import hook
from monai_sr.core.fingerprint import weights_sha256

ONE = {"bundle": "natural_sr", "stage": 1, "hours": 1.0, "system": "srgan_8"}
TWO = {"bundle": "natural_sr", "stage": 2, "hours": 2.0, "system": "srgan_8"}
OTHER = {"bundle": "natural_sr", "stage": 1, "hours": 1.0, "system": "srcnn"}
NAME = "natural_sr/srgan_8_x4/stage_1"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / NAME


def test_minutes_of_one_call_are_the_budget_that_the_run_keeps(runner, folder):
    assert runner(ONE, minutes=20.0).run() == 0
    (folder / "told.txt").unlink()
    again = runner(ONE)
    assert again.run() == 0  # an hour is listed: its schedule has ended all the same
    assert not (folder / "told.txt").exists()
    line = again.ledger.lines[NAME]
    assert (line.hours, line.budget_hours) == (pytest.approx(1 / 3, abs=1e-4),) * 2


def test_a_killed_run_goes_on_to_the_minutes_that_it_began_with(runner, folder):
    work = runner(ONE, minutes=20.0, seconds=60)
    work.begin(work.campaign.jobs[0], [])
    wait_for(folder / "curve.csv")
    work.stop()
    assert runner(ONE).run() == 0
    assert (folder / "told.txt").read_text() == "20.0 None"


def test_more_time_is_a_new_run_from_its_own_weights(runner, folder):
    assert runner(ONE, minutes=20.0).run() == 0
    assert runner(ONE, options={"extend": True}).run() == 0
    assert (folder / "told.txt").read_text() == "40.0 start.pt"
    assert (folder.parent / "earlier/stage_1_1/told.txt").read_text() == "20.0 None"
    # Of both runs together; a third call has nothing to do.
    assert json.loads((folder / "done.json").read_text()) == {
        "minutes": 60.0, "step": 18.0, "hr_megapixels": 6.0,
    }  # fmt: skip
    (folder / "told.txt").unlink()
    last = runner(ONE, options={"extend": True})
    assert last.run() == 0
    assert not (folder / "told.txt").exists()
    line = last.ledger.lines[NAME]
    assert (line.hours, line.steps, line.start) == (1.0, 18, "own weights after 20.0 minutes")


def test_a_kill_between_two_runs_loses_nothing(runner, folder):
    assert runner(ONE, minutes=20.0).run() == 0
    runner(ONE).run_of(NAME).set_aside()
    assert runner(ONE, options={"extend": True}).run() == 0
    assert (folder / "told.txt").read_text() == "40.0 start.pt"


def test_runs_that_kept_no_budget_have_that_of_the_ledger(runner, folder):
    """As runs of before this rule: a curve, a state, maybe a start, and a line."""
    folder.mkdir(parents=True)
    (folder / "curve.csv").write_text("step,minutes,hr_megapixels\n9,21.0,3\n")
    (folder / "start.json").write_text('{"minutes_before": 0.0, "start": "model.pt"}')
    work = runner(ONE)
    line = work.ledger.line(work.campaign.jobs[0])
    line.profile, line.hours, line.budget_hours = "cpu", 0.35, 0.35
    assert work.run() == 0  # not known to have ended: it gets nothing but its end
    assert (folder / "told.txt").read_text() == "21.0 None"
    (folder / "told.txt").unlink()
    assert runner(ONE).run() == 0
    assert not (folder / "told.txt").exists()


def test_a_line_without_later_columns_loads(modules, tmp_path):
    (tmp_path / "campaign.csv").write_text(f"job,profile,hours,val_psnr\n{NAME},cpu,1.5,27.5\n")
    line = modules.campaign_judge.Ledger(tmp_path / "campaign.csv").lines[NAME]
    assert (line.hours, line.val_psnr) == (1.5, 27.5)
    assert math.isnan(line.own_psnr)
    assert line.told_share == ""


def test_a_job_that_was_asked_for_by_name_and_is_done_is_told_of(runner, folder, caplog):
    assert runner(ONE).run() == 0
    asked = runner(ONE, options={"jobs": ["srgan"]})
    with caplog.at_level("INFO"):
        assert asked.run() == 0
    assert f"{NAME}: has had its 60.0 minutes" in caplog.text


def test_hours_on_another_kind_of_machine_do_not_count(runner, folder):
    assert runner(ONE).run() == 0
    shutil.rmtree(folder)
    assert runner(ONE, options={"profile": "gpu"}, minutes_each=3.0).run() == 0
    assert (folder / "told.txt").read_text() == "3.0 None"


def test_a_process_that_outlived_its_runner_is_not_doubled(runner, folder, caplog):
    left = runner(ONE, seconds=60)
    left.begin(left.campaign.jobs[0], [])
    wait_for(folder / "curve.csv")
    left.running[0].log.close()  # as when the runner is killed
    assert runner(ONE).run() == 1
    assert "must be trained by one process, got a second; wait for the first" in caplog.text
    left.stop()
    assert runner(ONE).run() == 0


def test_two_cores_take_two_jobs_and_a_job_of_two_threads_waits_for_both(
    runner, modules, monkeypatch
):
    begun = []
    begin = modules.campaign.Runner.begin

    def watched(self, job, cores):
        begun.append((job.system, job.stage, cores, len(self.running)))
        begin(self, job, cores)

    monkeypatch.setattr(modules.campaign.Runner, "begin", watched)
    monkeypatch.setattr(modules.campaign, "pinned", lambda _cores: [])
    both = {**TWO, "threads": 2}
    work = runner(ONE, OTHER, both, {**OTHER, "bundle": "xray_sr"}, options={"cores": [0, 1]})
    assert work.run() == 0
    assert begun == [
        ("srgan_8", 1, [0], 0), ("srcnn", 1, [1], 1), ("srgan_8", 2, begun[2][2], 0),
        ("srcnn", 1, begun[3][2], 0),
    ]  # fmt: skip
    assert sorted(begun[2][2]) == [0, 1]
    assert work.ledger.lines["natural_sr/srgan_8_x4/stage_2"].threads == 2


def test_what_another_machine_trained_is_judged_at_home(runner, modules, tmp_path, monkeypatch):
    away = runner(ONE, TWO, options={"profile": "gpu"})
    monkeypatch.setattr(away, "judge", away.collect)
    assert away.run() == 0
    for file in (tmp_path / "results", tmp_path / "runs"):
        shutil.rmtree(file)
    judged = []

    def judge(_campaign, job, weights, _data, ledger, _root):
        line = ledger.line(job)
        line.weights_sha256 = weights_sha256(weights)
        judged.append((job.name, line.hours, line.profile))
        ledger.save()
        return line

    home = runner(ONE, OTHER, TWO)
    monkeypatch.setattr(modules.campaign, "judge_and_ship", judge)
    home.take(tmp_path / "out")
    second = "natural_sr/srgan_8_x4/stage_2"
    assert judged == [(NAME, 1.0, "gpu"), (second, 2.0, "gpu")]
    lines = modules.campaign_judge.Ledger(tmp_path / "results/campaign.csv").lines
    assert set(lines) == {NAME, second}
    curve = tmp_path / "results/campaign/natural_sr-srgan_8_x4-stage_2.csv"
    assert curve.read_text().splitlines()[-1] == "9,120.0,3"


def test_a_command_of_a_gpu_knows_every_option(modules, tmp_path):
    campaign = modules.campaign_jobs.read_campaign(profile="gpu")
    jobs = {job.name: job for job in campaign.jobs}
    for name, batch in (
        ("natural_sr/hybrid_cnn_gan_x4/stage_2", 32),
        ("mri_sr/best_x4/stage_2", 32),
        ("mri_sr/volumes_x2/stage_1", 16),
        ("natural_sr/drcn_x4/stage_1", 16),
    ):
        job = jobs[name]
        start = tmp_path / "start.pt" if job.before else None
        words = campaign.command(job, tmp_path, tmp_path / "run", campaign.minutes(job), start)
        hook.check_options(words[words.index("monai.bundle") + 1 :])  # reads the files, too
        told = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i][:2] == "--"}
        assert told["--batch_size"] == str(batch)
        assert float(told["--minutes"]) == campaign.minutes(job) > 0
        assert (told["--device"], told["--precision"], told["--compile"]) == (
            "cuda", "bfloat16", "True",
        )  # fmt: skip
        assert ("--pretrained" in told) == bool(job.before)


def test_a_processor_chooses_its_precision_itself(modules, tmp_path):
    campaign = modules.campaign_jobs.read_campaign()
    words = campaign.command(campaign.jobs[0], tmp_path, tmp_path / "run", 1.0, None)
    assert "--minutes" in words
    assert "--precision" not in words


def test_the_share_of_the_own_models_gain_is_told(modules):
    line = modules.campaign_judge.Line("a", val_psnr=29.4, bicubic_psnr=27.0, own_psnr=30.0)
    assert line.share_of_gain == pytest.approx(0.8)
    assert line.told_share == ", 80% of the own model's gain"


def wait_for(file, seconds=60):
    until = time.monotonic() + seconds
    while not file.is_file():
        assert time.monotonic() < until, file
        time.sleep(0.01)


def write_photos(folder, count):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (13, 14, 3), dtype=np.uint8))
        smooth.resize((112, 104), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


@pytest.fixture
def command(repo_root, tmp_path):
    """Return a function that gives the command line of a campaign of tiny photos."""
    write_photos(tmp_path / "data/train", 3)
    write_photos(tmp_path / "data/validation", 1)

    def build(runs, *entries, profile="cpu", **options):
        content = {
            "data": {"natural_sr": {"dataset_dir": "train", "validation_dir": "validation"}},
            "profiles": {
                "cpu": {},
                "rehearsal": {"minutes_each": 0.01, "is_rehearsal": True, "options": options},
            },
            "jobs": list(entries),
        }
        file = tmp_path / "campaign.yaml"
        file.write_text(yaml.safe_dump(content))
        return [sys.executable, str(repo_root / "benchmarks/campaign.py"), "--campaign", str(file),
                "--data", str(tmp_path / "data"), "--runs", str(runs), "--profile", profile,
                "--results", str(runs), "--root", str(tmp_path)]  # fmt: skip

    return build


SMALL = {"device": "cpu", "batch_size": 2, "epoch_length": 2, "precision": "float32"}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.slow
def test_a_campaign_killed_anywhere_goes_on_to_the_same_bytes(command, tmp_path):
    """Steps in place of minutes: then a run is a function of its seed alone."""
    steps = {**SMALL, "minutes": 0, "steps": 40, "train#state#every": 2, "patch_size": 12}
    job = {**OTHER, "ships": False, "options": steps}
    weights = []
    for name in ("whole", "killed"):
        runs = tmp_path / name
        runs.mkdir()
        run = runs / "natural_sr/srcnn_x4/stage_1"
        words = command(runs, job)
        if name == "killed":
            process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
            wait_for(run / "state.pt", 300)
            process.kill()
            process.wait()
            trainer = child_of(run)
            if trainer is not None:
                os.kill(trainer, signal.SIGKILL)
                wait_until_gone(trainer)
            assert not (run / "done.json").exists()
        done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads((run / "done.json").read_text())["step"] == 40
        weights.append((run / "model.pt").read_bytes())
    assert weights[0] == weights[1]


def child_of(run):
    """Return the process that trains in a folder."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if b"monai.bundle" in words and str(run).encode() in words:
            return int(entry)
    return None


def wait_until_gone(process, seconds=30):
    until = time.monotonic() + seconds
    while os.path.exists(f"/proc/{process}") and time.monotonic() < until:
        with open(f"/proc/{process}/stat") as stream:
            if stream.read().rpartition(")")[2].split()[0] == "Z":
                return
        time.sleep(0.05)


@pytest.mark.slow
def test_a_rehearsal_trains_and_judges_two_jobs_and_ships_none(command, tmp_path):
    runs = tmp_path / "runs"
    stages = [{"bundle": "natural_sr", "hours": 1.0, "system": "srcnn_srgan", "stage": stage}
              for stage in (1, 2)]  # fmt: skip
    words = command(runs, *stages, profile="rehearsal", **SMALL, patch_size=12)
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (runs / "results/campaign.csv").read_text().splitlines()
    assert len(lines) == 3
    assert all(",rehearsal," in line for line in lines[1:])
    assert not (tmp_path / "bundles").exists()
