"""Cubes are cut from volumes shrunk as a whole, turned in 48 ways, a pure function of the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import BadImageError
from monai_sr.functional.resize import REACH, downsample
from monai_sr.training import ReadTrainingVolume, ValidationImages, VolumePatchLoader
from tests.image_factory import pixels, write_nifti, write_raster

AXES = (1, 2, 3)


def write(folder, *arrays):
    files = [folder / f"{i}.npy" for i in range(len(arrays))]
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    return files


@pytest.fixture
def volumes(tmp_path):
    """Write two volumes of different and odd sizes."""
    random = np.random.default_rng(1)
    sizes = [(19, 25, 21), (32, 17, 18)]
    return write(tmp_path, *(random.random((1, *size), dtype=np.float32) for size in sizes))


def loader(files, **options):
    options = {"scales": [2], "patch_size": 8, "batch_size": 4} | options
    return VolumePatchLoader(files, np.load, **options)


def equal(first, second):
    return all(torch.equal(first[key], second[key]) for key in ("image", "label"))


def test_cube_is_the_shrunk_label_beyond_the_reach_of_the_edge(volumes):
    batch = loader(volumes).batch(3)
    assert batch["image"].shape == (4, 1, 8, 8, 8)
    assert batch["label"].shape == (4, 1, 16, 16, 16)
    assert batch["image"].dtype == batch["label"].dtype == torch.float32
    inner = (..., *[slice(REACH, -REACH)] * 3)
    shrunk = downsample(batch["label"], 2, (2, 3, 4))
    torch.testing.assert_close(shrunk[inner], batch["image"][inner])


def test_cubes_are_turned_in_all_48_ways_and_aligned_with_their_labels(tmp_path):
    sizes, scale, patch = (24, 20, 22), 2, 4
    # Every voxel of the label tells where it comes from.
    place = np.arange(np.prod(sizes), dtype=np.float32).reshape(1, *sizes)
    values = np.random.default_rng(2).random((1, *sizes), dtype=np.float32)
    files = write(tmp_path, np.concatenate([place, values]))
    batch = loader(files, patch_size=patch, batch_size=600).batch(0)
    small = downsample(torch.from_numpy(values), scale, AXES)[0]
    turns = set()
    for image, label in zip(batch["image"], batch["label"], strict=True):
        corner = label[0, ::scale, ::scale, ::scale].long()
        indices = tuple(i // scale for i in np.unravel_index(corner.numpy(), sizes))
        torch.testing.assert_close(image[1], small[indices])
        start = int(corner[0, 0, 0])
        steps = (corner[1, 0, 0], corner[0, 1, 0], corner[0, 0, 1])
        turns.add(tuple(int(step) - start for step in steps))
    assert len(turns) == 48


def test_batch_is_a_pure_function_of_seed_and_iteration(volumes):
    first, second = loader(volumes, seed=5), loader(volumes, seed=5)
    batches = [first.batch(i) for i in range(3)]
    assert all(equal(second.batch(i), batches[i]) for i in (2, 0, 1))
    assert not equal(loader(volumes, seed=6).batch(0), batches[0])
    assert not equal(batches[0], batches[1])
    stream = loader(volumes, seed=5)
    stream.iteration = 2
    assert equal(next(iter(stream)), batches[2])


def test_volume_is_mapped_to_0_to_1_by_its_own_range(tmp_path):
    stored = pixels((9, 8, 7), "int16")
    volume = ReadTrainingVolume()(write_nifti(tmp_path / "v.nii.gz", stored, slope=2.0, inter=5))
    low, high = float(stored.min()), float(stored.max())
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume[0], (stored - low) / (high - low), rtol=0, atol=1e-6)


def test_thin_volume_is_continued_by_mirroring(tmp_path):
    file = write_nifti(tmp_path / "thin.nii", pixels((18, 16, 5), "int16"))
    plain, padded = ReadTrainingVolume()(file), ReadTrainingVolume(16)(file)
    assert padded.shape == (1, 18, 16, 16)
    assert np.array_equal(padded, np.pad(plain, [(0, 0)] * 3 + [(5, 6)], mode="symmetric"))


def test_images_and_series_are_refused_with_the_remedy(tmp_path):
    for file in (
        write_nifti(tmp_path / "time.nii", pixels((8, 8, 8, 2), "int16")),
        write_nifti(tmp_path / "slice.nii", pixels((8, 8), "int16")),
        write_raster(tmp_path / "photo.png"),
    ):
        with pytest.raises(BadImageError, match=r"must be a volume .* remove it from the folder"):
            ReadTrainingVolume()(file)


def test_validation_shrinks_the_middle_of_a_volume_along_all_axes(tmp_path):
    file = write_nifti(tmp_path / "v.nii", pixels((20, 17, 9), "int16"))
    read = ReadTrainingVolume()
    sample = ValidationImages([file], read, 2, largest_side=12)[0]
    whole = torch.from_numpy(read(file))
    assert torch.equal(sample["label"], whole[:, 4:16, 2:14, :8])
    torch.testing.assert_close(sample["image"], downsample(sample["label"], 2, AXES))
