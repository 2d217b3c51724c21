"""A raster that is written window by window says what one says that is written whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import rasterio
from PIL import Image

from monai_sr.formats.raster.facts import Grid
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.sink import RasterBlocks
from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster


@pytest.fixture
def write(tmp_path):
    """Fill a raster twice as large, by pixels of its own or those of the source."""

    def made(path, becomes="GTiff", own=None, kind="gray"):
        with RasterSource(path, "intensity") as source:
            image = source.read()
            stored, meta = RasterReader().get_data(image)
            result, meta = enlarged(stored, meta, 2)
            result = result.transpose(0, 2, 1) if own is None else own
            shape, grid = result.shape, Grid((2.0, 2.0), (0.0, 0.0), True)
            meta["sr_kind"] = kind
            blocks = RasterBlocks(tmp_path / "first.tif", source, meta, shape, grid, becomes)
            windows = list(blocks.chunks())
            for rows, columns in windows:
                covering = [np.arange(part.start, part.stop) // 2 for part in (rows, columns)]
                part = np.ascontiguousarray(result[:, rows, columns]).astype(stored.dtype)
                blocks.write(rows, columns, part.astype(image.pixels.dtype), image, covering)
            blocks.close()
            return blocks.convert(tmp_path / "ready"), windows

    return made


def test_windows_are_whole_tiles_of_at_most_1024_pixels(tmp_path, write):
    path = write_raster(tmp_path / "a.tif", pixels((1, 650, 1100)), transform=NORTH_UP)
    _, windows = write(path)
    rows, columns = (0, 1024, 1300), (0, 1024, 2048, 2200)
    assert windows == [
        (slice(*r), slice(*c))
        for r in itertools.pairwise(rows)
        for c in itertools.pairwise(columns)
    ]


def test_windows_of_narrow_images_are_single_strips(tmp_path, write):
    path = write_raster(tmp_path / "a.tif", pixels((1, 5000, 1)), transform=NORTH_UP)
    ready, windows = write(path)
    with rasterio.open(ready) as dst:
        height = dst.block_shapes[0][0]
    assert height > 1024
    assert [rows.start for rows, _ in windows] == list(range(0, 10000, height))


def test_a_geotiff_lies_where_its_source_lies_and_keeps_its_mask(tmp_path, write):
    path = write_raster(tmp_path / "a.tif", pixels((2, 40, 50)), transform=NORTH_UP)
    mask = np.random.default_rng(0).random((40, 50)) > 0.3
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(mask)
    ready, _ = write(path)
    with rasterio.open(ready) as dst:
        assert dst.transform == NORTH_UP * NORTH_UP.scale(0.5)
        assert np.array_equal(dst.read_masks(1) != 0, mask.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("kind", ["gray", "label"])
def test_overviews_of_a_cloud_optimized_geotiff_are_codes_or_means(tmp_path, write, kind):
    path = write_raster(tmp_path / "a.tif", pixels((1, 300, 320)), transform=NORTH_UP)
    codes = np.random.default_rng(0).choice(np.array([0, 100], np.uint8), (1, 600, 640))
    ready, _ = write(path, "COG", codes, kind)
    with rasterio.open(ready) as dst:
        assert dst.overviews(1) == [2]
        assert np.array_equal(dst.read(), codes)
    with rasterio.open(ready, overview_level=0) as small:
        found = set(np.unique(small.read()).tolist())
    assert found == ({0, 100} if kind == "label" else {0, 25, 50, 75, 100})


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("becomes", ["GTiff", "COG", "PNG"])
def test_colors_are_multiplied_by_alpha_where_the_result_says_so(tmp_path, write, becomes):
    array = np.full((4, 40, 30), 200, np.uint8)
    array[:3] = 100
    path = write_raster(
        tmp_path / "a.tif", array, transform=NORTH_UP, photometric="RGB", alpha="PREMULTIPLIED"
    )
    ready, _ = write(path, becomes)
    with Image.open(ready) as image:
        is_premultiplied = becomes != "PNG" and image.tag_v2[338] == (1,)
    assert is_premultiplied == (becomes == "GTiff")
    with rasterio.open(ready) as dst:
        assert np.abs(dst.read([1, 2, 3]) - (100 if is_premultiplied else 127.5)).max() <= 1.5


@pytest.mark.parametrize("becomes", ["GTiff", "COG"])
def test_white_at_zero_stays_so_in_a_geotiff(tmp_path, write, becomes, caplog):
    path = write_raster(
        tmp_path / "a.tif", pixels((1, 40, 50)), transform=NORTH_UP, photometric="MINISWHITE"
    )
    ready, _ = write(path, becomes)
    with Image.open(ready) as image:
        assert image.tag_v2[262] == (0 if becomes == "GTiff" else 1)
    assert ("its zeros are white" in caplog.text) == (becomes == "COG")
