"""Degradations act as they say, and leave batches a pure function of seed and iteration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.degradation import gaussian_blur, jpeg, opencv_downsample
from monai_sr.functional.resize import downsample, downsample_uint8
from monai_sr.training import (
    BicubicDegradation,
    OpenCVCubicDegradation,
    PatchLoader,
    RandomDegradation,
)

ALL = {"blur_sigma": [0.3, 1.5], "noise_sigma": [1, 25], "jpeg_quality": [30, 95]}


@pytest.fixture
def images(tmp_path):
    random = np.random.default_rng(1)
    files = [tmp_path / f"{i}.npy" for i in range(3)]
    for file in files:
        np.save(file, random.integers(0, 256, (3, 40, 48), dtype=np.uint8))
    return files


def loader(files, degradation=None, **options):
    options = {"patch_size": 8, "batch_size": 6, "scales": [2, 4]} | options
    return PatchLoader(files, np.load, degradation=degradation, **options)


def patches(count=400, channels=1, side=8, value=0.5):
    return torch.full((count, channels, side, side), value)


def seeds(count=400, first=0):
    return torch.arange(first, first + count)


def test_batches_without_a_degradation_are_what_they_were(images):
    # Hand-made: the same draws, and the benchmarks' shrinking, without any code of degradations.
    stream = loader(images, scales=[2])
    batch = stream.batch(3)
    mixed = np.random.SeedSequence((0, 3)).generate_state(1)
    random = torch.Generator().manual_seed(int(mixed[0]))
    torch.multinomial(torch.ones(1, dtype=torch.float64), 1, generator=random)
    area = torch.full((3,), 40 * 48, dtype=torch.float64)
    which = torch.multinomial(area, 6, replacement=True, generator=random)
    room = torch.tensor([20, 24]).expand(6, 2) - 8 + 1
    corner = (torch.rand(6, 2, generator=random, dtype=torch.float64) * room).long()
    turn = torch.randint(0, 8, (6,), generator=random)
    for i in range(6):
        small = downsample_uint8(torch.from_numpy(np.load(images[which[i]])), 2)
        row, column = corner[i].tolist()
        patch = small[:, row : row + 8, column : column + 8].float() / 255
        if turn[i] & 4:
            patch = patch.transpose(1, 2)
        patch = patch.flip(1) if turn[i] & (2 if turn[i] & 4 else 1) else patch
        patch = patch.flip(2) if turn[i] & (1 if turn[i] & 4 else 2) else patch
        assert torch.equal(batch["image"][i], patch)


@pytest.mark.parametrize("degradation", [BicubicDegradation(), RandomDegradation()])
def test_degradation_that_does_nothing_changes_nothing(images, degradation):
    plain, other = loader(images), loader(images, degradation)
    for i in range(4):
        first, second = plain.batch(i), other.batch(i)
        assert all(torch.equal(first[key], second[key]) for key in ("image", "label"))


@pytest.mark.parametrize("degradation", [OpenCVCubicDegradation(), RandomDegradation(**ALL)])
def test_labels_are_the_same_whatever_the_degradation(images, degradation):
    plain, other = loader(images), loader(images, degradation)
    for i in range(4):
        first, second = plain.batch(i), other.batch(i)
        assert torch.equal(first["label"], second["label"])
        assert not torch.equal(first["image"], second["image"])
        assert second["image"].dtype == torch.float32


def test_batch_is_a_pure_function_of_seed_and_iteration(images):
    first, second = (loader(images, RandomDegradation(**ALL), seed=5) for _ in range(2))
    batches = [first.batch(i)["image"] for i in range(4)]
    assert all(torch.equal(second.batch(i)["image"], batches[i]) for i in (3, 0, 2, 1))
    other = loader(images, RandomDegradation(**ALL), seed=6)
    assert not torch.equal(other.batch(0)["image"], batches[0])


def test_patch_depends_on_its_own_seed_alone():
    lr = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    degradation = RandomDegradation(**ALL)
    whole = degradation.corrupt(lr, seeds(4))
    part = degradation.corrupt(lr[2:], seeds(2, first=2))
    assert torch.equal(whole[2:], part)
    state = torch.get_rng_state()
    degradation.corrupt(lr, seeds(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_opencv_shrinks_whole_images():
    image = torch.randint(0, 256, (3, 16, 24), generator=torch.Generator().manual_seed(0))
    for hr in (image.to(torch.uint8), image.float() / 255):
        assert torch.equal(OpenCVCubicDegradation().shrink(hr, 4), opencv_downsample(hr, 4))


def test_bicubic_shrinks_as_benchmarks_do():
    hr = torch.randint(0, 256, (1, 16, 24), generator=torch.Generator().manual_seed(0))
    found = BicubicDegradation().shrink(hr.to(torch.uint8), 2)
    assert torch.equal(found, downsample_uint8(hr.to(torch.uint8), 2))
    assert torch.equal(BicubicDegradation().shrink(hr.float(), 2), downsample(hr.float(), 2))


def test_base_shrinks_for_a_random_degradation():
    hr = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    degradation = RandomDegradation(noise_sigma=[1, 1], base=OpenCVCubicDegradation())
    assert torch.equal(degradation.shrink(hr, 2), opencv_downsample(hr, 2))


def test_noise_has_the_strength_that_it_says():
    found = RandomDegradation(noise_sigma=[10, 10]).corrupt(patches(), seeds()) - 0.5
    assert found.mean().item() == pytest.approx(0, abs=1e-3)
    assert found.std().item() * 255 == pytest.approx(10, rel=0.02)
    drawn = RandomDegradation(noise_sigma=[5, 25]).corrupt(patches(), seeds())
    strengths = (drawn - 0.5).flatten(1).std(dim=1) * 255
    assert strengths.mean().item() == pytest.approx(15, rel=0.05)
    assert strengths.min() < 7
    assert strengths.max() > 22


def test_noise_is_clipped_to_the_range_of_images():
    white = RandomDegradation(noise_sigma=[25, 25]).corrupt(patches(20, value=1.0), seeds(20))
    assert white.max() == 1
    assert white.min() < 0.9


def test_blur_alone_is_the_blur():
    lr = torch.rand(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    found = RandomDegradation(blur_sigma=[0.8, 0.8]).corrupt(lr, seeds(3))
    assert torch.equal(found, torch.stack([gaussian_blur(patch, 0.8) for patch in lr]))


def test_compression_alone_is_jpeg():
    lr = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = RandomDegradation(jpeg_quality=[40, 40]).corrupt(lr, seeds(3))
    assert torch.equal(found, torch.stack([jpeg(patch, 40) for patch in lr]))


@pytest.mark.parametrize("name", ["blur", "noise", "jpeg"])
def test_probability_is_the_share_of_spoiled_patches(name):
    lr = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(400, 1, 8, 8)
    option = next(key for key in ALL if key.startswith(name))
    degradation = RandomDegradation(**{option: ALL[option], f"{name}_probability": 0.3})
    spoiled = (degradation.corrupt(lr, seeds()) != lr).flatten(1).any(dim=1)
    assert spoiled.float().mean().item() == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize(
    "option",
    [
        {"blur_sigma": [-1, 1]},
        {"blur_sigma": [2, 1]},
        {"noise_sigma": [5]},
        {"jpeg_quality": [0, 50]},
        {"jpeg_quality": [50, 101]},
        {"blur_probability": 1.5},
        {"noise_probability": -0.1},
    ],
)
def test_impossible_strength_is_refused(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        RandomDegradation(**option)
