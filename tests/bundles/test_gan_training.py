"""Stage 2 of every bundle: one command from nothing, exact after a kill, safe when it fails."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ignite.engine import Events
from monai.bundle import create_workflow

from monai_sr.core.errors import TrainingFailedError, user_message
from monai_sr.core.registry import list_bundles
from monai_sr.upscaling.workflow import SRWorkflow
from tests.bundles.conftest import BundleFiles
from tests.docs.pages import write_photos

STEPS, KILLED_AT, SAVED_EVERY = 40, 23, 7


@pytest.fixture
def gan_options(bundle, training_options, tmp_path) -> dict[str, Any]:
    """Return the overrides of a two-stage run of seconds, sizes as a system's file."""
    sizes = {key: training_options.pop(key) for key in list(training_options) if "#" in key}
    network = {key.split("#")[1]: value for key, value in sizes.items()}
    short = {key: training_options.pop(key) for key in ("batch_size", "patch_size", "epoch_length")}
    system = tmp_path / "small.yaml"
    definition = {**bundle.config("train")["network_def"], **network}
    content = {"system": str(system), "network_def": definition, **short, "warmup_steps": 5}
    system.write_text(yaml.safe_dump(content))
    return {
        **training_options,
        "stage_1_steps": 4,
        "discriminator_def#discriminator": {"name": "unet_sn", "channels": 8},
        "adversarial_ramp": 10,
    }


def _workflow(bundle, options):
    system = Path(options["dataset_dir"]).parent / "small.yaml"
    return create_workflow(
        config_file=[str(bundle.configs / "train_gan.yaml"), str(system)],
        workflow_type="train",
        bundle_root=str(bundle.folder),
        **options,
    )


def _train(bundle, options, kill_at: int | None = None, every: int = SAVED_EVERY) -> dict[str, Any]:
    workflow = _workflow(bundle, {**options, "train#state#every": every})
    if kill_at is not None:

        def die(engine) -> None:
            raise KeyboardInterrupt

        workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=kill_at), die)
    workflow.run()
    workflow.finalize()
    return torch.load(Path(options["output_dir"]) / "state.pt", weights_only=True)


def _assert_equal(one, other, name: str = "") -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            _assert_equal(one[key], other[key], f"{name}.{key}")
    else:
        assert one == other, name


def test_both_stages_run_as_one_command_and_resume_exactly(bundle, gan_options, tmp_path) -> None:
    whole = _train(bundle, gan_options)
    run = Path(gan_options["output_dir"])
    assert {"curve.csv", "images", "model.pt", "stage_1", "state.pt", "state_good.pt"} <= {
        f.name for f in run.iterdir()
    }
    with (run / "curve.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    figures = ("pixel", "perceptual", "adversarial", "discriminator", "real", "fake")
    assert all(float(row[name]) == float(row[name]) for name in figures)
    _assert_resumes(bundle, gan_options, tmp_path, whole, KILLED_AT, SAVED_EVERY)


@pytest.mark.slow
def test_long_run_resumes_exactly(bundle, gan_options, tmp_path) -> None:
    options = {**gan_options, "steps": 2000, "epoch_length": 500}
    whole = _train(bundle, options, every=100)
    _assert_resumes(bundle, options, tmp_path, whole, killed_at=1234, every=100)


def _assert_resumes(bundle, options, folder, whole, killed_at: int, every: int) -> None:
    """Kill a run like the whole one, continue it, and compare all that is left."""
    run = Path(options["output_dir"])
    # Stage 2 of the killed run starts from the same stage 1.
    broken = {
        **options,
        "output_dir": str(folder / "broken"),
        "pretrained": str(run / "stage_1" / "model.pt"),
    }
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        _train(bundle, broken, kill_at=killed_at, every=every)
    torch.manual_seed(12345)  # a new process starts from another random state
    continued = _train(bundle, broken, every=every)
    assert continued["iteration"] == whole["iteration"] == options["steps"]
    others = ("schedule", "discriminator_schedule", "options")  # clocks, and what was told
    for part in set(whole) - set(others):
        _assert_equal(whole[part], continued[part], part)
    assert (run / "model.pt").read_bytes() == (folder / "broken" / "model.pt").read_bytes()


def test_stage_2_starts_from_the_averaged_weights_of_stage_1(bundle, gan_options) -> None:
    options = {**gan_options, "steps": 1, "generator_learning_rate": 1e-9, "warmup_steps": 100}
    _train(bundle, options)
    run = Path(options["output_dir"])
    first, second = (
        torch.load(run / part / "model.pt", weights_only=True) for part in ("stage_1", ".")
    )
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=1e-5)


def test_both_stages_are_of_the_size_asked_for(tmp_path) -> None:
    """The teacher is that of stage 1; the configurations of all bundles are alike."""
    bundle = BundleFiles(list_bundles()["mri_sr"])
    write_photos(tmp_path / "photos", (200, 200))
    workflow = SRWorkflow(
        bundle.folder, "train_gan", size="fast", teacher=bundle.weights, device="cpu", steps=1,
        stage_1_steps=1, batch_size=1, dataset_dir=tmp_path / "photos", output_dir=tmp_path / "run",
    )  # fmt: skip
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    for folder in ("run/stage_1", "run"):
        weights = torch.load(tmp_path / folder / "model.pt", weights_only=True)
        assert len(weights["head.weight"]) == 32


def test_diverged_run_stops_with_a_remedy_and_keeps_its_last_good_state(
    bundle, gan_options
) -> None:
    gan_options["val_interval"] = 1
    _train(bundle, {**gan_options, "steps": 10})
    run = Path(gan_options["output_dir"])
    kept = torch.load(run / "state.pt", weights_only=True)
    workflow = _workflow(bundle, {**gan_options, "steps": 30})

    def poison(engine) -> None:
        with torch.no_grad():
            next(engine.state.g_network.parameters()).fill_(torch.nan)

    workflow.trainer.add_event_handler(Events.ITERATION_STARTED(once=13), poison)
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps it
        workflow.run()
    message = user_message(caught.value)
    assert message is not None
    assert "lower the learning rate" in message
    assert "state_good.pt" in message
    assert isinstance(_cause(caught.value), TrainingFailedError)
    _assert_equal(kept["network"], torch.load(run / "state.pt", weights_only=True)["network"])


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def test_dry_run_takes_one_step_and_leaves_nothing(bundle, gan_options) -> None:
    workflow = _workflow(bundle, {**gan_options, "dry_run": True})
    workflow.run()
    assert workflow.trainer.state.iteration == 1
    workflow.finalize()
    assert not Path(gan_options["output_dir"]).exists()


def test_patch_that_the_discriminator_cannot_judge_is_refused(bundle, gan_options) -> None:
    judge = {"_target_": "monai_sr.networks.create_discriminator", "name": "patchgan"}
    options = {
        **gan_options,
        "discriminator_def": {**judge, "in_channels": "@in_channels"},
        "patch_size": 4,
        "scales": [4],
        "scale_weights": [1.0],
    }
    with pytest.raises(RuntimeError) as caught:
        _workflow(bundle, options).run()
    assert "raise patch_size" in str(user_message(caught.value))
