"""What the network for thick slices is trained on: planes that were thin, made thick."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core import BadImageError, OptionError
from monai_sr.functional import SliceProfile, reduce_slices, restore_slices
from monai_sr.training import PatchLoader, ReadTrainingPlanes, ThickSliceImages, ThickSlices
from tests.image_factory import pixels, write_nifti

THICK = np.diag([0.8, 0.8, 5.0, 1.0])


@pytest.fixture
def volume(tmp_path):
    return write_nifti(tmp_path / "a.nii", pixels((12, 16, 14), "int16"), affine=np.eye(4))


def test_planes_of_thin_slices_come_along_every_axis(volume):
    planes = ReadTrainingPlanes().by_axis(volume)
    assert [len(each) for each in planes] == [12, 16, 14]
    assert [each[0].shape for each in planes] == [(1, 16, 14), (1, 12, 14), (1, 12, 16)]
    assert all(plane.dtype == np.float32 for each in planes for plane in each)
    through = [plane[0, 3, 5] for plane in planes[2]]
    assert planes[0][3][0, 5].tolist() == through


def test_of_thick_slices_only_the_slices_are_planes(tmp_path):
    source = write_nifti(tmp_path / "a.nii", pixels((12, 16, 14), "int16"), affine=THICK)
    planes = ReadTrainingPlanes()(source)
    assert [plane.shape for plane in planes] == [(1, 12, 16)] * 14


def test_empty_planes_are_left_out(tmp_path):
    values = pixels((12, 16, 14), "int16")
    values[:4] = values.min()
    planes = ReadTrainingPlanes().by_axis(write_nifti(tmp_path / "a.nii", values, affine=np.eye(4)))
    assert [len(each) for each in planes] == [8, 16, 14]


def test_a_volume_that_shows_nothing_is_refused(tmp_path):
    values = np.zeros((12, 16, 14), np.float32)
    values[0, :3] = np.linspace(0.1, 0.5, 42).reshape(3, 14)
    with pytest.raises(BadImageError, match=r"a\.nii: must show something, got none; remove it"):
        ReadTrainingPlanes()(write_nifti(tmp_path / "a.nii", values, affine=np.eye(4)))


def test_what_the_network_gets_is_the_reduced_plane_restored():
    profile = SliceProfile("gaussian")
    thick = ThickSlices((3, 3), [profile], known_share=1.0)
    plane = torch.rand(1, 1, 12, 6)
    found = thick.corrupt(plane, torch.tensor([0]))
    expected = restore_slices(reduce_slices(plane, 4, 2, profile), 12, 2, profile)
    torch.testing.assert_close(found[:, :1], expected)
    assert found.shape == (1, 3, 12, 6)
    unknown = ThickSlices((3, 3), [profile], known_share=0.0).corrupt(plane, torch.tensor([0]))
    assumed = restore_slices(reduce_slices(plane, 4, 2, profile), 12, 2, SliceProfile())
    torch.testing.assert_close(unknown[:, :1], assumed)


def test_factors_are_drawn_within_their_range_whole_or_not():
    planes = torch.rand(200, 1, 60, 4)
    found = ThickSlices((2, 6)).corrupt(planes, torch.arange(200))
    factors = found[:, 1, 0, 0] * 6
    assert factors.min() == pytest.approx(2)
    assert factors.max() == pytest.approx(6)
    assert len(factors.unique()) == 21


def test_a_batch_is_a_function_of_seed_and_iteration(volume):
    def load():
        return PatchLoader(
            [volume], ReadTrainingPlanes(), scales=[1], patch_size=12, batch_size=4,
            degradation=ThickSlices(),
        )  # fmt: skip

    first, second = load().batch(3), load().batch(3)
    assert first["image"].shape == (4, 3, 12, 12)
    assert first["label"].shape == (4, 1, 12, 12)
    assert torch.equal(first["image"], second["image"])
    # Reduced by at least two, the patch is the label no more, but means stay near.
    difference = first["image"][:, :1] - first["label"]
    assert difference.abs().mean() > 0.01
    assert difference.mean().abs() < 0.02


def test_validation_shows_every_orientation_at_every_factor(volume):
    images = ThickSliceImages([volume], ReadTrainingPlanes(), factors=(2, 3))
    assert len(images) == 6
    assert images[1]["image"].shape == (3, 15, 14)
    assert images[1]["label"].shape == (1, 15, 14)
    assert images[1]["image"][1, 0, 0] == pytest.approx(3 / 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factors": (1, 3)}, "factors: needs"),
        ({"profiles": []}, "profiles: needs at least one"),
        ({"known_share": 2}, "known_share: must be in"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        ThickSlices(**options)


def test_other_scales_are_refused():
    with pytest.raises(OptionError, match=r"scales: must be \[1\] for thick slices, got 2"):
        ThickSlices().shrink(torch.rand(1, 8, 8), 2)
