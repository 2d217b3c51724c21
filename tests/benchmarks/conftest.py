"""The folder of scripts to import from, and a runner of campaigns whose training takes no time."""

from __future__ import annotations

import argparse
import importlib
import sys

import pytest

from tests.network_factory import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # where its scripts find one another

LEARNER = """
import pathlib, shutil, sys, time
run, minutes, start, seconds = sys.argv[1:]
run = pathlib.Path(run)
(run / "state.pt").write_text("")
(run / "told.txt").write_text(f"{minutes} {start}")
(run / "new").write_text(f"step,minutes,hr_megapixels\\n7,{float(minutes) / 2},1.5\\n")
(run / "new").replace(run / "curve.csv")
time.sleep(float(seconds))
(run / "model.pt").write_text(run.parent.name)
(run / "curve.csv").write_text(f"step,minutes,hr_megapixels\\n9,{minutes},3\\n")
"""
"""Stands for a training run: it learns nothing, but leaves what one leaves."""


@pytest.fixture
def modules():
    """Return the scripts of the campaign."""
    names = ("volumes", "campaign_jobs", "campaign_judge", "campaign_runs", "campaign")
    yield argparse.Namespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def runner(modules, tmp_path, monkeypatch):
    """Return a function that builds a runner of jobs whose training is :data:`LEARNER`."""
    (tmp_path / "learner.py").write_text(LEARNER)

    def build(*entries, seconds=0.0, minutes=None, options=(), **profile):
        jobs = [modules.campaign_jobs.Job(**entry) for entry in entries]
        data = {job.bundle: {"dataset_dir": "photos"} for job in jobs}
        if minutes is not None:
            profile["minutes_each"] = minutes
        campaign = modules.campaign_jobs.Campaign(jobs, data, profile)
        runs, results = tmp_path / "runs", tmp_path / "results"
        results.mkdir(exist_ok=True)
        told = argparse.Namespace(
            runs=runs, results=results, data=tmp_path, root=tmp_path, output=tmp_path / "out",
            profile="cpu", jobs=[], cores=[0], stop_after=None,
            extend=False,
        )  # fmt: skip
        vars(told).update(options)
        found = modules.campaign.Runner(campaign, told)

        def command(_campaign, _job, _data, run, minutes, pretrained):
            told = [str(run), str(minutes), str(pretrained and pretrained.name), str(seconds)]
            return [sys.executable, str(tmp_path / "learner.py"), *told]

        monkeypatch.setattr(modules.campaign_jobs.Campaign, "command", command)
        monkeypatch.setattr(modules.campaign.Runner, "judge", lambda _self, _job: None)
        return found

    return build
