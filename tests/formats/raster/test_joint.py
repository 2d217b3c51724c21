"""Bands that mean something only together are told from those that stand for themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from monai_sr.core.errors import BadImageError
from monai_sr.formats.raster.joint import packed_bytes
from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import NORTH_UP, write_raster

HEIGHTS = gaussian_filter(np.random.default_rng(0).normal(size=(64, 72)), 6) * 4000 + 500


def tile(heights, *, offset, step, count=3):
    number = np.rint((heights + offset) / step).astype(int)
    return np.stack([number >> 8 * n & 255 for n in reversed(range(count))]).astype(np.uint8)


def kind(path):
    with RasterSource(path, "auto") as source:
        return source.meaning.kind


@pytest.mark.parametrize(
    ("bands", "name"),
    [
        (tile(HEIGHTS, offset=10000, step=0.1), "mapbox.png"),
        (tile(HEIGHTS, offset=32768, step=1 / 256), "terrarium.png"),
        (tile(HEIGHTS, offset=1000, step=0.1, count=2), "depth.tif"),
        (tile(HEIGHTS, offset=1000, step=0.1, count=2)[::-1], "depth.tif"),
        (tile(HEIGHTS, offset=10000, step=0.1), "map.tif"),
        (tile(HEIGHTS, offset=1000, step=0.02, count=2), "steep.tif"),
    ],
)
def test_bytes_of_one_number_are_kept(tmp_path, bands, name):
    place = {"transform": NORTH_UP, "crs": "EPSG:32614"} if name == "map.tif" else {}
    assert kind(write_raster(tmp_path / name, bands, **place)) == "bits"


@pytest.mark.parametrize(
    "image",
    [
        data.astronaut(),
        data.chelsea(),
        data.retina()[::4, ::4],
        data.immunohistochemistry(),
        np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8),
        np.stack([data.checkerboard()] * 3, -1),
    ],
)
def test_pictures_are_no_bytes_of_numbers(image):
    assert packed_bytes([image.transpose(2, 0, 1)]) is None


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("a.tif", ("i_IW1_VV", "q_IW1_VV")),
        ("a.tif", ("VV real", "VV imaginary", "VH real", "VH imaginary")),
        ("a.tif", ("HH_re", "HH_im", "coherence")),
        ("a.tif", ("in-phase", "quadrature")),
        ("i_IW1_VV.tif", ()),
        ("slc_imag.tif", ()),
    ],
)
def test_parts_of_complex_numbers_are_refused(tmp_path, name, bands):
    waves = np.random.default_rng(0).normal(size=(max(len(bands), 1), 40, 44)).astype("f4")
    path = write_raster(tmp_path / name, waves, transform=NORTH_UP, descriptions=bands)
    with pytest.raises(BadImageError, match="complex"):
        kind(path)
    write_raster(path, np.abs(waves), transform=NORTH_UP, descriptions=bands)
    assert kind(path) == "gray"


def test_names_of_one_part_alone_say_nothing(tmp_path):
    waves = np.random.default_rng(0).normal(size=(2, 40, 44)).astype("f4")
    names = ("real estate", "i_index")
    assert kind(write_raster(tmp_path / "a.tif", waves, descriptions=names)) == "gray"


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_the_mosaic_of_a_color_filter_is_refused(tmp_path, name):
    colors, mosaic = data.astronaut().transpose(2, 0, 1), np.zeros((512, 512), np.uint16)
    for (row, column), color in zip(np.ndindex(2, 2), (0, 1, 1, 2), strict=True):
        mosaic[row::2, column::2] = colors[color, row::2, column::2]
    with pytest.raises(BadImageError, match=r"raw data of a camera.*develop it to RGB"):
        kind(write_raster(tmp_path / name, mosaic[None] * 16))
    dithered = (colors[:1] > np.indices((512, 512)).sum(0) % 2 * 128 + 64).astype(np.uint8)
    for gray in (
        colors[1:2],
        dithered * 255,
        np.random.default_rng(0).integers(0, 255, (1, 64, 64)),
    ):
        assert kind(write_raster(tmp_path / "b.tif", gray.astype(np.uint8))) == "gray"
