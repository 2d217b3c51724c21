"""The overlay for volumes trains a network that doubles three axes, and continues exactly."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_sr.core.registry import list_bundles
from monai_sr.networks import load_weights
from monai_sr.upscaling.workflow import SRWorkflow
from tests.image_factory import write_nifti

BUNDLES = [f for f in list_bundles().values() if (f / "configs" / "train_3d.yaml").is_file()]


@pytest.fixture(params=BUNDLES, ids=lambda folder: folder.name)
def folder(request) -> Path:
    """Return each bundle that has the overlay."""
    return request.param


def train(folder, tmp_path, run, **options):
    random = np.random.default_rng(0)
    for kind in ("train", "valid"):
        (tmp_path / kind).mkdir(exist_ok=True)
        coarse = random.integers(0, 1000, (10, 9, 3), dtype=np.int16)
        stored = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        write_nifti(tmp_path / kind / "volume.nii.gz", stored)
    workflow = SRWorkflow(
        folder,
        "train",
        overlays=[folder / "configs" / "train_3d.yaml"],
        dataset_dir=tmp_path / "train",
        validation_dir=tmp_path / "valid",
        output_dir=tmp_path / run,
        device="cpu",
        **{"patch_size": 8, "batch_size": 1, "epoch_length": 2, "network_def#channels": 4},
        **options,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return torch.load(tmp_path / run / "state.pt", weights_only=True)


def test_overlay_trains_and_its_weights_fit_a_network_for_volumes(folder, tmp_path) -> None:
    train(folder, tmp_path, "run", steps=4)
    with (tmp_path / "run" / "curve.csv").open(newline="") as stream:
        row = list(csv.DictReader(stream))[-1]
    assert int(row["step"]) == 4
    assert float(row["psnr"]) > 5
    assert list((tmp_path / "run" / "images").glob("*.png"))
    overlay = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "train_3d.yaml"))
    overlay.update({"network_def#channels": 4})
    network = overlay.get_parsed_content("network_def")
    load_weights(network, tmp_path / "run" / "model.pt")
    assert network(torch.rand(1, 1, 5, 6, 7)).shape == (1, 1, 10, 12, 14)


def test_stopped_and_continued_equals_uninterrupted(folder, tmp_path) -> None:
    options = {"minutes": 0, "budget": {"steps": 4}}
    whole = train(folder, tmp_path, "whole", **options)
    stopped = train(folder, tmp_path, "broken", **options, **{"train#trainer#max_epochs": 1})
    assert stopped["iteration"] == 2
    continued = train(folder, tmp_path, "broken", **options)
    assert continued["iteration"] == whole["iteration"] == 4
    for name, tensor in whole["network"].items():
        assert torch.equal(tensor, continued["network"][name]), name


def test_inference_builds_the_network_that_the_overlay_trains(folder) -> None:
    trained = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "train_3d.yaml"))
    used = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "inference.yaml"))
    used.update({"spatial_dims": 3, "bundle_root": str(folder)})
    networks = [parser.get_parsed_content("network_def") for parser in (trained, used)]
    first, second = ({k: v.shape for k, v in n.state_dict().items()} for n in networks)
    assert first == second
    assert networks[0].scales == networks[1].scales == (2,)
    assert used.get_parsed_content("scale") == 2
