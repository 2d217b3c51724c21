"""Patches are what benchmarks would make of the whole image, and a pure function of the step."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.functional.resize import REACH, downsample, downsample_uint8
from monai_sr.training import PatchLoader


def write(folder, *arrays):
    files = [folder / f"{i}.npy" for i in range(len(arrays))]
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    return files


@pytest.fixture
def images(tmp_path):
    """Write three float images of different and odd sizes."""
    random = np.random.default_rng(1)
    sizes = [(37, 50), (64, 41), (33, 35)]
    return write(tmp_path, *(random.random((2, *size), dtype=np.float32) for size in sizes))


def loader(files, **options):
    options = {"patch_size": 8, "batch_size": 16, "epoch_length": 5} | options
    return PatchLoader(files, np.load, **options)


def equal(first, second):
    return all(torch.equal(first[key], second[key]) for key in ("image", "label"))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_patch_is_the_shrunk_label_beyond_the_reach_of_the_edge(images, scale):
    batch = loader(images, scales=[scale]).batch(3)
    assert batch["image"].shape == (16, 2, 8, 8)
    assert batch["label"].shape == (16, 2, 8 * scale, 8 * scale)
    inner = (..., slice(REACH, -REACH), slice(REACH, -REACH))
    torch.testing.assert_close(downsample(batch["label"], scale)[inner], batch["image"][inner])


def test_patch_is_cut_from_the_shrunk_whole_image_and_turned_as_its_label(tmp_path):
    # Every pixel of the label tells where it comes from.
    height, width, scale = 36, 44, 2
    place = np.arange(height * width, dtype=np.float32).reshape(1, height, width) / 2048
    values = np.random.default_rng(2).random((1, height, width), dtype=np.float32)
    both = np.concatenate([place, values])
    batch = loader(write(tmp_path, both), scales=[scale], batch_size=64).batch(0)
    small = downsample(torch.from_numpy(values), scale)[0]
    turns = set()
    for image, label in zip(batch["image"], batch["label"], strict=True):
        origin = (label[0, ::scale, ::scale] * 2048).long()
        rows, columns = origin // width // scale, origin % width // scale
        torch.testing.assert_close(image[1], small[rows, columns])
        down, right = origin[1, 0] - origin[0, 0], origin[0, 1] - origin[0, 0]
        turns.add((int(down), int(right)))
    assert len(turns) == 8


def test_eight_bit_images_shrink_as_benchmarks_do(tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    batch = loader(write(tmp_path, image), scales=[4]).batch(0)
    expected = downsample_uint8(torch.from_numpy(image), 4).float() / 255
    assert batch["image"].dtype == torch.float32
    turned = [
        torch.rot90(flipped, turns, (1, 2))
        for flipped in (expected, expected.flip(1))
        for turns in range(4)
    ]
    assert all(any(torch.equal(patch, one) for one in turned) for patch in batch["image"])


@pytest.mark.parametrize("scale", [2, 4])
def test_channels_change_places_in_all_versions_of_a_patch_alike(tmp_path, scale):
    files = write(tmp_path, *np.random.default_rng(4).random((3, 3, 40, 40), dtype=np.float32))
    plain, permuted = (
        loader(files, scales=[scale], permute_channels=told).batch(5) for told in (False, True)
    )
    orders = set()
    for i in range(16):
        order = [
            next(k for k in range(3) if torch.equal(band, plain["label"][i, k]))
            for band in permuted["label"][i]
        ]
        assert torch.equal(permuted["image"][i], plain["image"][i, order])
        orders.add(tuple(order))
    assert len(orders) > 3


def test_double_precision_images_give_single_precision_patches(tmp_path):
    batch = loader(write(tmp_path, np.full((1, 40, 40), 0.5))).batch(0)
    assert batch["image"].dtype == batch["label"].dtype == torch.float32


def test_batch_is_a_pure_function_of_seed_and_iteration(images):
    first, second = loader(images, seed=5), loader(images, seed=5)
    batches = [first.batch(i) for i in range(4)]
    assert all(equal(second.batch(i), batches[i]) for i in (3, 0, 2, 1))
    assert not equal(loader(images, seed=6).batch(0), batches[0])
    assert not equal(batches[0], batches[1])


def test_stream_continues_at_the_iteration_that_it_is_given(images):
    stream = loader(images)
    expected = [stream.batch(i) for i in range(10)]
    batches = iter(stream)
    assert all(equal(next(batches), one) for one in expected[:3])
    stream.iteration = 8
    assert equal(next(batches), expected[8])
    assert stream.iteration == 9
    assert stream.seconds > 0
    assert len(stream) == 5


def test_scales_are_drawn_by_their_weights(images):
    def scales(**options):
        patches = loader(images, scales=[4, 2], batch_size=1, **options)
        sizes = [patches.batch(i)["label"].shape[-1] // 8 for i in range(40)]
        return sizes.count(4), sizes.count(2)

    assert scales(scale_weights=[1, 0]) == (40, 0)
    assert min(scales()) > 10


def test_images_are_drawn_by_area(tmp_path):
    files = write(tmp_path, np.zeros((1, 32, 32), np.uint8), np.full((1, 96, 96), 255, np.uint8))
    mean = loader(files, batch_size=2000, patch_size=2, scales=[2]).batch(0)["image"].mean()
    assert mean.item() == pytest.approx(0.9, abs=0.03)


def test_streaming_through_groups_equals_itself_from_any_step(tmp_path):
    arrays = [np.full((1, 32, 32), i, np.uint8) for i in range(9)]
    files = write(tmp_path, *arrays)
    per_image = 32 * 32 * (1 + 1 / 4 + 1 / 16)
    options = {"cache_gib": 6 * per_image / 2**30, "group_batches": 2, "batch_size": 32}
    stream = loader(files, **options)
    batches = [stream.batch(i) for i in range(8)]
    seen = [set((batch["label"] * 255).round().unique().long().tolist()) for batch in batches]
    # Three groups of three images, two batches each, then from the start.
    assert all(seen[i] == seen[i + 1] for i in (0, 2, 4))
    assert set().union(*seen[:6]) == set(range(9))
    assert seen[6] == seen[0]
    for start in (1, 3, 7):
        resumed = loader(files, **options)
        assert all(equal(resumed.batch(i), batches[i]) for i in range(start, 8))


def test_groups_without_an_image_of_use_are_passed_over(tmp_path):
    sides = (32, 20, 32, 20, 20, 32)
    files = write(tmp_path, *(np.full((1, n, n), i, np.uint8) for i, n in enumerate(sides)))
    options = {"cache_gib": 1e-9, "group_batches": 2}  # groups of one image
    stream = loader(files, **options)
    batches = [stream.batch(i) for i in range(24)]
    seen = {int((batch["label"] * 255).round().unique()) for batch in batches}
    assert seen == {0, 2, 5}
    for start in (3, 11, 22):
        resumed = loader(files, **options)
        assert all(equal(resumed.batch(i), batches[i]) for i in range(start, 24))


def test_image_that_is_too_small_is_left_out_and_counted(tmp_path, caplog):
    files = write(tmp_path, np.zeros((1, 31, 90), np.uint8), np.full((1, 32, 32), 9, np.uint8))
    with caplog.at_level(logging.WARNING):
        batch = loader(files).batch(0)
    assert "1 of 2 training images are unreadable or too small" in caplog.text
    assert (batch["label"] * 255).round().unique().tolist() == [9]


def test_sides_are_cropped_to_a_multiple_of_every_scale(tmp_path):
    place = np.arange(49 * 50, dtype=np.float32).reshape(1, 49, 50)
    stream = loader(write(tmp_path, place), scales=[2, 3], patch_size=4)
    labels = [stream.batch(i)["label"].long() for i in range(20)]
    assert max(int((label // 50).max()) for label in labels) == 47
    assert max(int((label % 50).max()) for label in labels) == 47


def test_no_files_are_refused():
    with pytest.raises(OptionError, match="point it to a folder of images"):
        loader([])


@pytest.mark.parametrize(
    "options",
    [{"scales": []}, {"scales": [0, 2]}, {"scales": [2], "scale_weights": [0.5, 0.5]}],
)
def test_scales_that_do_not_fit_are_refused(images, options):
    with pytest.raises(OptionError, match="scale"):
        loader(images, **options)


@pytest.mark.parametrize("options", [{"seed": -1}, {"seed": 1.5}, {"patch_size": 0}])
def test_numbers_that_are_none_are_refused(images, options):
    with pytest.raises(OptionError, match="patch_size, seed: must be whole numbers"):
        loader(images, **options)


def test_an_epoch_without_batches_is_refused(images):
    with pytest.raises(OptionError, match="epoch_length: must be a whole number of at least 1"):
        loader(images, epoch_length=0)


def test_only_small_images_are_refused_with_the_remedy(images):
    with pytest.raises(
        BadImageError, match="at least 64 pixels; add larger ones or lower patch_si"
    ):
        loader(images, patch_size=16).batch(0)


def test_images_of_another_number_of_channels_are_refused(tmp_path):
    files = write(tmp_path, np.zeros((3, 40, 40), np.uint8), np.zeros((1, 40, 40), np.uint8))
    with pytest.raises(BadImageError, match=r"1\.npy: must have 3 channels .* got 1; convert it"):
        loader(files).batch(0)


def test_damaged_image_is_named_and_left_out(tmp_path, caplog):
    files = write(tmp_path, *(np.full((1, 32, 32), i, np.uint8) for i in range(4)))

    def load(file):
        if file.stem in ("0", "2"):
            raise BadImageError(f"{file.name}: is damaged; remove it")
        return np.load(file)

    with caplog.at_level(logging.WARNING):
        batch = PatchLoader(files, load, patch_size=8).batch(0)
    assert "unused: 2.npy: is damaged" in caplog.text
    assert "2 of 4 training images are unreadable" in caplog.text
    assert set((batch["label"] * 255).round().unique().tolist()) <= {1, 3}


def test_folder_of_damaged_images_is_refused(tmp_path):
    def load(file):
        raise BadImageError(f"{file.name}: is damaged; remove it")

    with pytest.raises(BadImageError, match="none of 2 images can be read"):
        PatchLoader(write(tmp_path, *[np.zeros((1, 32, 32), np.uint8)] * 2), load, patch_size=8)


def test_a_folder_of_labels_may_come_before_the_images(tmp_path):
    def load(file):
        if "mask" in file.name:
            raise BadImageError(f"{file}: must hold gray values, got labels")
        return np.load(file)

    names = [*(f"annotations_{i}_mask.npy" for i in range(9)), "photo.npy"]
    for name in names:
        np.save(tmp_path / name, np.ones((1, 40, 40), np.float32))
    files = [tmp_path / name for name in names]
    batch = PatchLoader(files, load, scales=[2], patch_size=8, batch_size=1).batch(0)
    assert batch["image"].shape == (1, 1, 8, 8)
