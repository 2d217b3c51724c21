"""The campaign: jobs in order, runs that go on after a kill, weights shipped only if better."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
import time

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.networks import create_generator, list_systems, save_weights
from monai_sr.networks.systems import find_system
from monai_sr.training.split_table import read_split_table

ONE = {"bundle": "natural_sr", "stage": 1, "hours": 1.0, "system": "srgan_8"}
TWO = {"bundle": "natural_sr", "stage": 2, "hours": 2.0, "system": "srgan_8"}


def test_every_learning_system_is_in_the_campaign(modules):
    campaign = modules.campaign_jobs.read_campaign()
    named = {job.system for job in campaign.jobs}
    variants = {"srgan_8_raised"}
    learning = {
        name
        for name in list_systems()
        if modules.campaign_jobs.Job("natural_sr", 1, 1.0, system=name)._learns != "nothing"
    }
    assert learning - named == variants


def test_tables_of_the_campaign_keep_each_person_on_one_side(modules, repo_root):
    data = modules.campaign_jobs.read_campaign().data.values()
    tables = {entry["split_table"] for entry in data if "split_table" in entry}
    assert len(tables) >= 3
    for table in tables:
        read_split_table(repo_root / table)


def test_jobs_are_trained_in_order_and_the_second_stage_starts_from_the_first(runner, tmp_path):
    work = runner(TWO, ONE)
    assert work.run() == 0
    second = tmp_path / "runs/natural_sr/srgan_8_x4/stage_2"
    assert (second / "told.txt").read_text() == "120.0 start.pt"
    assert (second / "start.pt").read_text() == "srgan_8_x4"
    line = work.ledger.lines["natural_sr/srgan_8_x4/stage_2"]
    assert (line.hours, line.steps, line.start) == (2.0, 9, "model.pt")


def test_a_job_learns_from_images_of_its_own_where_all_are_there(modules, tmp_path):
    more = {"dataset_dir": ["photos", "more"], "validation_dir": "held", "teacher": "taught"}
    data = {"natural_sr": {"dataset_dir": "photos", "validation_dir": "held"}, "more": more}
    job = modules.campaign_jobs.Job("natural_sr", 1, 1.0, images="more")
    campaign = modules.campaign_jobs.Campaign([job], data, {})
    for part in ("photos", "more", "held"):
        (tmp_path / part).mkdir()
    told = campaign.options(job, tmp_path)
    assert "teacher" not in told
    assert told["dataset_dir"] == str(tmp_path / "photos")
    (tmp_path / "taught").mkdir()
    told = campaign.options(job, tmp_path)
    assert told["dataset_dir"] == [str(tmp_path / "photos"), str(tmp_path / "more")]
    assert told["teacher"] == str(tmp_path / "taught")


def test_a_finished_job_is_not_trained_again(runner, tmp_path):
    assert runner(ONE).run() == 0
    marker = tmp_path / "runs/natural_sr/srgan_8_x4/stage_1/told.txt"
    marker.unlink()
    assert runner(ONE).run() == 0
    assert not marker.exists()


def test_a_stopped_job_goes_on_with_its_whole_budget(runner, tmp_path):
    work = runner(ONE, seconds=60)
    work.begin(work.campaign.jobs[0], [])
    run = tmp_path / "runs/natural_sr/srgan_8_x4/stage_1"
    until = time.monotonic() + 20
    while not (run / "curve.csv").is_file() and time.monotonic() < until:
        time.sleep(0.01)
    work.stop()
    assert work.ledger.lines["natural_sr/srgan_8_x4/stage_1"].hours == 0.5
    assert not (run / "done.json").exists()
    again = runner(ONE)
    assert again.run() == 0
    assert (run / "told.txt").read_text() == "60.0 None"  # the checkpoint knows what is spent
    assert again.ledger.lines["natural_sr/srgan_8_x4/stage_1"].hours == 1.0


def test_elsewhere_a_job_restarts_from_shipped_weights_for_what_is_left(runner, tmp_path):
    work = runner(ONE)
    job = work.campaign.jobs[0]
    target = job.shipped(tmp_path)
    target.parent.mkdir(parents=True)
    target.write_text("weights")
    line = work.ledger.line(job)
    line.hours, line.budget_hours, line.weights_sha256 = 0.75, 1.0, weights_sha256(target)
    work.ledger.save()
    again = runner(ONE)
    assert again.run() == 0
    run = tmp_path / "runs" / job.name
    assert (run / "told.txt").read_text() == "15.0 start.pt"
    assert again.ledger.lines[job.name].hours == 1.0


def test_a_failed_job_is_told_and_what_needs_it_waits(runner, monkeypatch, modules, tmp_path):
    work = runner(ONE, TWO)
    monkeypatch.setattr(
        modules.campaign_jobs.Campaign, "command", lambda *_: [sys.executable, "-c", "exit(3)"]
    )
    assert work.run() == 1
    assert not (tmp_path / "runs/natural_sr/srgan_8_x4/stage_2").exists()


def test_a_profile_divides_its_minutes_among_all_jobs(modules):
    campaign = modules.campaign_jobs.read_campaign(profile="gpu")
    total = sum(campaign.minutes(job) for job in campaign.jobs)
    assert math.isclose(total, 40 * campaign.profile["parallel"])


def test_a_command_names_files_that_are_there(modules, tmp_path):
    campaign = modules.campaign_jobs.read_campaign(profile="gpu")
    job = next(j for j in campaign.jobs if j.name == "mri_sr/hybrid_cnn_gan_x4/stage_2")
    words = campaign.command(job, tmp_path, tmp_path / "run", 3.0, tmp_path / "start.pt")
    told = dict(zip(words[3::2], words[4::2], strict=False))
    options = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    assert told
    assert str(find_system("hybrid_cnn_gan")) in options["--config_file"]
    assert options["--batch_size"] == "32"  # four times the system's
    assert options["--split_table"].endswith("campaign_mr.csv")
    assert options["--compile"] == "True"


@pytest.mark.parametrize(
    ("stage", "new", "old", "expected"),
    [
        (1, (28.0, 0.20), None, True),
        (1, (26.9, 0.20), None, False),  # under bicubic
        (1, (28.0, 0.20), (28.1, 0.30), False),
        (2, (27.5, 0.10), (29.0, 0.20), True),  # less PSNR, nearer to the eye
        (2, (27.5, 0.25), (29.0, 0.20), False),
        (2, (26.0, 0.10), (29.0, 0.20), False),
    ],
)
def test_only_better_weights_are_shipped(modules, stage, new, old, expected):
    figures = modules.campaign_judge.Figures
    job = modules.campaign_jobs.Job("natural_sr", stage, 1.0, system="srgan_8")
    given = figures(*old) if old else None
    assert modules.campaign_judge.is_better(
        job, figures(*new), given, figures(27.0, 0.3)
    ) is expected  # fmt: skip


def test_perceptual_weights_need_gain_agreement_and_a_fifth_less_lpips(modules):
    figures, better = modules.campaign_judge.Figures, modules.campaign_judge.is_better
    job = modules.campaign_jobs.Job("xray_sr", 2, 1.0, least_gain=0.5, least_lr_psnr=55.0)
    bicubic, faithful = figures(27.0, 0.3, 38.0), figures(30.0, 0.2, 64.0)
    assert job.shipped().name == "model_perceptual.pt"
    assert better(job, figures(27.6, 0.15, 56.0), None, bicubic, faithful)
    for worse in (figures(27.4, 0.15, 56.0), figures(27.6, 0.17, 56.0), figures(27.6, 0.15, 54.0)):
        assert not better(job, worse, None, bicubic, faithful)
    other = modules.campaign_jobs.Job("mri_sr", 2, 1.0, largest_lpips=0.9)
    assert better(other, figures(27.6, 0.17, 56.0), None, bicubic, faithful)


def test_weights_that_fail_the_limits_set_none(modules):
    figures, better = modules.campaign_judge.Figures, modules.campaign_judge.is_better
    job = modules.campaign_jobs.Job("natural_sr", 2, 1.0, system="hybrid_cnn_gan", least_gain=1.0)
    bicubic, new = figures(25.5, 0.24, 38.0), figures(27.0, 0.17, 44.0)
    assert not better(job, new, figures(26.6, 0.16, 42.0), bicubic)
    assert better(job, new, figures(25.6, 0.16, 42.0), bicubic)


@pytest.mark.parametrize("system", [None, "hybrid_cnn_gan"])
@pytest.mark.parametrize(("most", "expected"), [(0.9, 0.85), (0.6, 0.55), (0.1, 1.0)])
def test_weights_of_a_second_stage_that_fail_are_blended_with_faithful_ones(
    modules, tmp_path, monkeypatch, most, expected, system
):
    judge = modules.campaign_judge

    class Judge:
        """Figures by the share that a file's content tells; the agreement fails above ``most``."""

        def __init__(self, *_):
            pass

        def bicubic(self):
            return judge.Figures(27.0, 0.3, 38.0)

        def weights(self, file):
            share = float(file.read_text())
            return judge.Figures(30 - share, 0.2 - share / 10, 64.0 if share <= most else 50.0)

        def blended(self, weights, faithful, share):
            assert (weights.read_text(), faithful.read_text()) == ("1", "0")
            file = weights.with_name("blend.pt")
            file.write_text(str(share))
            return file

    monkeypatch.setattr(judge, "Judge", Judge)
    monkeypatch.setattr(judge, "write_weights_sums", lambda _: None)
    limits = {"least_gain": 0.5, "least_lr_psnr": 55.0, "system": system}
    job = modules.campaign_jobs.Job("xray_sr", 2, 1.0, **limits)
    shipped, weights = job.shipped(tmp_path), tmp_path / "model.pt"
    shipped.parent.mkdir(parents=True)
    shipped.with_name("model.pt").write_text("0")
    weights.with_name("start.pt").write_text("0")
    weights.write_text("1")
    ledger = judge.Ledger(tmp_path / "campaign.csv")
    campaign = dataclasses.replace(modules.campaign_jobs.read_campaign(), jobs=[])
    line = judge.judge_and_ship(campaign, job, weights, tmp_path, ledger, tmp_path)
    assert line.blend == expected
    assert line.shipped == ("yes" if expected < 1 else "no")
    assert shipped.is_file() is (expected < 1)
    if expected < 1:
        assert shipped.read_text() == str(expected)
        assert line.weights_sha256 == hashlib.sha256(shipped.read_bytes()).hexdigest()


def test_weights_are_judged_and_copied_into_the_bundle(modules, tmp_path, shared_data):
    jobs, judge = modules.campaign_jobs, modules.campaign_judge
    campaign = dataclasses.replace(jobs.read_campaign(), jobs=[])
    (tmp_path / "validation").mkdir()
    for name in ("baby", "bird"):
        source = shared_data / "benchmarks" / "Set5" / f"{name}.png"
        (tmp_path / "validation" / source.name).symlink_to(source)
    campaign.data["natural_sr"] = {"dataset_dir": "validation", "validation_dir": "validation"}
    job = jobs.Job("natural_sr", 1, 1.0, system="subpixel_residual_cnn")
    weights = tmp_path / "model.pt"
    torch.manual_seed(0)
    save_weights(create_generator("subpixel_residual", scale=4, in_channels=3), weights)
    ledger = judge.Ledger(tmp_path / "campaign.csv")
    ledger.line(job).budget_hours = 1.0
    line = judge.judge_and_ship(campaign, job, weights, tmp_path, ledger, tmp_path)
    # An untrained network of this kind gives the interpolated image: no better than bicubic.
    assert line.shipped == "no"
    assert line.val_psnr <= line.bicubic_psnr
    assert not job.shipped(tmp_path).exists()
    easier = dataclasses.replace(job, judged_by="lpips", least_gain=-99.0)
    kept = judge.is_better(easier, judge.Figures(9.0, 0.0, 9.0), None, judge.Figures(30.0, 0.3))
    assert kept
    again = judge.Ledger(tmp_path / "campaign.csv")
    assert again.lines[job.name].val_psnr == pytest.approx(line.val_psnr, abs=1e-3)


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([ONE, ONE], "must be there once"),
        ([{**ONE, "start": "natural_sr/best_x4/stage_1"}], "start must name an earlier job"),
        ([{**ONE, "minutes": 3}], "minutes"),
        ([{**ONE, "bundle": "moon_sr"}], "must say where moon_sr's images are"),
    ],
)
def test_a_list_that_cannot_be_is_refused(modules, tmp_path, jobs, message):
    import yaml

    content = {"data": {"natural_sr": {}}, "profiles": {"cpu": {}}, "jobs": jobs}
    file = tmp_path / "campaign.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(OptionError, match=message):
        modules.campaign_jobs.read_campaign(file)


@pytest.mark.parametrize("stage", [1, 2])
def test_weights_of_another_layout_are_judged_as_they_are(modules, tmp_path, stage):
    save_weights(
        create_generator("compact_residual", channels=8, num_blocks=2), tmp_path / "former.pt"
    )
    judge = object.__new__(modules.campaign_judge.Judge)
    judge.job, judge._told = modules.campaign_jobs.Job("natural_sr", stage, 1.0, size="fast"), {}
    network = judge._network(tmp_path / "former.pt")
    assert (network.head.weight.shape[0], len(network.blocks)) == (8, 2)
