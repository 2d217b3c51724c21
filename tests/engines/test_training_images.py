"""Training sees the right files, splits them by subject, and reads each as inference does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.engines.training_images import (
    ReadTrainingImage,
    ValidationImages,
    list_images,
    split_images,
    training_split,
)
from monai_sr.functional.resize import downsample, downsample_uint8
from monai_sr.transforms import ScaleToUnit, load_image
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/c.png", ".hidden.png"):
        write_raster(tmp_path / name)
    (tmp_path / "photos.csv").write_text("name\n")
    (tmp_path / "README.md").write_text("hello\n")
    return tmp_path


def test_images_are_listed_sorted_with_subfolders_and_without_texts(folder):
    names = [str(f.relative_to(folder)) for f in list_images(folder)]
    assert names == ["a.png", "b.png", "sub/c.png"]


def test_several_folders_are_listed_together(folder):
    assert len(list_images([folder, str(folder / "sub")])) == 4
    assert list_images(str(folder)) == list_images(folder)


@pytest.mark.parametrize("given", [None, [], ""])
def test_a_missing_folder_is_asked_for(given):
    with pytest.raises(OptionError, match="add --dataset_dir DIR"):
        list_images(given)


def test_a_wrong_or_empty_folder_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"nowhere: is no folder"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="holds no image"):
        list_images(tmp_path)


def files_of(tmp_path, patients=60, views=3):
    return [tmp_path / f"{p:08d}_{v:03d}.png" for p in range(patients) for v in range(views)]


def test_no_subject_is_in_both_parts_and_none_is_lost(tmp_path):
    files = files_of(tmp_path)
    train, held = split_images(files, 0.2)
    assert sorted(train + held) == sorted(files)
    assert not {f.stem[:8] for f in train} & {f.stem[:8] for f in held}
    assert 0.05 < len(held) / len(files) < 0.4


def test_the_split_depends_on_names_alone(tmp_path):
    files = files_of(tmp_path)
    held = {f.name for f in split_images(files, 0.2)[1]}
    moved = [tmp_path / "elsewhere" / f.name for f in files[::-1]]
    assert {f.name for f in split_images(moved, 0.2)[1]} == held
    some = {f.name for f in split_images(files[:90], 0.2)[1]}
    assert some == held & {f.name for f in files[:90]}


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_a_share_outside_0_to_1_is_refused(tmp_path, share):
    with pytest.raises(OptionError, match="validation_share"):
        split_images(files_of(tmp_path), share)


def test_a_share_that_leaves_nothing_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"nothing to validate on; name a --validation_dir"):
        split_images([tmp_path / "a.png"], 1e-9)
    assert split_images([tmp_path / "a.png"], 0)[1] == []


def test_a_validation_folder_leaves_all_others_for_training(folder):
    train, held = training_split(folder, folder / "sub", 0.5)
    assert (len(train), len(held)) == (3, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_8_bit_images_stay_8_bit_in_the_channels_asked_for(tmp_path, bands, channels):
    array = pixels((bands, 5, 7))
    values = ReadTrainingImage(channels)(write_raster(tmp_path / "a.tif", array))
    assert values.dtype == np.uint8
    assert values.shape == (channels, 5, 7)
    color = array[:3] if bands >= 3 else np.repeat(array, 3, axis=0)
    if channels == 3:
        assert np.array_equal(values, color)
    else:
        grey = Image.fromarray(color.transpose(1, 2, 0)).convert("L")
        assert np.abs(values[0].astype(int) - np.asarray(grey).astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deeper_images_become_float32_as_inference_maps_them(tmp_path, dtype):
    path = write_raster(tmp_path / "a.tif", pixels((1, 5, 7), dtype))
    values = ReadTrainingImage(1)(path)
    assert values.dtype == np.float32
    expected = ScaleToUnit()(load_image(path))[0].numpy().swapaxes(1, 2)
    assert np.array_equal(values, expected)


@pytest.mark.parametrize(("bits", "photometric"), [(8, "MONOCHROME1"), (12, "MONOCHROME1"),
                                                   (8, "MONOCHROME2")])  # fmt: skip
def test_x_rays_are_trained_on_as_bright_as_they_are_enlarged(tmp_path, bits, photometric):
    stored = dicom_factory.stored((6, 9), bits)
    path = dicom_factory.write(
        tmp_path / "a.dcm", stored, bits=bits, photometric=photometric, modality="DX"
    )
    values = ReadTrainingImage(1)(path)
    unit = values / 255 if values.dtype == np.uint8 else values
    expected = ScaleToUnit()(load_image(path))[0].numpy().swapaxes(1, 2)
    np.testing.assert_allclose(unit, expected, atol=1e-6)


def test_volumes_and_odd_bands_are_named(tmp_path):
    read = ReadTrainingImage(1)
    with pytest.raises(BadImageError, match=r"v\.nii: must be a 2D image"):
        read(write_nifti(tmp_path / "v.nii"))
    with pytest.raises(BadImageError, match=r"two\.tif: must be a 2D image of 1, 3 or 4 bands"):
        read(write_raster(tmp_path / "two.tif", pixels((2, 5, 7))))


def test_only_grey_and_color_are_offered():
    with pytest.raises(OptionError, match="channels: must be 1 or 3"):
        ReadTrainingImage(2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_validation_pairs_are_whole_images_shrunk_as_benchmarks_are(tmp_path, dtype):
    path = write_raster(tmp_path / "a.tif", pixels((1, 13, 18), dtype))
    read = ReadTrainingImage(1)
    item = ValidationImages([path], read, 4)[0]
    assert item["label"].shape == (1, 12, 16)
    assert item["image"].shape == (1, 3, 4)
    label = torch.from_numpy(read(path))[:, 0:12, 1:17]
    if dtype == "uint8":
        assert torch.equal(item["label"], label.float() / 255)
        assert torch.equal(item["image"], downsample_uint8(label, 4).float() / 255)
    else:
        assert torch.equal(item["label"], label)
        assert torch.equal(item["image"], downsample(label, 4))


def test_large_validation_images_are_cropped_to_their_center(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((1, 40, 9)))
    item = ValidationImages([path], ReadTrainingImage(1), 2, largest_side=8)[0]
    assert item["label"].shape == (1, 8, 8)
    expected = ReadTrainingImage(1)(path)[:, 16:24, 0:8]
    assert torch.equal(item["label"], torch.from_numpy(expected).float() / 255)
