"""Any supported file is loaded as stored values by the reader that its content asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from monai_sr.core.errors import BadImageError
from monai_sr.transforms import LoadImageSRd, load_image
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster


def test_a_raster_is_loaded_with_columns_first(tmp_path):
    array = pixels((3, 5, 7))
    image = load_image(write_raster(tmp_path / "a.tif", array))
    assert image.meta["sr_format"] == "raster"
    assert np.array_equal(image.numpy(), array.transpose(0, 2, 1))


def test_a_nifti_file_is_loaded_as_stored(tmp_path):
    array = pixels((7, 5, 3), "int16")
    image = load_image(write_nifti(tmp_path / "a.nii.gz", array, slope=2.5, inter=-3))
    assert image.meta["sr_format"] == "nifti"
    assert np.array_equal(image.numpy()[0], array)


@pytest.mark.parametrize("name", ["a.dcm", "IM0001", "1.2.840.113619"])
def test_dicom_is_recognized_by_its_content(tmp_path, name):
    values = dicom_factory.stored((6, 9))
    image = load_image(dicom_factory.write(tmp_path / name, values))
    assert image.meta["sr_format"] == "dicom"
    assert np.array_equal(image.numpy()[0].T, values)


def test_a_series_is_loaded_from_its_folder_as_from_its_files(tmp_path):
    volume = dicom_factory.stored((4, 6, 9))
    folder = dicom_factory.write_series(tmp_path / "series", volume)
    image = load_image(folder)
    assert np.array_equal(image.numpy()[0], volume.transpose(2, 1, 0))
    assert torch.equal(load_image(sorted(folder.iterdir())).as_tensor(), image.as_tensor())
    assert torch.equal(load_image(str(folder)).as_tensor(), image.as_tensor())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "float32"), ("uint16", "float32"), ("int16", "float32"), ("float32", "float32"),
        ("int32", "float64"), ("uint32", "float64"), ("float64", "float64"),
    ],
)  # fmt: skip
def test_wide_types_are_loaded_in_double_precision(tmp_path, dtype, expected):
    array = pixels((1, 5, 7), dtype)
    image = load_image(write_raster(tmp_path / "a.tif", array))
    assert image.numpy().dtype.name == expected
    assert np.array_equal(image.numpy().transpose(0, 2, 1), array)


def test_the_transform_works_in_a_chain_and_leaves_other_keys(tmp_path):
    path = write_raster(tmp_path / "a.png")
    sample = Compose([LoadImageSRd(keys=("image", "label"), allow_missing_keys=True)])(
        {"image": path, "name": "a"}
    )
    assert sample["name"] == "a"
    assert sample["image"].meta["filename_or_obj"] == str(path)


@pytest.mark.parametrize("name", ["missing.png", "missing.dcm", "missing.nii.gz", "missing"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(BadImageError, match=name.replace(".", r"\.")):
        load_image(tmp_path / name)


def test_a_folder_without_a_series_is_refused(tmp_path):
    write_raster(tmp_path / "a.png")
    with pytest.raises(BadImageError, match="one series of parallel slices, got 0 images"):
        load_image(tmp_path)
