"""A cloud-optimized GeoTIFF gives a cloud-optimized result, unless told otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from monai_sr.formats.raster.cog import is_cog
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster


def upscale(source, target, cog=None, **options):
    stored, meta = RasterReader().get_data(RasterReader().read(source))
    result, updated = enlarged(stored, meta, 2)
    writer = RasterWriter(cog=cog)
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(target, **options)
    return result.transpose(0, 2, 1)


def layout(path):
    with rasterio.open(path) as dst:
        return is_cog(dst)


@pytest.mark.parametrize("shape", [(3, 40, 30), (2, 300, 700)])
def test_a_cog_of_a_cog_is_valid_and_holds_the_same(tmp_path, shape):
    array = pixels(shape, "uint16")
    array[:, :9] = 0
    source = write_raster(tmp_path / "a.tif", array, driver="COG", transform=NORTH_UP, nodata=0)
    result = upscale(source, tmp_path / "out" / "b.tif")
    is_valid, errors, warnings = cog_validate(tmp_path / "out" / "b.tif", strict=True)
    assert is_valid, (errors, warnings)
    with rasterio.open(tmp_path / "out" / "b.tif") as dst:
        np.testing.assert_array_equal(dst.read(), result)
        assert dst.nodata == 0
        assert dst.overviews(1) == ([] if shape[2] < 256 else [2, 4])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.tif"]


@pytest.mark.parametrize(
    ("driver", "cog", "options", "expected"),
    [
        ("COG", None, {}, True),
        ("COG", False, {}, False),
        ("COG", None, {"blockxsize": 16, "blockysize": 16, "tiled": True}, False),
        ("GTiff", None, {}, False),
        ("GTiff", True, {}, True),
    ],
)
def test_who_asks_decides_else_the_source(tmp_path, driver, cog, options, expected):
    source = write_raster(tmp_path / "a.tif", pixels((1, 9, 9)), driver=driver, transform=NORTH_UP)
    upscale(source, tmp_path / "b.tif", cog, **options)
    assert layout(tmp_path / "b.tif") is expected


def test_a_png_stays_one(tmp_path):
    source = write_raster(tmp_path / "a.tif", pixels((1, 9, 9)), driver="COG", transform=NORTH_UP)
    upscale(source, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
