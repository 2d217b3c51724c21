"""The training configuration of every bundle: exact after a kill, complete in what it leaves."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, create_workflow

from monai_sr import hook
from monai_sr.core.errors import OptionError, user_message
from monai_sr.core.registry import list_bundles
from monai_sr.upscaling.workflow import SRWorkflow
from tests.bundles.conftest import BundleFiles

STEPS, KILLED_AT, SAVED_EVERY = 40, 23, 7


def _workflow(bundle, options):
    return create_workflow(
        config_file=str(bundle.configs / "train.yaml"),
        workflow_type="train",
        bundle_root=str(bundle.folder),
        **options,
    )


def _train(bundle, options, kill_at: int | None = None) -> dict[str, torch.Tensor]:
    """Train, maybe to a sudden death; return the state of the whole run."""
    workflow = _workflow(bundle, {**options, "train#state#every": SAVED_EVERY})
    if kill_at is not None:

        def die(engine) -> None:
            raise KeyboardInterrupt

        workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=kill_at), die)
    workflow.run()
    workflow.finalize()
    return torch.load(Path(options["output_dir"]) / "state.pt", weights_only=True)


def _assert_equal(one, other, name: str = "") -> None:
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, name
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            _assert_equal(one[key], other[key], f"{name}.{key}")
    else:
        assert one == other, name


def _curve(options) -> list[dict[str, str]]:
    with (Path(options["output_dir"]) / "curve.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_killed_and_continued_equals_uninterrupted(bundle, training_options, tmp_path) -> None:
    whole = _train(bundle, training_options)
    broken = {**training_options, "output_dir": str(tmp_path / "broken")}
    # Nothing but the newest checkpoint is left of the killed run.
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        _train(bundle, broken, kill_at=KILLED_AT)
    kept = torch.load(tmp_path / "broken" / "state.pt", weights_only=True)
    assert kept["iteration"] == KILLED_AT // SAVED_EVERY * SAVED_EVERY
    torch.manual_seed(12345)  # a new process starts from another random state
    continued = _train(bundle, broken)
    assert continued["iteration"] == whole["iteration"] == STEPS
    for part in ("network", "ema", "optimizer"):
        _assert_equal(whole[part], continued[part], part)
    runs = [Path(run["output_dir"]) for run in (training_options, broken)]
    first, second = ((run / "model.pt").read_bytes() for run in runs)
    assert first == second
    assert _curve(broken)[-1]["step"] == str(STEPS)


def test_run_with_a_teacher_resumes_exactly_and_differs_from_one_without(
    training_options, tmp_path
) -> None:
    bundle = BundleFiles(list_bundles()["xray_sr"])
    options = {**training_options, "steps": 20, "size": "fast"}
    alone, taught, broken = (
        {**options, "output_dir": str(tmp_path / name), "teacher": teacher}
        for name, teacher in (
            ("alone", None), ("taught", str(bundle.weights)), ("broken", str(bundle.weights)),
        )
    )  # fmt: skip
    states = [_train(bundle, run) for run in (alone, taught)]
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        _train(bundle, broken, kill_at=13)
    torch.manual_seed(12345)  # a new process starts from another random state
    states.append(_train(bundle, broken))
    for part in ("network", "ema", "optimizer"):
        _assert_equal(states[1][part], states[2][part], part)
    one, other = (state["network"]["head.weight"] for state in states[:2])
    assert one.shape == other.shape == (48, 1, 3, 3)
    assert not torch.equal(one, other)


def test_training_changes_every_weight_and_leaves_its_records(bundle, training_options) -> None:
    state = _train(bundle, training_options)
    run = Path(training_options["output_dir"])
    (row,) = _curve(training_options)
    assert int(row["step"]) == STEPS
    assert float(row["loss"]) > 0
    assert float(row["psnr"]) > 5
    assert 0 <= float(row["loader_share"]) < 1
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert sorted(p.name for p in run.iterdir()) == [
        "curve.csv", "images", "model.pt", "state.pt", "state_good.pt", "tensorboard",
    ]  # fmt: skip
    parser = ConfigParser(bundle.config("train"))
    parser.update({k: v for k, v in training_options.items() if k.startswith("network_def")})
    torch.manual_seed(parser["seed"])
    untrained = parser.get_parsed_content("network_def").state_dict()
    for name, tensor in state["network"].items():
        if untrained[name].is_floating_point() and name != "pass_scale":
            same = torch.equal(tensor, untrained[name].float())
            assert same == name.startswith("interpolate"), name
    exported = torch.load(run / "model.pt", weights_only=True)
    assert list(exported) == list(untrained)
    assert {t.dtype for t in exported.values()} == {torch.float16}


def test_finished_run_is_left_as_it_is(bundle, training_options) -> None:
    options = {**training_options, "steps": 8}
    runs = []
    for _ in range(2):
        state = _train(bundle, options)
        weights = torch.load(Path(options["output_dir"]) / "model.pt", weights_only=True)
        runs.append({"iteration": state["iteration"], "own": state["network"], "best": weights})
    _assert_equal(*runs)


def test_training_starts_from_given_weights(bundle, training_options, tmp_path) -> None:
    network = ConfigParser(bundle.config("train")).get_parsed_content("network_def")
    options = {k: v for k, v in training_options.items() if not k.startswith("network_def")}
    options |= {"steps": 1, "batch_size": 1, "learning_rate": 1e-6, "warmup_steps": 100}
    _train(bundle, {**options, "pretrained": str(bundle.weights)})
    trained = torch.load(Path(options["output_dir"]) / "model.pt", weights_only=True)
    shipped = torch.load(bundle.weights, weights_only=True)
    network.load_state_dict(trained)
    for name, tensor in shipped.items():
        torch.testing.assert_close(trained[name].float(), tensor.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset_dir": None}, "add --dataset_dir DIR"),
        ({"dataset_dir": "absent"}, "absent: is no folder of images"),
        ({"pretrained": "absent.pt"}, "absent.pt"),
        ({"teacher": "absent.pt"}, "absent.pt"),
        ({"size": "small"}, "size: must be best or fast, got 'small'"),
        ({"size": "fast", "system": "srcnn"}, "leave --size or --system out"),
        ({"patch_size": 500}, "lower patch_size"),
        ({"steps": 0, "minutes": 0}, "give steps or minutes"),
    ],
)
def test_wrong_option_is_answered_in_one_line(bundle, training_options, change, message) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        _workflow(bundle, {**training_options, **change}).run()
    line = user_message(caught.value)
    assert line is not None
    assert message in line
    assert "\n" not in line


def test_misspelt_option_is_refused_with_the_nearest(bundle) -> None:
    command = ["run", "--config_file", str(bundle.configs / "train.yaml")]
    hook.check_options([*command, "--bundle_root", "x", "--train#state#every", "7", "--steps=3"])
    with pytest.raises(OptionError, match="did you mean '--dataset_dir'"):
        hook.check_options([*command, "--dataset_dri", "images"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [(["--datset_dir", "x"], "did you mean '--dataset_dir'"), ([], "add --dataset_dir DIR")],
)
def test_wrong_command_ends_with_one_line_and_code_2(bundle, tmp_path, words, message) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
    command += ["--bundle_root", str(bundle.folder)]
    command += ["--config_file", str(bundle.configs / "train.yaml"), *words]
    root = str(Path(hook.__file__).parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.returncode == hook.EXIT_CODE, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("monai-sr: error: ")
    assert message in line
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_any_name_of_an_output_folder_serves(bundle, training_options, tmp_path) -> None:
    """MONAI rewrites "#" inside strings of a configuration; SRWorkflow passes paths."""
    options = {**training_options, "output_dir": str(tmp_path / "run#1"), "steps": 2}
    workflow = SRWorkflow(bundle.folder, "train", **options)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    assert {"curve.csv", "model.pt", "state.pt"} <= {f.name for f in (tmp_path / "run#1").iterdir()}
