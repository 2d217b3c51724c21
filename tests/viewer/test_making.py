"""A result is shown beside its own input only: that is proved by checksums on record."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import rasterio

from monai_sr.cli.main import main
from monai_sr.core import BadImageError
from monai_sr.viewer.making import existing, made_by_model, one_image
from monai_sr.viewer.opening import open_image
from tests.dicom_factory import stored, write_series
from tests.image_factory import NORTH_UP, pixels, write_raster
from tests.network_factory import tiny_bundle

SIZE = "30 x 20"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), "xray_sr")


@pytest.fixture(scope="module")
def made(bundle, tmp_path_factory):
    """An input and its result on record; tests copy them."""
    folder = tmp_path_factory.mktemp("made")
    write_raster(folder / "a.tif", pixels((1, 20, 30)), transform=NORTH_UP, crs="EPSG:32614")
    command = ["upscale", str(folder / "a.tif"), "-o", str(folder / "out"), "--scale", "2"]
    assert main([*command, "--bundle", str(bundle), "--device", "cpu", "--runtime", "torch"]) == 0
    return folder


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def test_a_result_on_record_is_taken_as_it_is(copied):
    result = copied / "out" / "a_x2.tif"
    found = existing(result, copied / "a.tif", SIZE)(copied / "a.tif", copied)
    assert found.output == result
    facts = dict(found.facts)
    assert facts["Size"] == "30 x 20 to 60 x 40"
    assert facts["LR-PSNR"].endswith(" dB")


def test_the_result_of_another_input_is_refused(copied):
    other = write_raster(copied / "b.tif", pixels((1, 20, 30), seed=1))
    with pytest.raises(BadImageError, match="got the result of another input; name its own"):
        existing(copied / "out" / "a_x2.tif", other, SIZE)


def test_a_result_of_an_earlier_state_of_the_input_is_refused(copied):
    write_raster(copied / "a.tif", pixels((1, 20, 30), seed=2))
    with pytest.raises(BadImageError, match="as it is now"):
        existing(copied / "out" / "a_x2.tif", copied / "a.tif", SIZE)


def test_a_result_that_was_changed_is_refused(copied):
    with rasterio.open(copied / "out" / "a_x2.tif", "r+") as dataset:
        dataset.write(np.zeros((40, 60), np.uint8), 1)
    with pytest.raises(BadImageError, match="got other content; make it again"):
        existing(copied / "out" / "a_x2.tif", copied / "a.tif", SIZE)


def test_a_result_of_a_part_is_not_shown_beside_the_whole(copied):
    with pytest.raises(BadImageError, match="--window or --bbox"):
        existing(copied / "out" / "a_x2.tif", copied / "a.tif", "60 x 40")


def test_a_file_without_a_record_is_refused(copied):
    os.rename(copied / "out" / "a_x2.tif", copied / "out" / "c.tif")
    with pytest.raises(BadImageError, match="monai-sr upscale, or leave --result out"):
        existing(copied / "out" / "c.tif", copied / "a.tif", SIZE)


def test_a_model_makes_what_upscale_makes(copied, bundle, tmp_path):
    make = made_by_model(bundle, scale=2, device="cpu", runtime="torch")
    (tmp_path / "new").mkdir()
    found = make(copied / "a.tif", tmp_path / "new")
    new, old = (open_image(path).grid for path in (found.output, copied / "out" / "a_x2.tif"))
    every = (slice(0, 60), slice(0, 40), slice(0, 1))
    np.testing.assert_array_equal(new.read(*every), old.read(*every))
    assert dict(found.facts)["Model"] == "xray_sr"


def test_one_image_is_a_file_or_the_files_of_a_series(tmp_path):
    assert one_image(write_raster(tmp_path / "a.png")) == str(tmp_path / "a.png")
    series = write_series(tmp_path / "series", stored((4, 6, 9)))
    assert sorted(one_image(series)) == sorted(map(str, series.iterdir()))


def test_a_folder_of_several_images_is_refused(tmp_path):
    for name in "ab":
        write_raster(tmp_path / f"{name}.png")
    with pytest.raises(BadImageError, match="got 2 images or an archive; name one of them"):
        one_image(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(BadImageError, match="no such file"):
        one_image(tmp_path / "gone.dcm")
