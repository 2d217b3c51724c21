"""An input unlike the training images is named as such, and nothing is said where nothing is known."""  # noqa: E501

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.registry import list_bundles
from monai_sr.functional.statistics import image_statistics
from monai_sr.transforms.training_range import TITLES, compare_with_training

PLANE = np.random.default_rng(0).random((1, 32, 32))


@pytest.fixture
def metadata(tmp_path):
    """Training images were like PLANE in all."""
    usual = {k: [v - 0.01, v, v + 0.01] for k, v in image_statistics(PLANE).items()}
    entry = {"channels": 1, "modalities": ["CR"], "images": 7, "scales": {"2": usual, "4": usual}}
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"training_statistics": {"abc": entry}}))
    return path


def test_an_input_like_the_training_images_lies_within(metadata):
    found = compare_with_training([PLANE], metadata, "abc", 4, "CR")
    assert not found.is_outside
    assert found.verdict.startswith("Within the 1–99 % range of the 7 training images")
    assert [row[0] for row in found.rows] == list(TITLES.values())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda p: p + 0.1, "mean"),
        (lambda p: (p - 0.5) * 0.5 + 0.5, "standard deviation"),
        (lambda p: np.sort(p, axis=2), "share of high frequencies"),
        (lambda p: np.sort(p, axis=2), "noise level"),
        (lambda p: np.concatenate([p, p]), "number of bands (2; trained on 1)"),
        (lambda p: p[:, :7], "size (a side under 8 pixels)"),
    ],
)
def test_what_is_unlike_is_named(metadata, change, name):
    found = compare_with_training([change(PLANE)], metadata, "abc", 4)
    assert found.is_outside
    assert name in found.verdict


def test_another_modality_is_named(metadata):
    found = compare_with_training([PLANE], metadata, "abc", 4, "CT")
    assert "modality (CT; trained on CR)" in found.verdict


def test_other_weights_are_not_compared(metadata):
    found = compare_with_training([PLANE + 5], metadata, "other", 4)
    assert (found.is_outside, found.rows) == (False, ())
    assert "was not measured" in found.verdict


@pytest.mark.parametrize("weights", ["model.pt", "model_fast.pt"])
@pytest.mark.parametrize("bundle", sorted(list_bundles()))
def test_the_weights_of_every_bundle_were_compared_with_their_images(bundle, weights):
    root = list_bundles()[bundle]
    content = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    entry = content["training_statistics"][weights_sha256(root / "models" / weights)]
    for scale in ("2", "4"):
        for low, middle, high in entry["scales"][scale].values():
            assert low < middle < high
