"""A cloud-optimized GeoTIFF gives a cloud-optimized result, unless told otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.enums import Resampling
from rio_cogeo.cogeo import cog_validate

from monai_sr.formats.facts import Facts
from monai_sr.formats.raster.cog import copy_as_cog, is_cog, overview_resampling
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


@pytest.mark.parametrize(("bits", "dtype"), [(2, "uint8"), (4, "uint8"), (12, "uint16")])
@pytest.mark.parametrize("driver", ["COG", "GTiff"])
def test_partial_bytes_stay_partial(tmp_path, bits, dtype, driver):
    array = pixels((1, 40, 30), dtype) & (2**bits - 1)
    options = {"predictor": "no", "compress": "deflate"} if driver == "COG" else {}
    first = write_raster(tmp_path / "0.tif", array, transform=NORTH_UP, nbits=bits)
    source = tmp_path / "a.tif"
    rasterio.shutil.copy(first, source, driver=driver, **options)
    result = upscale(source, tmp_path / "b.tif", True)
    assert layout(tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as dst:
        np.testing.assert_array_equal(dst.read(), result)
        assert dst.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == str(bits)


def test_single_bits_become_a_cog(tmp_path):
    bits = pixels((1, 40, 30)) & 1
    source = write_raster(tmp_path / "a.tif", bits, transform=NORTH_UP, nbits=1)
    copy_as_cog(source, tmp_path / "b.tif", Resampling.nearest)
    with rasterio.open(tmp_path / "b.tif") as dst:
        np.testing.assert_array_equal(dst.read(), bits)
        assert dst.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "1"


def test_colors_multiplied_by_alpha_become_straight_as_a_cog_says(tmp_path):
    """COG of GDAL says of alpha that it is one, not that colors were multiplied by it."""
    array = np.full((4, 40, 30), 200, np.uint8)
    array[:3] = 100  # of alpha 200: straight 127 or 128
    source = write_raster(
        tmp_path / "a.tif", array, transform=NORTH_UP, photometric="RGB", alpha="PREMULTIPLIED"
    )
    for cog, expected in ((False, 1), (True, 2)):
        upscale(source, tmp_path / "b.tif", cog)
        with rasterio.open(tmp_path / "b.tif") as dst:
            colors = dst.read([1, 2, 3]).astype(float)
            assert dst.read(4).min() == dst.read(4).max() == 200
        with Image.open(tmp_path / "b.tif") as image:
            assert image.tag_v2[338] == (expected,)
        shown = colors if expected == 2 else colors * 255 / 200
        assert np.abs(shown - 127.5).max() <= 1.5


def test_phases_and_bands_beside_codes_have_no_averages():
    meta = {"sr_kind": "gray"}
    assert overview_resampling(meta) == Resampling.average
    assert overview_resampling({"sr_kind": "phase"}) == Resampling.nearest
    assert overview_resampling({"sr_kind": "bits"}) == Resampling.nearest
    Facts(meta).code_bands = np.array([1])
    assert overview_resampling(meta) == Resampling.nearest


def test_overviews_of_codes_beside_gray_values_hold_codes_alone(tmp_path):
    codes = np.random.default_rng(0).choice(np.array([4, 11], np.uint16), (1, 300, 320))
    source = write_raster(
        tmp_path / "a.tif", np.concatenate([pixels((1, 300, 320), "uint16"), codes]),
        transform=NORTH_UP, descriptions=("B02", "SCL"),
    )  # fmt: skip
    reader = RasterReader("auto")
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, 2)
    result[1] = codes[0].T.repeat(2, 0).repeat(2, 1)
    writer = RasterWriter(cog=True)
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif", overview_level=0) as small:
        assert set(np.unique(small.read(2)).tolist()) == {4, 11}
