"""A teacher's results from a folder are second targets, cut as the truth is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.core import BadImageError, OptionError
from monai_sr.training import (
    PatchLoader,
    ReadTrainingImage,
    TeacherResults,
    teacher_results,
    training_batch,
)
from tests.network_factory import tiny

READ = ReadTrainingImage(3)


@pytest.fixture
def photos(tmp_path):
    """Write three photos; the first two have results at x4, their own negatives."""
    random = np.random.default_rng(0)
    for folder in ("photos", "results"):
        (tmp_path / folder).mkdir()
    for name, size in (("a", (50, 66)), ("b", (44, 41)), ("c", (48, 48))):
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
        if name != "c":
            rows, columns = (side // 4 * 4 for side in size)
            negative = Image.fromarray(255 - pixels[:rows, :columns])
            negative.save(tmp_path / "results" / f"{name}_x4.png")
    return tmp_path


def _loader(folder, **options):
    targets = teacher_results(folder / "results", READ, [4, 2])
    files = sorted((folder / "photos").glob("*.png"))
    return PatchLoader(files, READ, patch_size=8, batch_size=64, targets=targets, **options)


def test_a_result_is_cut_and_turned_as_the_truth(photos):
    batch = _loader(photos, scales=[4], seed=2).batch(0)
    is_negative = torch.isclose(batch["taught"], 1 - batch["label"]).flatten(1).all(1)
    is_truth = (batch["taught"] == batch["label"]).flatten(1).all(1)
    assert (is_negative ^ is_truth).all()
    assert is_negative.any() and is_truth.any()  # noqa: PT018 - of the third photo


def test_a_single_band_is_learned_from_both_targets(photos):
    batch = _loader(photos, scales=[4], single_band_share=1.0).batch(0)
    for name in ("image", "label", "taught"):
        assert (batch[name] == batch[name][:, :1]).all()


def test_a_scale_without_results_is_learned_from_the_truth(photos):
    loader = _loader(photos, scales=[2, 4], scale_weights=[1.0, 0.0])
    batch = loader.batch(0)
    assert set(batch) == {"image", "label"}
    _, targets, _, told = training_batch(tiny(), photos / "results")(batch)
    assert told == {"scale": 2}
    torch.testing.assert_close(targets, torch.cat([batch["label"]] * 2, 1), rtol=0, atol=0)


def test_the_same_patches_are_drawn_with_and_without_a_teacher(photos):
    files = sorted((photos / "photos").glob("*.png"))
    plain = PatchLoader(files, READ, patch_size=8, batch_size=64).batch(5)
    taught = _loader(photos).batch(5)
    assert torch.equal(plain["image"], taught["image"])
    assert torch.equal(plain["label"], taught["label"])


def test_batches_bring_both_targets(photos):
    batch = _loader(photos, scales=[4]).batch(1)
    image, targets, _, told = training_batch(tiny(), photos / "results")(batch)
    assert torch.equal(image, batch["image"])
    assert torch.equal(targets, torch.cat([batch["label"], batch["taught"]], 1))
    assert told == {"scale": 4}


def test_results_of_floats_become_what_the_truth_is(photos, tmp_path):
    results = TeacherResults(photos / "results", lambda _: np.full((3, 48, 64), 0.5), [4])
    truth = np.zeros((3, 48, 64), np.uint8)
    assert (results.read(photos / "photos" / "a.png", 4, truth) == 128).all()
    halves = TeacherResults(
        photos / "results", lambda _: np.full((3, 48, 64), 51, np.uint8), [4]
    ).read(photos / "photos" / "a.png", 4, truth.astype(np.float32))
    assert halves.dtype == np.float32
    np.testing.assert_allclose(halves, 0.2, rtol=1e-6)


def test_a_result_of_another_size_is_refused(photos):
    Image.new("RGB", (20, 20)).save(photos / "results" / "a_x4.png")
    targets = TeacherResults(photos / "results", READ, [4])
    with pytest.raises(BadImageError, match=r"a_x4.png: must have the size \(48, 64\) of the"):
        targets.read(photos / "photos" / "a.png", 4, np.zeros((3, 48, 64), np.uint8))


def test_two_results_of_one_image_are_refused(photos):
    Image.new("RGB", (64, 48)).save(photos / "results" / "ax4.tif")
    Image.new("RGB", (64, 48)).save(photos / "results" / "ax4.bmp")
    (photos / "results" / "a_x4.png").unlink()
    targets = TeacherResults(photos / "results", READ, [4])
    with pytest.raises(BadImageError, match=r"a\.png: must have one result at x4 in .*, got 2"):
        targets.read(photos / "photos" / "a.png", 4, np.zeros((3, 48, 64), np.uint8))


def test_a_folder_without_results_is_refused(photos, tmp_path):
    with pytest.raises(OptionError, match=r"teacher: .* must hold results named NAME_x3"):
        teacher_results(photos / "results", READ, [3])
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"empty: holds no image; check --teacher"):
        teacher_results(tmp_path / "empty", READ, [4])


def test_weights_and_no_teacher_are_no_folder_of_results(photos):
    assert teacher_results(None, READ, [4]) is None
    assert teacher_results(photos / "photos" / "a.png", READ, [4]) is None
