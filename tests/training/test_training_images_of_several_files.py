"""An image of several files is listed and learned once."""

from __future__ import annotations

import nrrd
import pytest

from monai_sr.training import ReadTrainingImage
from monai_sr.training.training_images import list_images
from tests.formats.ome_zarr.test_reader import write_zarr
from tests.image_factory import pixels, write_nifti, write_raster


def test_samples_of_a_detached_header_are_no_image(tmp_path):
    nrrd.write(str(tmp_path / "a.nhdr"), pixels((7, 5, 3)))  # and a.raw.gz
    write_nifti(tmp_path / "b.nii.gz")
    assert [file.name for file in list_images(tmp_path)] == ["a.nhdr", "b.nii.gz"]
    assert [part.shape for part in ReadTrainingImage(1)(tmp_path / "a.nhdr")] == [(1, 5, 7)] * 3


def test_a_folder_of_ome_zarr_is_one_image(tmp_path):
    pytest.importorskip("zarr")
    path = write_zarr(tmp_path / "in" / "a.zarr", pixels((3, 5, 7)), "zyx", version="0.4")
    write_raster(tmp_path / "in" / "b.png")
    assert list_images(tmp_path / "in") == [path, tmp_path / "in" / "b.png"]
    assert list_images(path) == [path]
    assert [part.shape for part in ReadTrainingImage(1)(path)] == [(1, 5, 7)] * 3
