"""Pixels of a tile are what the file's window makes of stored values, by independent readers."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
import rasterio
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from monai_sr.viewer.grids import VolumeGrid
from monai_sr.viewer.layers import Case, difference_levels
from monai_sr.viewer.opening import open_image
from monai_sr.viewer.pyramid import TileId
from tests.dicom_factory import stored, write, write_series
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster

FIRST = TileId(0, 0, 0, 0)


def case(path, folder, result=None, half_width=None):
    opened = open_image(path)
    made = Case(opened.grid, opened.meta, folder)
    if result is not None:
        made.add_result(open_image(result).grid, half_width)
    return made


def picture(made, name, which=FIRST, window=None):
    with Image.open(io.BytesIO(made.layers[name].png(which, window))) as image:
        return np.asarray(image)


def test_a_ct_is_shown_through_the_window_of_its_file(tmp_path):
    tags = {"WindowCenter": 40, "WindowWidth": 400, "RescaleSlope": 2, "RescaleIntercept": -1024}
    path = write(tmp_path / "a.dcm", stored((40, 300)), **tags)
    made = case(path, tmp_path)
    header = pydicom.dcmread(path)
    seen = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
    low, high = seen.min(), seen.max()  # the values reach far beyond the window
    expected = (seen - low) / (high - low) * 255
    found = picture(made, "input")
    assert found.shape == (40, 256)
    np.testing.assert_allclose(found, expected[:, :256], atol=1)
    rest = picture(made, "input", TileId(0, 0, 1, 0))
    np.testing.assert_allclose(rest, expected[:, 256:], atol=1)
    # 40 +- 200 in Hounsfield units: (HU + 1024) / 2 in stored ones; PS3.3 C.11.2.1.2.
    assert made.window == pytest.approx((432, 632), abs=1)


def test_another_window_is_linear_between_its_ends(tmp_path):
    path = write(tmp_path / "a.dcm", stored((20, 30)), WindowCenter=40, WindowWidth=400)
    found = picture(case(path, tmp_path), "input", window=(1000, 3000))
    values = pydicom.dcmread(path).pixel_array.astype(float)
    np.testing.assert_allclose(found, ((values - 1000) / 2000).clip(0, 1) * 255, atol=0.51)


def test_a_nifti_is_shown_from_cal_min_to_cal_max(tmp_path):
    array = pixels((20, 30, 3), "int16") // 32
    given = {"slope": 2.0, "inter": -100.0, "cal_min": -50.0, "cal_max": 750.0}
    made = case(write_nifti(tmp_path / "a.nii.gz", array, **given), tmp_path)
    assert made.window == (25, 425)
    expected = ((array[:, ::-1, 1].T * 2.0 - 100 + 50) / 800).clip(0, 1) * 255
    np.testing.assert_allclose(picture(made, "input", TileId(1, 0, 0, 0)), expected, atol=0.51)
    (tmp_path / "other").mkdir()
    plain = case(write_nifti(tmp_path / "b.nii", array), tmp_path / "other")
    assert plain.window == tuple(np.quantile(array, [0.005, 0.995]))


def test_colors_of_a_raster_are_its_first_bands_and_holes_are_transparent(tmp_path):
    array = pixels((5, 20, 30))
    array[:, 3, 5] = 0
    path = write_raster(tmp_path / "a.tif", array, nodata=0, transform=NORTH_UP)
    found = picture(case(path, tmp_path), "input")
    with rasterio.open(path) as dataset:
        bands, mask = dataset.read([1, 2, 3]), dataset.read_masks([1, 2, 3]).min(axis=0)
    np.testing.assert_array_equal(found[..., 3], mask)
    is_seen = mask > 0
    np.testing.assert_array_equal(found[is_seen][:, :3], bands.transpose(1, 2, 0)[is_seen])


def test_result_and_bicubic_share_the_display_of_the_input(tmp_path):
    array = pixels((1, 30, 40), "uint16") // 8
    path = write_raster(tmp_path / "a.tif", array)
    result = write_raster(tmp_path / "b.tif", array.repeat(2, 1).repeat(2, 2))
    made = case(path, tmp_path, result)
    assert list(made.layers) == ["input", "bicubic", "result", "agreement"]
    np.testing.assert_array_equal(
        picture(made, "result"), picture(made, "input").repeat(2, 0).repeat(2, 1)
    )
    assert picture(made, "bicubic").shape == (60, 80)


def test_labels_are_repeated_in_place_of_bicubic(tmp_path):
    array = (np.indices((20, 24)).sum(axis=0) // 12 % 3)[None].astype(np.uint8)
    path = write_raster(tmp_path / "labels.tif", array)
    opened = open_image(path, "label")
    made = Case(opened.grid, opened.meta, tmp_path)
    made.add_result(
        open_image(write_raster(tmp_path / "b.tif", array.repeat(2, 1).repeat(2, 2))).grid
    )
    assert made.layers["bicubic"].title == "Nearest neighbor"
    assert made.layers["agreement"].values(0.4, 0.4, 0) == [0]
    np.testing.assert_array_equal(picture(made, "bicubic"), picture(made, "result"))


def test_of_phases_no_bicubic_is_shown(tmp_path):
    path = write_nifti(tmp_path / "part-phase.nii", pixels((8, 8, 3), "int16"))
    opened = open_image(path, "phase")
    made = Case(opened.grid, opened.meta, tmp_path)
    made.add_result(opened.grid)
    assert list(made.layers) == ["input", "result"]
    assert "wrap" in made.without


def test_values_are_stored_ones_of_the_pixel_that_covers_a_place(tmp_path):
    path = write_series(tmp_path / "series", stored((4, 6, 9)))
    opened = open_image(sorted(path.iterdir()))
    made = Case(opened.grid, opened.meta, tmp_path)
    by_position = sorted(
        (pydicom.dcmread(file) for file in path.iterdir()),
        key=lambda header: header.InstanceNumber,
        reverse=True,
    )
    volume = np.stack([header.pixel_array for header in by_position])
    found = [made.layers["input"].values(7.2 / 9, 3.9 / 6, at)[0] for at in range(4)]
    assert found in (volume[:, 3, 7].tolist(), volume[::-1, 3, 7].tolist())


def test_a_slice_of_the_input_belongs_to_the_middle_of_its_block(tmp_path):
    path = write_nifti(tmp_path / "a.nii", pixels((8, 9, 4), "int16"))
    large = write_nifti(tmp_path / "b.nii", pixels((16, 18, 12), "int16"))
    made = case(path, tmp_path, large)
    assert [made.layers["result"].slice_at(k, 4) for k in range(4)] == [1, 4, 7, 10]
    assert made.layers["agreement"].slice_at(2, 4) == 2


def test_agreement_is_blue_below_orange_above_and_dark_at_none():
    below, none, above = difference_levels(np.array([[[-9.0], [0], [9]]], "f4"), 9)[0].tolist()
    assert below[2] > 2 * below[0]
    assert above[0] > 2 * above[2]
    assert max(none) < 30
    # Of several bands the largest difference counts, whatever its sign.
    both = difference_levels(np.array([[[1.0]], [[-9]]], "f4"), 9)[0, 0].tolist()
    assert both == below


def test_the_bar_of_uncertainty_ends_where_most_values_do(tmp_path):
    path = write_nifti(tmp_path / "a.nii", pixels((20, 20, 3), "int16"))
    large = write_nifti(tmp_path / "b.nii", pixels((40, 40, 3), "int16"))
    widths = write_nifti(tmp_path / "c.nii", np.abs(pixels((40, 40, 3), "float32")))
    opened = open_image(widths).grid
    assert isinstance(opened, VolumeGrid)
    made = case(path, tmp_path, large, opened)
    low, high, colors = made.layers["uncertainty"].scale
    assert low == 0
    assert high == pytest.approx(np.quantile(np.abs(pixels((40, 40, 3), "float32")), 0.995))
    assert colors[0] == [0, 0, 4]
    assert picture(made, "uncertainty").shape == (40, 40, 3)
