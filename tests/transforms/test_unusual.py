"""What differs from the images an interval was fitted on is noted before anything is enlarged."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from monai_sr.formats import Facts, announce
from monai_sr.functional.statistics import image_statistics
from monai_sr.transforms import NoteUnusuald
from monai_sr.transforms.training_range import TrainingComparison
from monai_sr.transforms.unusual import interval_basis

GRAIN = np.random.default_rng(0).standard_normal((1, 128, 128))
CLEAN = 0.5 + 0.08 * gaussian_filter(GRAIN, (0, 1, 1)) / gaussian_filter(GRAIN, (0, 1, 1)).std()


@pytest.fixture
def note(tmp_path):
    """Return what notes on images that shall be like CLEAN."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    usual = {k: [v - 0.02, v, v + 0.02] for k, v in image_statistics(CLEAN).items()}
    usual["high_frequency"] = [0.0, 0.5, 1.0]
    entry = {"channels": 1, "modalities": [], "images": 7, "scales": {"4": usual}}
    widening = {"noise_gain": 2, "clean_noise": 0.01, "detail_gain": 5, "clean_detail": 0.12}
    metadata = {
        "training_statistics": {hashlib.sha256(b"weights").hexdigest(): entry},
        "uncertainty": {
            "widening": {"4": widening | {"holds": 0.88, "held": 0.5}},
            "measured": {"4": {"like": 0.91, "unlike": [0.75, 0.98]}},
        },
    }
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    return NoteUnusuald("image", tmp_path / "metadata.json", tmp_path / "model.pt", 4)


def facts_of(note, values):
    image = MetaTensor(torch.from_numpy(values).float())
    return Facts(note({"image": image})["image"].meta)


def test_of_usual_images_nothing_is_noted(note):
    facts = facts_of(note, CLEAN)
    assert (facts.unusual, facts.interval) == ("", "")
    assert facts.basis == (
        "fitted on images like those that the weights were trained on; of others like them it held "
        "91% of the values"
    )


def test_noise_is_noted_with_what_it_does_to_the_interval(note):
    noisy = CLEAN + 0.05 * np.random.default_rng(1).standard_normal(CLEAN.shape)
    facts = facts_of(note, noisy)
    assert "noise level" in facts.unusual
    assert facts.interval.startswith("noise 0.05")
    assert "it held 88% of the values, without that 50%" in facts.interval


def test_blur_is_noted(note):
    facts = facts_of(note, gaussian_filter(CLEAN, (0, 2, 2)))
    assert "finest detail" in facts.interval


def test_of_other_images_it_says_that_nothing_was_fitted_on_their_like(note):
    facts = facts_of(note, 0.5 + 0.5 * (CLEAN - 0.5))
    held = "; of other images that it was not fitted on it held 75% to 98% of the values"
    told = "not fitted on images like this one, which differs in standard deviation"
    assert facts.basis == told + held
    assert facts.unusual.startswith("Outside the 1–99 % range of the 7 training images in: stand")
    assert facts.unusual.endswith(f"The interval was not fitted on such images{held}.")


def test_of_another_modality_it_says_so_without_figures_where_none_was_measured(tmp_path):
    unlike = TrainingComparison("", True, ("modality (CT; trained on CR, DX)",))
    metadata = tmp_path / "metadata.json"
    metadata.write_text("{}")
    assert interval_basis(metadata, 4, unlike) == (
        "not fitted on images like this one, which differs in modality (CT; trained on CR, DX)"
    )
    like = TrainingComparison("", False)
    assert interval_basis(metadata, 4, like).endswith("the weights were trained on")


def test_few_values_and_a_small_size_are_noted(note):
    assert "It has 2 values." in facts_of(note, (CLEAN > 0.5).astype(float)).unusual
    small = facts_of(note, CLEAN[:, :7, :])
    assert "size (a side under 8 pixels)" in small.unusual
    assert small.interval.startswith("too small or too even")


def test_a_constant_is_noted(note):
    facts = facts_of(note, np.full((1, 40, 40), 0.5))
    assert "It has 1 value." in facts.unusual
    assert facts.interval.startswith("too small or too even")


def test_where_no_uncertainty_is_asked_for_nothing_is_measured():
    note = NoteUnusuald("image", "none.json", "none.pt", 4, enabled=False)
    assert not facts_of(note, np.full((1, 40, 40), 0.5)).knows("unusual")


def test_it_is_said_before_the_image_is_enlarged(note, caplog):
    image = MetaTensor(torch.full((1, 40, 40), 0.5))
    with caplog.at_level("WARNING", logger="monai_sr"):
        announce("a.png", note({"image": image})["image"].meta)
    (line,) = caplog.messages
    assert line.startswith("a.png: uncertainty: Outside the 1–99 % range of the 7 training images")


def test_of_usual_images_the_log_says_what_the_interval_holds(note, caplog):
    image = MetaTensor(torch.from_numpy(CLEAN).float())
    with caplog.at_level("INFO", logger="monai_sr"):
        announce("a.png", note({"image": image})["image"].meta)
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("a.png: uncertainty: the interval was fitted on")
