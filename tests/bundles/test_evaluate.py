"""Every bundle judges systems by MONAI's own command and by monai-sr, on a set of one image."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from monai.bundle import create_workflow
from PIL import Image

from monai_sr.cli.main import main


@pytest.fixture
def images(tmp_path):
    """Return a folder of one small grey image."""
    (tmp_path / "images").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (32, 36), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "images" / "a.png")
    return tmp_path / "images"


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_the_workflow_writes_rows_and_summary(bundle, images, tmp_path, suffix):
    workflow = create_workflow(
        config_file=str(bundle.configs / f"evaluate.{suffix}"),
        workflow_type="infer",
        bundle_root=str(bundle.folder),
        root=str(images),
        scale=2,
        system=["nearest", "model"],
        measures=["psnr"],
        device="cpu",
        output_dir=str(tmp_path / "out"),
    )
    workflow.initialize()
    workflow.run()
    found = json.loads((tmp_path / "out" / "images_x2.json").read_text())
    assert [s["name"] for s in found["systems"]] == ["bicubic", "nearest", bundle.name]
    assert found["protocol"]["uses_luma"] == (bundle.name == "natural_sr")
    assert found["protocol"]["data_range"] == 255
    assert found["systems"][2]["parameters"] > 1000
    assert (tmp_path / "out" / "images_x2.csv").read_text().count("\n") == 4
    assert list((tmp_path / "out" / "cache").rglob("*.json"))


def test_the_command_takes_several_systems_side_by_side(images, tmp_path, capsys):
    out = tmp_path / "out"
    call = ["evaluate", "--root", str(images), "-o", str(out), "--scale", "2"]
    assert main([*call, "--system", "nearest", "bilinear", "--measures", "psnr", "mse"]) == 0
    found = json.loads((out / "images_x2.json").read_text())
    assert [s["name"] for s in found["systems"]] == ["bicubic", "nearest", "bilinear"]
    assert found["systems"][1]["means"]["mse"]["mean"] > 0
    capsys.readouterr()
    assert main([*call, "--system", "nearst"]) == 2
    assert "did you mean 'nearest'" in capsys.readouterr().err


@pytest.mark.slow
def test_plain_command_refuses_a_misspelt_option_in_one_line(repo_root, images):
    call = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", "bundles/natural_sr"]
    call += ["--config_file", "bundles/natural_sr/configs/evaluate.yaml", "--root", str(images)]
    done = subprocess.run(
        [*call, "--dataste", "Set5"], cwd=repo_root, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("monai-sr: error: option '--dataste'")
