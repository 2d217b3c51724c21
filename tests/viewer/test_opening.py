"""Large rasters are read by windows, others whole; places on the Earth are those of rasterio."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from monai_sr.core import BadImageError, OptionError
from monai_sr.formats import Facts
from monai_sr.viewer import opening
from monai_sr.viewer.grids import RasterGrid, VolumeGrid
from tests.image_factory import NORTH_UP, ROTATED, pixels, write_nifti, write_raster


def test_a_large_raster_is_never_read_whole(tmp_path, monkeypatch):
    path = write_raster(tmp_path / "a.tif", pixels((3, 30, 40)))
    assert isinstance(opening.open_image(path).grid, VolumeGrid)
    monkeypatch.setattr(opening, "MOST_VALUES", 3599)
    opened = opening.open_image(path)
    assert isinstance(opened.grid, RasterGrid)
    assert opened.size == "40 x 30, 3 bands"


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
@pytest.mark.parametrize("limit", [0, 10**6])
def test_a_pixel_lies_where_rasterio_says(tmp_path, monkeypatch, transform, limit):
    monkeypatch.setattr(opening, "MOST_VALUES", limit)
    path = write_raster(tmp_path / "a.tif", transform=transform, crs="EPSG:32614")
    (a, b, c, d, e, f), crs, unit = opening.open_image(path).place
    with rasterio.open(path) as dataset:
        x, y = dataset.xy(2, 3)
    assert (a * 3 + b * 2 + c, d * 3 + e * 2 + f) == pytest.approx((x, y))
    assert (crs, unit) == ("EPSG:32614", "m")


def test_a_photo_lies_nowhere(tmp_path):
    assert opening.open_image(write_raster(tmp_path / "a.png", pixels((3, 5, 7)))).place is None


def test_a_box_is_the_part_that_it_covers(tmp_path):
    array = pixels((1, 20, 30))
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, crs="EPSG:32614")
    box = [500_000 + 30 * 4, 4_600_000 - 30 * 9, 500_000 + 30 * 10, 4_600_000 - 30 * 2]
    grid = opening.open_image(path, bbox=box).grid
    found = grid.read(slice(0, 6), slice(0, 7), slice(0, 1))[0, ..., 0]
    np.testing.assert_array_equal(found, array[0, 2:9, 4:10].T)


def test_parts_are_of_rasters_alone(tmp_path):
    path = write_nifti(tmp_path / "a.nii")
    with pytest.raises(OptionError, match="leave them out"):
        opening.open_image(path, window=[0, 0, 2, 2])


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 and nothing else")
    with pytest.raises(BadImageError, match=r"a\.tif: must be .*; "):
        opening.open_image(tmp_path / "a.tif")


def test_a_result_has_the_slices_of_its_input(tmp_path):
    # Of the result alone another axis would be the thickest.
    path = write_nifti(tmp_path / "a.nii", pixels((7, 6, 5), "int16"), affine=np.eye(4))
    large = write_nifti(tmp_path / "b.nii", pixels((7, 24, 20), "int16"), affine=np.eye(4))
    opened = opening.open_image(path, slice_axis=0)
    result = opening.open_result(large, opened.meta)
    assert Facts(result.meta).slice_axis == 0
    assert opened.grid.shape[1:] == (6, 5, 7)
    assert result.grid.shape[1:] == (24, 20, 7)


def test_pixels_of_a_volume_are_as_wide_as_their_header_says(tmp_path):
    path = write_nifti(tmp_path / "a.nii", pixels((7, 5, 3), "int16"))
    assert opening.open_image(path).pixel_aspect == pytest.approx(0.9 / 0.8)


def test_slices_of_a_map_are_put_in_the_order_of_the_result(tmp_path):
    array = pixels((7, 6, 5), "int16")
    affine = np.diag([1.0, 1, 4, 1])
    turned = affine @ np.diag([1.0, 1, -1, 1])
    turned[2, 3] = 16  # of its first slice, the last one of the other
    image = opening.open_image(write_nifti(tmp_path / "a.nii", array, affine=affine))
    other = opening.open_image(write_nifti(tmp_path / "b.nii", array[..., ::-1], affine=turned))
    every = [slice(0, n) for n in image.grid.shape[1:]]
    found = opening.beside(image, other)
    np.testing.assert_array_equal(found.read(*every), image.grid.read(*every))
    np.testing.assert_array_equal(
        found.read(every[0], every[1], slice(1, 3)), image.grid.read(*every)[..., 1:3]
    )
    assert opening.beside(image, image) is image.grid
    turned[2, 3] = 20
    moved = opening.open_image(write_nifti(tmp_path / "c.nii", array, affine=turned))
    assert opening.beside(image, moved) is None
