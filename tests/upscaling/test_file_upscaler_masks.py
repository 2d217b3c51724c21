"""What a result of a raster with a mask hides: as GDAL sees it, which looks at the mask alone."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from monai_sr import FileUpscaler
from tests.image_factory import NORTH_UP, pixels, write_raster
from tests.network_factory import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("limit", [64, 0])  # whole in memory, and in windows
@pytest.mark.parametrize("kind", ["intensity", "label"])
def test_a_nodata_value_that_is_named_beside_a_mask_is_hidden(bundle, tmp_path, limit, kind):
    array, mask = pixels((2, 12, 14), "uint16") // 2 + 1, np.ones((12, 14), bool)
    array[:, :4, :5], array[0, 5, 5], mask[9:] = 0, 0, False
    source = write_raster(tmp_path / "a.tif", array, crs="EPSG:32633", transform=NORTH_UP)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as dst:
        dst.write_mask(mask)
    upscale = FileUpscaler(bundle, scale=2, device="cpu", nodata=0, kind=kind, scene_limit=limit)
    with rasterio.open(upscale(source, tmp_path / "out").output) as dst:
        assert dst.nodata == 0
        shown = mask & array.any(axis=0)
        np.testing.assert_array_equal(dst.read_masks(1) != 0, np.kron(shown, np.ones((2, 2))) != 0)


@pytest.mark.parametrize("limit", [64, 0])
def test_what_a_mask_shows_is_shown_beside_declared_nodata(bundle, tmp_path, limit):
    """GDAL looks at the mask alone: black that it shows is a value."""
    array, mask = pixels((2, 12, 14), "uint16") // 2 + 1, np.ones((12, 14), bool)
    array[:, :4, :5], mask[9:] = 0, False
    source = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, nodata=0)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as dst:
        dst.write_mask(mask)
    upscale = FileUpscaler(bundle, scale=2, device="cpu", scene_limit=limit)
    with rasterio.open(upscale(source, tmp_path / "out").output) as dst:
        np.testing.assert_array_equal(dst.read_masks(1) != 0, np.kron(mask, np.ones((2, 2))) != 0)
