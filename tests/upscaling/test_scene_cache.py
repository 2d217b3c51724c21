"""GDAL's cache holds the blocks around a place, so that none is unpacked for every window."""

from __future__ import annotations

import rasterio

from monai_sr.upscaling import scene
from tests.image_factory import NORTH_UP, pixels, write_raster

SIDE, STRIP_BYTES = 1000, 3 * 2 * 1000 * 1000


def test_one_strip_as_high_as_the_image_fits_for_both_readers(tmp_path, monkeypatch):
    array = pixels((3, SIDE, SIDE), "uint16")
    whole = {"compress": "deflate", "blockysize": SIDE}  # others are read line by line
    file = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, **whole)
    tiled = write_raster(
        tmp_path / "b.tif", array, transform=NORTH_UP, tiled=True, blockxsize=256, blockysize=256
    )
    monkeypatch.setattr(scene, "_CACHE_BYTES", (2**20, 2**22))
    with rasterio.open(file) as strip, rasterio.open(tiled) as tiles:
        assert strip.block_shapes[0] == (SIDE, SIDE)
        assert scene._cache_bytes(strip) >= 2 * STRIP_BYTES
        assert scene._cache_bytes(tiles) <= 2 * STRIP_BYTES
        monkeypatch.setattr(scene, "available_bytes", lambda: 2**20)
        assert scene._cache_bytes(strip) == 2**22
