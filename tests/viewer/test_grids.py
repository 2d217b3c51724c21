"""Windows of a grid are those of the whole, and a resized grid is what others make of it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from monai_sr.functional import resize_to
from monai_sr.transforms import load_image
from monai_sr.viewer.grids import Difference, Nearest, RasterGrid, Resized, VolumeGrid
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster


def whole(grid):
    return grid.read(*(slice(0, n) for n in grid.shape[1:]))


def raster(path, array, **options):
    return VolumeGrid(load_image(write_raster(path, array, **options)))


def test_a_nifti_is_turned_as_it_is_looked_at(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", pixels((7, 5, 3), "int16"))
    grid = VolumeGrid(load_image(path))
    stored = np.asarray(nib.load(path).dataobj.get_unscaled())
    assert grid.shape == (1, 7, 5, 3)
    np.testing.assert_array_equal(whole(grid)[0], stored[:, ::-1])
    np.testing.assert_array_equal(
        grid.read(slice(2, 4), slice(1, 5), slice(2, 3))[0, ..., 0], stored[2:4, 0:4, 2][:, ::-1]
    )


def test_a_window_of_a_raster_is_that_of_rasterio_with_its_holes(tmp_path):
    array = pixels((2, 40, 50), "int16")
    array[:, 10:12, 20:23] = -7
    path = write_raster(tmp_path / "a.tif", array, nodata=-7, transform=NORTH_UP)
    grid = RasterGrid(path)
    found = grid.read(slice(15, 30), slice(5, 20), slice(0, 1))[..., 0]
    with rasterio.open(path) as dataset:
        window = rasterio.windows.Window(15, 5, 15, 15)
        expected = dataset.read(window=window, masked=True).astype(float).filled(np.nan)
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 1))
    assert np.isnan(found).sum() == 12
    grid.close()


def test_a_part_of_a_raster_begins_where_it_was_cut(tmp_path):
    array = pixels((1, 40, 50))
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP)
    grid = RasterGrid(path, part=(slice(10, 30), slice(5, 35)))
    assert grid.shape == (1, 20, 30, 1)
    np.testing.assert_array_equal(whole(grid)[0, ..., 0], array[0, 5:35, 10:30].T)
    with rasterio.open(path) as dataset:
        np.testing.assert_allclose(grid.meta["affine"][:2, 3], dataset.xy(5, 10))
    grid.close()


@pytest.mark.parametrize("factor", [4, 2.5, 0.25])
def test_a_resized_window_is_that_of_the_whole(tmp_path, factor):
    grid = raster(tmp_path / "a.tif", pixels((2, 40, 60), "uint16"))
    sizes = (round(60 * factor), round(40 * factor), 1)
    resized = Resized(grid, sizes)
    expected = resize_to(torch.from_numpy(whole(grid)), sizes, (1, 2, 3)).numpy()
    x, y = slice(2, sizes[0] - 3), slice(sizes[1] // 2, sizes[1])
    np.testing.assert_allclose(resized.read(x, y, slice(0, 1)), expected[:, x, y], atol=1e-8)


def test_bicubic_is_that_of_pillow_but_at_the_edges(tmp_path):
    # Pillow has Keys' kernel with a = -1/2, too, but drops taps beyond the edge: two pixels.
    array = pixels((1, 20, 30), "uint16")
    grid = Resized(raster(tmp_path / "a.tif", array), (120, 80, 1))
    picture = Image.fromarray(array[0].astype(np.float32))
    expected = np.asarray(picture.resize((120, 80), Image.Resampling.BICUBIC))
    inside = slice(8, -8)
    # Pillow adds float32; values go to 65535.
    np.testing.assert_allclose(
        whole(grid)[0, inside, inside, 0], expected.T[inside, inside], rtol=1e-5, atol=0.05
    )


def test_holes_stay_holes_and_lend_nothing_to_others(tmp_path):
    array = np.full((1, 12, 16), 100, np.uint8)
    array[0, 4:6, 5:8] = 0
    grid = raster(tmp_path / "a.tif", array, nodata=0)
    found = whole(Resized(grid, (64, 48, 1)))[0, ..., 0]
    holes = (array[0] == 0).repeat(4, 0).repeat(4, 1).T
    np.testing.assert_array_equal(np.isnan(found), holes)
    np.testing.assert_allclose(found[~holes], 100)


def test_bicubic_agrees_with_its_input_where_that_is_smooth(tmp_path):
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    lr = raster(tmp_path / "a.tif", (100 + 2 * x + 3 * y)[None].astype(np.float32))
    difference = Difference(lr, Resized(lr, (160, 120, 1)))
    assert difference.shape == (1, 40, 30, 1)
    assert np.abs(whole(difference)[0, 5:-5, 5:-5]).max() < 1e-9


def test_a_difference_is_result_less_input_in_stored_units(tmp_path):
    array = pixels((2, 12, 16))
    lr = raster(tmp_path / "a.tif", array)
    enlarged = array.repeat(2, 1).repeat(2, 2).astype(np.int16)
    enlarged[1, 8:12, 8:12] += 7
    sr = raster(tmp_path / "b.tif", enlarged)
    found = whole(Difference(lr, sr))[..., 0]
    picture = Image.fromarray(enlarged[1].astype(np.float32))
    small = np.asarray(picture.resize((16, 12), Image.Resampling.BICUBIC))
    inside = slice(3, -3)  # see above; Pillow's taps reach two pixels of the small image
    expected = (small - array[1]).T[inside, inside]
    np.testing.assert_allclose(found[1, inside, inside], expected, atol=1e-3)


def test_a_difference_says_nothing_where_a_hole_has_a_share(tmp_path):
    array = np.full((1, 16, 16), 50, np.uint8)
    array[0, 8, 8] = 0
    lr = raster(tmp_path / "a.tif", array, nodata=0)
    sr = raster(tmp_path / "b.tif", array.repeat(4, 1).repeat(4, 2), nodata=0)
    found = whole(Difference(lr, sr))[0, ..., 0]
    unknown = np.isnan(found)
    # The kernel reaches two pixels of the small image to each side.
    assert unknown[7:10, 7:10].all()
    assert not unknown[:6].any()
    assert not unknown[11:].any()
    np.testing.assert_allclose(found[~unknown], 0, atol=1e-9)


def test_a_volume_that_grew_in_depth_is_shrunk_in_depth(tmp_path):
    lr = VolumeGrid(load_image(write_nifti(tmp_path / "a.nii", pixels((8, 9, 6), "int16"))))
    difference = Difference(lr, Resized(lr, (16, 18, 12)))
    assert difference.shape == (1, 8, 9, 6)
    given = torch.from_numpy(whole(lr))
    large = resize_to(given, (16, 18, 12), (1, 2, 3))
    expected = (resize_to(large, (8, 9, 6), (1, 2, 3)) - given).numpy()
    found = difference.read(slice(0, 8), slice(0, 9), slice(2, 3))
    np.testing.assert_allclose(found, expected[..., 2:3], atol=1e-8)


def test_codes_are_repeated_and_differ_by_one(tmp_path):
    array = pixels((1, 6, 8)) % 5
    lr = raster(tmp_path / "a.tif", array)
    plain = Nearest(lr, (32, 24, 1))
    np.testing.assert_array_equal(whole(plain)[0, ..., 0], array[0].repeat(4, 0).repeat(4, 1).T)
    changed = array.repeat(4, 1).repeat(4, 2)
    changed[0, 8:12, 16:20] = 99  # the block of row 2, column 4
    sr = raster(tmp_path / "b.tif", changed)
    found = whole(Difference(lr, sr, are_codes=True))[0, ..., 0]
    assert np.argwhere(found).tolist() == [[4, 2]]
    assert found[4, 2] == 1


def test_bands_of_codes_among_others_are_left_out(tmp_path):
    array = pixels((2, 6, 8))
    lr = raster(tmp_path / "a.tif", array)
    sr = raster(tmp_path / "b.tif", array.repeat(4, 1).repeat(4, 2))
    found = whole(Difference(lr, sr, code_bands=[1]))
    assert np.isnan(found[1]).all()
    assert not np.isnan(found[0]).any()
