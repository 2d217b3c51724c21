"""Measured pairs: found by name, brought in line or refused with the shift, learned as they are."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin
from scipy.ndimage import fourier_shift

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.functional.resize import downsample
from monai_sr.training import PatchLoader, ReadTrainingImage, ReadTrainingVolume, ValidationImages
from monai_sr.training.measured_pairs import measured_shift, register


def scene(shape, seed=0):
    """Return a smooth random image in [0, 1], periodic, so that it can be shifted exactly."""
    random = np.random.default_rng(seed)
    rates = [np.fft.fftfreq(side)[(slice(None), *(None,) * (len(shape) - 1 - axis))]
             for axis, side in enumerate(shape)]  # fmt: skip
    decay = 1 / (0.02 + np.sqrt(sum(rate**2 for rate in rates)))
    image = np.fft.ifftn(np.fft.fftn(random.normal(size=shape)) * decay).real
    return (image - image.min()) / (image.max() - image.min())


def shifted(image, shift):
    return np.fft.ifftn(fourier_shift(np.fft.fftn(image), shift)).real


def small(image, scale):
    return downsample(torch.from_numpy(image), scale, range(image.ndim)).numpy()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (5, 3), (0.5, -0.4), (-7, 0)])
def test_a_shift_is_found_to_a_sixth_of_a_pixel_despite_noise_and_another_gain(scale, shift):
    hr = scene((96, 120))
    lr = small(shifted(hr, shift), scale) * 0.7 + 0.2
    lr += np.random.default_rng(1).normal(0, 0.01, lr.shape)
    assert measured_shift(hr[None], lr[None], scale) == pytest.approx(shift, abs=0.16)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("shift", [(0, 0), (1, -3), (-5, 6), (8, 4)])
def test_a_shift_of_whole_pixels_is_mended(scale, shift):
    hr = scene((96, 120))
    lr = small(shifted(hr, shift), scale)
    large, little = register(hr[None], lr[None], scale, "pair")
    assert large.shape == (1, little.shape[1] * scale, little.shape[2] * scale)
    again = small(large[0], scale)[3:-3, 3:-3]  # its edges see other surroundings
    np.testing.assert_allclose(again, little[0, 3:-3, 3:-3], atol=0.01)
    # What is left has the size of the common scene, to a pixel of the small image.
    for side, kept, moved in zip(lr.shape, little.shape[1:], shift, strict=True):
        assert side - kept <= -(-abs(moved) // scale) + 1


def test_a_shift_of_half_a_pixel_is_refused_with_what_was_found():
    hr = scene((96, 120))
    lr = small(shifted(hr, (0.5, -2)), 2)
    with pytest.raises(BadImageError, match=r"got a shift of \+0\.\d\d rows, -[12]\.\d\d columns"):
        register(hr[None], lr[None], 2, "pair")


def test_volumes_are_brought_in_line_along_three_axes():
    hr = scene((48, 40, 64))
    lr = small(shifted(hr, (2, 0, -1)), 2)
    large, little = register(hr[None], lr[None], 2, "pair")
    again = small(large[0], 2)[3:-3, 3:-3, 3:-3]
    np.testing.assert_allclose(again, little[0, 3:-3, 3:-3, 3:-3], atol=0.01)


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes a color pair, the small one made by ``make``."""

    def write(make, name="a", mark="x4", suffix=".png"):
        bands = np.stack([scene((96, 128), seed) for seed in range(3)], axis=-1)
        for folder, pixels, stem in (
            ("hr", bands, name),
            ("lr", make(bands), f"{name}{mark}"),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = Image.fromarray(np.rint(255 * pixels.clip(0, 1)).astype(np.uint8))
            image.save(tmp_path / folder / f"{stem}{suffix}")
        return tmp_path / "hr" / f"{name}{suffix}", tmp_path / "lr"

    return write


def darker(bands):
    """Reduce by 4 and darken: a step that bicubic reduction alone is not."""
    return np.stack([small(band, 4) for band in np.moveaxis(bands, -1, 0)], axis=-1) * 0.5


def test_patches_of_photos_are_those_that_were_measured(photos):
    file, lr_dir = photos(darker)
    read = ReadTrainingImage(3, lr_dir, [4])
    loader = PatchLoader([file], read, scales=[4], patch_size=8, batch_size=3)
    batch = loader.batch(0)
    assert batch["image"].shape == (3, 3, 8, 8)
    assert batch["label"].shape == (3, 3, 32, 32)
    ratio = batch["image"].mean() / batch["label"].mean()
    assert ratio == pytest.approx(0.5, abs=0.02)
    reduced = downsample(batch["label"], 4)[..., 2:-2, 2:-2]
    torch.testing.assert_close(batch["image"][..., 2:-2, 2:-2], reduced / 2, atol=0.01, rtol=0)


def test_validation_looks_at_the_measured_pair(photos):
    file, lr_dir = photos(darker)
    read = ReadTrainingImage(3, lr_dir, [4])
    (pair,) = ValidationImages([file], read, 4, largest_side=64)
    assert pair["label"].shape == (3, 64, 64)
    reduced = downsample(pair["label"], 4)[..., 2:-2, 2:-2]
    torch.testing.assert_close(pair["image"][..., 2:-2, 2:-2], reduced / 2, atol=0.01, rtol=0)


def test_a_volume_is_paired_slice_by_slice_on_the_small_ones_range(tmp_path):
    hr = 1000 * scene((64, 48, 5), 3)
    lr = 0.5 * np.stack([small(plane, 2) for plane in np.moveaxis(hr, -1, 0)], axis=-1)
    for folder, values, side in (("hr", hr, 1.0), ("lr", lr, 2.0)):
        (tmp_path / folder).mkdir()
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        image = nib.Nifti1Image(values.astype(np.float32), np.diag([side, side, 4, 1]), header)
        nib.save(image, tmp_path / folder / "sub-01.nii.gz")
    pairs = ReadTrainingImage(1, tmp_path / "lr", [2])(tmp_path / "hr" / "sub-01.nii.gz")
    assert len(pairs) == 5
    assert pairs[0].lr.shape == (1, 24, 32)
    assert pairs[0].hr.shape == (1, 48, 64)
    # Both are told by the small volume's range: the large one is twice as bright.
    low, high = lr.min(), lr.max()
    expected = (np.moveaxis(hr, -1, 0)[2].T - low) / (high - low)
    # But for two pixels of the noise that stand out as hot ones do, and are mended.
    assert np.isclose(pairs[2].hr[0], expected, atol=1e-5).mean() > 0.999
    assert max(pair.lr.max() for pair in pairs) == pytest.approx(1, abs=1e-6)


def test_a_volume_is_paired_whole_for_three_dimensions(tmp_path):
    hr = scene((40, 48, 56), 4)
    for folder, values in (("hr", hr), ("lr", small(shifted(hr, (0, 2, 0)), 2))):
        (tmp_path / folder).mkdir()
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        image = nib.Nifti1Image(values.astype(np.float32), np.eye(4), header)
        nib.save(image, tmp_path / folder / "a.nii.gz")
    pair = ReadTrainingVolume(8, tmp_path / "lr", [2])(tmp_path / "hr" / "a.nii.gz")
    assert pair.lr.shape == (1, 20, 23, 28)
    assert pair.hr.shape == (1, 40, 46, 56)


def test_rasters_lose_areas_without_values_on_either_side(tmp_path):
    hr = np.stack([scene((256, 256), seed) for seed in range(2)]) * 900 + 50
    lr = np.stack([small(band, 2) for band in hr])
    hr[:, :, 128:] = 0
    for folder, values, side in (("hr", hr, 10.0), ("lr", lr, 20.0)):
        (tmp_path / folder).mkdir()
        with rasterio.open(
            tmp_path / folder / "a.tif", "w", driver="GTiff", count=2, dtype="uint16", nodata=0,
            width=values.shape[2], height=values.shape[1], crs="EPSG:32633",
            transform=from_origin(500000, 5000000, side, side),
        ) as dataset:  # fmt: skip
            dataset.write(np.rint(values).astype(np.uint16))
    found = ReadTrainingImage(1, tmp_path / "lr", [2])(tmp_path / "hr" / "a.tif")
    assert [pair.lr.shape for pair in found] == [(1, 128, 64)] * 2
    assert [pair.hr.shape for pair in found] == [(1, 256, 128)] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda bands: darker(bands)[:-1], r"must be exactly x4 its small image \(23, 32\)"),
        (lambda _: scene((24, 32), 9)[..., None].repeat(3, -1), "shift|correlation"),
        (lambda bands: darker(bands)[..., 0], "must have the bands and axes of its small image"),
    ],
)
def test_what_does_not_fit_is_refused(photos, make, message):
    file, lr_dir = photos(make)
    with pytest.raises(BadImageError, match=message):
        ReadTrainingImage(3, lr_dir, [4])(file)


def test_a_missing_partner_is_named(photos, tmp_path):
    _, lr_dir = photos(darker)
    Image.new("RGB", (96, 96)).save(tmp_path / "hr" / "b.png")
    read = ReadTrainingImage(3, lr_dir, [4])
    with pytest.raises(BadImageError, match=r"b\.png: must have one partner at x4 .* got none"):
        read(tmp_path / "hr" / "b.png")


def test_several_scales_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"one scale, got scales \[4, 2\]; name it, --scales"):
        ReadTrainingImage(3, tmp_path, [4, 2])
    with pytest.raises(OptionError, match="check --lr_dir"):
        ReadTrainingImage(3, tmp_path, [4])
