"""Folders of GeoTIFF, DICOM and NIfTI files: values against their libraries, patients unnamed."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pydicom
import pytest
import rasterio
from PIL import Image
from pydicom.data import get_testdata_file

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.datasets import folder_benchmark
from monai_sr.evaluation.images import read_image, read_volume
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster


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


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_colors_of_16_bits_keep_all_of_them(tmp_path):
    stored = pixels((3, 9, 12), "uint16")
    write_raster(tmp_path / "deep.png", stored)
    values, levels, ends = read_image((tmp_path / "deep.png",))
    assert (levels, ends.tolist()) == (65535, [[0, 65535]])
    np.testing.assert_array_equal(np.rint(values * levels), stored)
    assert folder_benchmark(tmp_path, protocol="native").protocol.data_range == 65535


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_transparency_is_refused_however_a_file_says_it(tmp_path, mode):
    file = tmp_path / ("a.tif" if mode == "RGBA" else "a.png")
    color = (1, 2, 3) if mode == "RGB" else 1
    options = {} if mode == "RGBA" else {"transparency": color}
    Image.new("RGB", (12, 9), (1, 2, 3)).convert(mode).save(file, **options)
    with pytest.raises(BadImageError, match="transparency"):
        read_image((file,))


def test_photos_are_judged_upright(tmp_path):
    stored = pixels((9, 12))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    values, levels, _ = read_image((tmp_path / "a.png",))
    np.testing.assert_array_equal(np.rint(values[0] * levels), np.rot90(stored, -1))


def test_a_photo_that_cannot_be_decoded_is_refused_in_one_line(tmp_path, monkeypatch):
    Image.new("L", (12, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(BadImageError, match="DecompressionBombError; replace the file"):
        read_image((tmp_path / "a.png",))


def test_a_volume_that_was_written_anew_is_read_anew(tmp_path):
    file = tmp_path / "one.nii.gz"
    for seed in (0, 1):
        stored = pixels((7, 5, 6), "int16", seed=seed)
        write_nifti(file, stored)
        os.utime(file, ns=(0, seed))
        wide = stored.astype(float)
        expected = (wide - wide.min()) / np.ptp(wide)
        found = read_volume((file,)).transpose(2, 1, 0)
        assert np.sort(found.ravel()) == pytest.approx(np.sort(expected.ravel()), abs=1e-6)


@pytest.mark.parametrize("bands", [(1,), (1, 2)])
def test_no_figure_is_made_of_classes(tmp_path, bands):
    path = write_raster(tmp_path / "a.tif", pixels((2, 16, 16)), transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        for band in bands:
            dst.update_tags(band, LAYER_TYPE="thematic")
    with pytest.raises(
        BadImageError, match=r"a\.tif: must hold gray values or colors to be judged"
    ):
        read_image((path,))


def test_an_animation_is_refused_and_no_frame_of_it_judged(tmp_path):
    first, second = (Image.fromarray(pixels((8, 9, 3), seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(BadImageError, match="must hold one image, got 2 frames; save one frame"):
        read_image((tmp_path / "a.png",))
    first.save(tmp_path / "b.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image((tmp_path / "b.jpg",))[0].shape == (3, 8, 9)  # a photo and its preview
