"""Folders of GeoTIFF, DICOM and NIfTI files: values against their libraries, patients unnamed."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
import rasterio
from pydicom.data import get_testdata_file

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.datasets import folder_benchmark
from tests.image_factory import pixels, write_nifti, write_raster


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_scenes_keep_their_bands_on_their_own_range(tmp_path):
    stored = pixels((5, 9, 12))
    write_raster(tmp_path / "scene.tif", stored)
    benchmark = folder_benchmark(tmp_path, protocol="native")
    (image,) = benchmark.images(tmp_path)
    with rasterio.open(tmp_path / "scene.tif") as source:
        expected = source.read()
    assert benchmark.protocol.data_range == 255
    np.testing.assert_allclose(benchmark.load(image)[0].numpy() * 255, expected, atol=1e-5)


def test_wide_scenes_are_judged_without_rounding(tmp_path):
    stored = pixels((1, 9, 12), "uint16")
    write_raster(tmp_path / "scene.tif", stored)
    benchmark = folder_benchmark(tmp_path, protocol="native")
    assert not benchmark.protocol.is_rounded
    values = benchmark.load(benchmark.images(tmp_path)[0])[0].numpy()
    low, high = float(stored.min()), float(stored.max())
    np.testing.assert_allclose(values, (stored - low) / (high - low), atol=1e-6)


def test_pixels_without_data_are_refused(tmp_path):
    stored = pixels((1, 9, 12))
    stored[0, 2, 3] = 0
    write_raster(tmp_path / "scene.tif", stored, nodata=0)
    with pytest.raises(BadImageError, match=r"scene\.tif: must have data everywhere"):
        folder_benchmark(tmp_path, protocol="native")


def test_dicom_files_tell_their_patient_by_a_hash(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    shutil.copy(source, tmp_path / "ct.dcm")
    benchmark = folder_benchmark(tmp_path, protocol="native")
    (image,) = benchmark.images(tmp_path)
    header = pydicom.dcmread(source)
    assert len(image.patient) == 12
    assert header.PatientID not in image.patient
    values = benchmark.load(image)[0, 0].numpy()
    stored = header.pixel_array.astype(float)
    assert np.corrcoef(values.ravel(), stored.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
    assert values.shape == stored.shape


def test_volumes_are_judged_by_the_slices_that_are_asked_for(tmp_path):
    write_nifti(tmp_path / "one.nii.gz", pixels((7, 5, 6), "int16"))
    benchmark = folder_benchmark(tmp_path, protocol="native", slice_step=3)
    assert [image.name for image in benchmark.images(tmp_path)] == ["one_000", "one_003"]


def test_folders_are_classes_and_equal_names_are_told_apart(tmp_path):
    for folder in ("ill", "well"):
        (tmp_path / folder).mkdir()
        write_raster(tmp_path / folder / "a.tif", pixels())
        write_raster(tmp_path / folder / "a.png", pixels())
    images = folder_benchmark(tmp_path).images(tmp_path)
    assert [(image.label, image.name) for image in images] == [
        ("ill", "a.png"), ("ill", "a.tif"), ("well", "a.png"), ("well", "a.tif"),
    ]  # fmt: skip


def test_the_digest_tells_contents_apart_but_not_names(tmp_path):
    first, second = (
        write_raster(tmp_path / name, pixels(seed=seed))
        for name, seed in (("a.png", 0), ("b.png", 1))
    )
    before = [image.digest for image in folder_benchmark(tmp_path).images(tmp_path)]
    assert before[0] != before[1]
    shutil.copy(first, second)
    after = [image.digest for image in folder_benchmark(tmp_path).images(tmp_path)]
    assert after == [before[0], before[0]]
