"""``monai-sr train``: one command from images to weights, and every mistake is one line."""

from __future__ import annotations

import pytest
import yaml

from monai_sr.cli.main import main
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny_bundle


@pytest.fixture
def images(tmp_path):
    """Write a folder of two tiny photos."""
    (tmp_path / "images").mkdir()
    for name in "ab":
        write_raster(tmp_path / "images" / f"{name}.png", pixels((3, 40, 44)))
    return tmp_path / "images"


@pytest.fixture
def system(tmp_path):
    """Write a system of one's own that learns in no time."""
    definition = {"_target_": "monai_sr.networks.create_generator", "name": "srcnn",
                  "scale": "@scale", "in_channels": "@in_channels", "filters": [4, 3]}  # fmt: skip
    sizes = {"patch_size": 16, "batch_size": 1, "scales": ["@scale"], "scale_weights": None}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"system": str(path), "network_def": definition, **sizes}))
    return path


def train(images, out, *options, system):
    arguments = ["--dataset_dir", str(images), "--validation_dir", str(images), "-o", str(out)]
    arguments += ["--device", "cpu", "--scale", "2", *map(str, options)]
    return main(["train", *arguments, "--system", str(system)])


def only_line(capsys):
    """Return the one line on stderr; there is no traceback anywhere."""
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.count("\n") == 1, err
    assert err.startswith("monai-sr: error: ")
    return err


@pytest.mark.parametrize("stages", [1, 2])
def test_a_dry_run_of_training_takes_one_step_and_leaves_nothing(
    images, system, tmp_path, stages, capsys
):
    options = ["--dry_run", "--stages", stages]
    assert train(images, tmp_path / "run", *options, system=system) == 0
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in "".join(capsys.readouterr())


def test_training_leaves_weights_that_upscale_takes(images, system, tmp_path):
    run = tmp_path / "run"
    assert train(images, run, "--steps", 2, "--seed", 3, system=system) == 0
    words = ["upscale", images / "a.png", "-o", tmp_path / "out", "--scale", "2"]
    words += ["--system", system, "--ckpt_path", run / "model.pt"]
    assert main([*map(str, words), "--bundle", str(tiny_bundle(tmp_path))]) == 0
    assert (tmp_path / "out" / "a_x2.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stepz", "3"], "option '--stepz' is unknown; did you mean '--steps'"),
        (["--minutes", "0"], "give steps or minutes"),
        (["--pretrained", "none.pt"], "none.pt: weights file does not exist"),
        (["--degradation", "nose"], "degradation 'nose' is unknown; did you mean 'noise'"),
        (["--device", "gpu"], "device: must be one that this machine has"),
        (["--stage_1_steps", "3"], "option 'stage_1_steps' is unknown"),
    ],
)
def test_a_wrong_training_option_is_one_line(images, system, tmp_path, capsys, options, words):
    assert train(images, tmp_path / "run", "--steps", "0", *options, system=system) == 2
    assert words in only_line(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("srcn", "system 'srcn' is unknown; did you mean 'srcnn'"),
        ("bicubic", "bicubic: learns nothing, there is nothing to train; use it as it is"),
    ],
)
def test_a_system_that_cannot_be_trained_is_one_line(images, tmp_path, capsys, name, words):
    assert train(images, tmp_path / "run", "--steps", "1", system=name) == 2
    assert words in only_line(capsys)
    assert not (tmp_path / "run").exists()


def test_folders_of_any_name_are_trained_on(images, system, tmp_path):
    images = images.rename(tmp_path / "set#1::a")
    assert train(images, tmp_path / "run#1", "--steps", 1, system=system) == 0
    assert (tmp_path / "run#1" / "model.pt").is_file()
