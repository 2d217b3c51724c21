"""Every system learns through the bundles' own recipes, and what it leaves can be loaded."""

from __future__ import annotations

import csv
import gc
import math

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from monai_sr.networks import create_network, list_systems, load_weights, read_system
from monai_sr.networks.systems import generator_class
from monai_sr.upscaling.workflow import SRWorkflow

STEPS = 2
LARGE = {
    "drcn": {"channels": 32},
    "edsr": {"channels": 16, "num_blocks": 2},
    "esrgan_12": {"num_blocks": 1},
    "esrgan_23": {"num_blocks": 1},
    "neighbor_embedding": {"num_exemplars": 256},
    "rfb_esrgan": {"num_blocks": 1, "num_rfb_blocks": 1},
    "sparse_coding": {"num_atoms": 64, "steps": 4},
}
"""Sizes in place of the paper's where a step would take many seconds."""

LEARNS = {
    name: generator_class(read_system(name)["network_def"]).info.learns for name in list_systems()
}
LEARNING = sorted(name for name, how in LEARNS.items() if how != "nothing")
ADVERSARIAL = [name for name in LEARNING if "discriminator_def" in read_system(name)]


@pytest.fixture
def options(tmp_path):
    """Write small images; return the overrides of a run of seconds."""
    rng = np.random.default_rng(0)
    for folder, count in (("train", 2), ("valid", 1)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            smooth = Image.fromarray(rng.integers(0, 256, (9, 10, 3), dtype=np.uint8))
            image = smooth.resize((80, 72), Image.Resampling.BICUBIC)
            image.save(tmp_path / folder / f"{i}.png")
    yield {
        "dataset_dir": tmp_path / "train",
        "validation_dir": tmp_path / "valid",
        "device": "cpu",
        "steps": STEPS,
    }
    gc.collect()  # workflows hold cycles; networks of tens of millions of weights must not pile up


@pytest.fixture
def small(tmp_path):
    """Return a function that copies a system's file, with small batches and maybe sizes."""

    def copy(name):
        content = read_system(name)
        content["network_def"].update(LARGE.get(name, {}))
        content |= {"patch_size": 16, "batch_size": 2, "epoch_length": STEPS}
        if LEARNS[name] == "fit":
            content["train#trainer"]["patches"] = 24
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return copy


def train(bundle, config, system, run, options):
    """Train; return the last line of the curve, None where there are no steps."""
    workflow = SRWorkflow(bundle.folder, config, system=system, output_dir=run, **options)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    if LEARNS[system.stem] == "fit":
        return None
    with (run / "curve.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))[-1]


def assert_fits(bundle, system, scale, weights):
    """Load the weights strictly into the system as inference builds it, and use it."""
    in_channels = bundle.config("inference")["network_def"]["in_channels"]
    network = create_network("", system=system, system_scale=scale, in_channels=in_channels)
    load_weights(network, weights)
    with torch.no_grad():
        result = network.eval()(torch.rand(1, in_channels, 12, 14), scale)
    assert result.shape == (1, in_channels, 12 * scale, 14 * scale)
    assert result.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_system_learns_by_the_first_recipe(bundle, name, small, options, tmp_path):
    row = train(bundle, "train", small(name), tmp_path / "run", options)
    if row is not None:
        assert int(row["step"]) == STEPS
        assert math.isfinite(float(row["loss"]))
        assert float(row["psnr"]) > 3
    assert_fits(bundle, small(name), 4, tmp_path / "run" / "model.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_system_learns_by_both_recipes_in_one_command(bundle, name, small, options, tmp_path):
    options |= {"stage_1_steps": 1, "warmup_steps": 1}
    row = train(bundle, "train_gan", small(name), tmp_path / "run", options)
    assert int(row["step"]) == STEPS
    for figure in ("loss", "perceptual", "discriminator", "real", "fake"):
        assert math.isfinite(float(row[figure])), figure
    for part in ("stage_1", "."):
        assert_fits(bundle, small(name), 4, tmp_path / "run" / part / "model.pt")


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3])
def test_system_learns_another_scale(bundle, scale, small, options, tmp_path):
    train(bundle, "train", small("srcnn"), tmp_path / "run", {**options, "scale": scale})
    assert_fits(bundle, small("srcnn"), scale, tmp_path / "run" / "model.pt")
