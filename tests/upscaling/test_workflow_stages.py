"""Stage 1 runs where its weights are needed, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_network, load_weights
from monai_sr.upscaling import first_stage
from monai_sr.upscaling import workflow as module

SYSTEM = {
    "network_def": {
        "_target_": "monai_sr.networks.create_generator",
        "name": "srcnn",
        "scale": "@scale",
        "in_channels": "@in_channels",
        "filters": [4, 3],
    },
    "scales": ["@scale"],
    "scale_weights": None,
    "patch_size": 8,
    "batch_size": 1,
    "epoch_length": 2,
}


@pytest.fixture
def options(tmp_path):
    """Write two images; return what stage 1 is told, for a run of two steps."""
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (24, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    return {
        "dataset_dir": str(tmp_path / "train"),
        "validation_dir": str(tmp_path / "valid"),
        "scale": 2,
        "device": "cpu",
        "steps": 2,
    }


@pytest.fixture
def system(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"system": str(path), **SYSTEM}))
    return path


@pytest.fixture
def _no_training(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("stage 1 must not run")

    monkeypatch.setattr(module, "SRWorkflow", refuse)


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize("is_there", [True, False])
def test_given_weights_are_returned_as_they_are(tmp_path, is_there):
    """Whether they exist and fit is for the network to say that loads them."""
    path = tmp_path / "given.pt"
    if is_there:
        path.touch()
    assert first_stage("natural_sr", tmp_path / "run", {}, pretrained=path) == str(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("_no_training")
def test_stage_1_is_over_when_stage_2_is_under_way(tmp_path):
    for name in ("stage_1/model.pt", "state.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = tmp_path / "stage_1" / "model.pt"
    assert first_stage("natural_sr", tmp_path, {}) == str(expected)


def test_stage_1_runs_and_its_weights_are_the_start(tmp_path, options, system):
    weights = first_stage("natural_sr", tmp_path / "run", options, system=system)
    assert weights == str(tmp_path / "run" / "stage_1" / "model.pt")
    network = create_network("", system=system, system_scale=2, in_channels=3)
    load_weights(network, weights)
    state = torch.load(tmp_path / "run" / "stage_1" / "state.pt", weights_only=True)
    assert state["iteration"] == 2


def test_stage_1_that_was_stopped_is_continued(tmp_path, options, system):
    first_stage("natural_sr", tmp_path, options, system=system)
    # Weights are there, but stage 2 has not begun: stage 1 may be half done.
    first_stage("natural_sr", tmp_path, {**options, "steps": 5}, system=system)
    state = torch.load(tmp_path / "stage_1" / "state.pt", weights_only=True)
    assert state["iteration"] == 5


def test_dry_run_of_stage_1_leaves_nothing_in_the_run(tmp_path, options, system):
    run = tmp_path / "run"
    weights = first_stage("natural_sr", run, {**options, "dry_run": True}, system=system)
    assert not run.exists()
    # Stage 2's own dry step still reads them.
    network = create_network("", system=system, system_scale=2, in_channels=3)
    load_weights(network, weights)


def test_option_that_stage_1_does_not_know_is_refused(tmp_path, options):
    with pytest.raises(OptionError, match="option 'stepz' is unknown; did you mean 'steps'"):
        first_stage("natural_sr", tmp_path, {**options, "stepz": 2})
