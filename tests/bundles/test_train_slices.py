"""The overlay for thick slices trains the network that inference builds."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from monai.bundle import ConfigParser

from monai_sr.core.registry import list_bundles
from monai_sr.inferers import SliceRestorer
from monai_sr.networks import SliceRefiner, load_weights
from monai_sr.upscaling.workflow import SRWorkflow
from tests.image_factory import pixels, write_nifti

BUNDLES = [f for f in list_bundles().values() if (f / "configs" / "train_slices.yaml").is_file()]


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_overlay_trains_and_its_weights_fit(folder, tmp_path):
    for kind in ("train", "valid"):
        (tmp_path / kind).mkdir()
        write_nifti(tmp_path / kind / "v.nii", pixels((14, 16, 13), "int16"), affine=np.eye(4))
    workflow = SRWorkflow(
        folder,
        "train",
        overlays=[folder / "configs" / "train_slices.yaml"],
        dataset_dir=tmp_path / "train",
        validation_dir=tmp_path / "valid",
        output_dir=tmp_path / "run",
        device="cpu",
        steps=4,
        **{"patch_size": 12, "batch_size": 2, "epoch_length": 2, "network_def#channels": 4},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    with (tmp_path / "run" / "curve.csv").open(newline="") as stream:
        row = list(csv.DictReader(stream))[-1]
    assert int(row["step"]) == 4
    assert float(row["psnr"]) > 5
    load_weights(SliceRefiner(channels=4), tmp_path / "run" / "model.pt")


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_inference_builds_the_network_that_the_overlay_trains(folder):
    overlay = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "train_slices.yaml"))
    used = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "inference.yaml"))
    trained = overlay.get_parsed_content("network_def").state_dict()
    built = SliceRefiner(**used["slices#network"]).state_dict()
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in built.items()}
    assert used["slices#factors"] == overlay["degradation#factors"]
    assert used["slices#_target_"].endswith("slice_restorer")
    assert SliceRestorer("none", factors=used["slices#factors"]).knows(6)
