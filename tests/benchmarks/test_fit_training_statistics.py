"""The script that measures training images writes what reports then compare inputs with."""

from __future__ import annotations

import json

import fit_training_statistics as script
import numpy as np
import pytest
import torch

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.functional.resize import downsample
from monai_sr.functional.statistics import image_statistics
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.training_range import compare_with_training
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle


def test_the_range_is_that_of_the_small_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(4):
        write_raster(folder / f"{i}.png", pixels((1, 43, 50), seed=i) // (i + 1))
    bundle = tiny_bundle(tmp_path, "xray_sr")
    assert script.main(["--bundle", str(bundle), "--images", str(folder), "--modality", "CR"]) == 0
    metadata = bundle / "configs" / "metadata.json"
    digest = weights_sha256(bundle / "models" / "model.pt")
    (known, entry), *_ = json.loads(metadata.read_text())["training_statistics"].items()
    assert (known, entry["images"], entry["modalities"]) == (digest, 4, ["CR"])
    means = []
    for i in range(4):
        hr = ScaleToUnit()(load_image(folder / f"{i}.png"))[0].as_tensor().double()
        # 48 x 40 is what x4 divides; rounding to 8 bits moves a mean by less than 1/255.
        means.append(float(downsample(hr[:, :48, :40], 4, (1, 2)).mean()))
    expected = np.quantile(means, [0.01, 0.5, 0.99])
    assert entry["scales"]["4"]["mean"] == pytest.approx(expected.tolist(), abs=2e-3)
    middle = np.full((1, 12, 12), expected[1])
    assert image_statistics(middle)["mean"] == pytest.approx(expected[1])
    found = compare_with_training([middle], metadata, digest, 4, "CR")
    assert "mean" not in found.verdict.split("in:")[-1].split(", ")


def test_of_a_volume_every_slice_counts(tmp_path):
    path = write_nifti(tmp_path / "v.nii", pixels((40, 36, 5), "int16"))
    assert [lr.shape for lr in script.small_images(path, 1, 4)] == [(1, 9, 10)] * 5


def test_what_other_weights_of_the_bundle_saw_stays(tmp_path):
    (tmp_path / "images").mkdir()
    write_raster(tmp_path / "images" / "0.png", pixels((1, 43, 50)))
    bundle = tiny_bundle(tmp_path, "xray_sr")
    other = bundle / "models" / "model_fast.pt"
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, other)
    metadata = bundle / "configs" / "metadata.json"
    content = json.loads(metadata.read_text())
    kept, gone = weights_sha256(other), "0" * 64
    content["training_statistics"] = {kept: {"images": 3}, gone: {"images": 2}}
    metadata.write_text(json.dumps(content))
    assert script.main(["--bundle", str(bundle), "--images", str(tmp_path / "images")]) == 0
    found = json.loads(metadata.read_text())["training_statistics"]
    assert found[kept] == {"images": 3}
    assert set(found) == {kept, weights_sha256(bundle / "models" / "model.pt")}
