"""Overviews of the source are made again for the result, inside one file."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter, build_overviews, overview_factors
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster


def upscale(source, target, scale=2):
    stored, meta = RasterReader().get_data(RasterReader().read(source))
    result, updated = enlarged(stored, meta, scale)
    writer = RasterWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(target)
    return result.transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("shape", "factors"),
    [((9, 9), [2]), ((1024, 30), [2]), ((1025, 30), [2, 4]), ((16384, 2), [2, 4, 8, 16, 32])],
)
def test_last_overview_fits_into_a_tile(shape, factors):
    assert overview_factors(shape) == factors


@pytest.mark.parametrize("masked", [False, True])
def test_result_has_overviews_where_its_source_has(tmp_path, masked):
    array = pixels((2, 300, 280), "uint16")
    array[:, :40] = 7
    nodata = None if masked else 7
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, nodata=nodata)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        if masked:
            dst.write_mask(array[0] != 7)
        dst.build_overviews([2, 4, 8])
    result = upscale(path, tmp_path / "out" / "b.tif")
    with rasterio.open(tmp_path / "out" / "b.tif") as dst:
        assert dst.overviews(1) == [2]
        assert (dst.read() == result).all()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.tif"]
    with rasterio.open(tmp_path / "out" / "b.tif", overview_level=0) as small:
        valid = small.read_masks(1) != 0
        assert not valid[:40].any()
        assert valid[41:].mean() > 0.99
        # Twice as large, then averaged over two by two: the values of the source again.
        assert ((small.read() == array) | ~valid)[:, 41:].all()


def test_result_without_need_has_none(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((1, 300, 280)), transform=NORTH_UP)
    upscale(path, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as dst:
        assert dst.overviews(1) == []


@pytest.mark.parametrize(
    ("how", "expected"),
    [(Resampling.nearest, {0, 100}), (Resampling.average, {0, 25, 50, 75, 100})],
)
def test_overviews_choose_among_codes_and_average_the_rest(tmp_path, how, expected):
    codes = np.random.default_rng(0).choice(np.array([0, 100], np.uint8), (1, 60, 80))
    path = write_raster(tmp_path / "a.tif", codes, transform=NORTH_UP)
    build_overviews(path, how)
    with rasterio.open(path, overview_level=0) as small:
        assert set(np.unique(small.read()).tolist()) == expected
