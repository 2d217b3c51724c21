"""Ranges, nodata that an option names, bounds and local limits: in windows as in memory."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import rasterio
from scipy.ndimage import maximum_filter, minimum_filter

from monai_sr.inferers import TiledInferer
from monai_sr.transforms import (
    PlanGrid,
    Provenance,
    RestoreStoredd,
    SaveImageSRd,
    ScaleToUnitd,
    load_image,
)
from monai_sr.upscaling.scene import Scenes
from tests.network_factory import tiny
from tests.scene_factory import TILE, assert_alike, smooth, write_scene

RNG = np.random.default_rng(2)


def both_ways(source, folder, scale=4, overshoot=None, **values):
    """Enlarge in memory and in windows, compare everything, and return the metadata and pixels."""
    provenance = Provenance("satellite_sr", None, scale, 2)
    inferer = TiledInferer(scale, tile_size=TILE, overshoot=overshoot)
    model = tiny(1)
    image = PlanGrid(scale)(load_image(source))
    data = ScaleToUnitd("image", **values)({"image": image, "output": str(folder / "whole.tif")})
    data["pred"] = inferer(data["image"][None], model)[0]
    whole = SaveImageSRd("pred", folder)(RestoreStoredd("pred", provenance)(data))["pred"]
    scenes = Scenes(PlanGrid(scale), provenance=provenance, **values)
    result = scenes.upscale(source, folder / "windows.tif", model, inferer)
    assert_alike(result.output, folder / "whole.tif")
    assert np.array(result.agreement.bands) == pytest.approx(whole.meta["sr_bands"])
    with rasterio.open(result.output) as dst:
        return dict(whole.meta), dst.read(), dst.nodata


def stack():
    """Return reflectance with a hot pixel, elevation with voids, and temperature."""
    bands = smooth((3, 41, 57), "float32")
    bands[0] = bands[0] / bands[0].max() * 0.4
    bands[0, 20, 30] = 900
    bands[1] = bands[1] * 3 + 2000
    bands[1, 5:9, 5:9] = -9999
    bands[2] = bands[2] / 40 + 280
    return bands


@pytest.mark.parametrize("value", [1e6, -3e4])
def test_a_hot_pixel_keeps_its_value_and_leaves_no_trace(tmp_path, value, caplog):
    caplog.set_level("INFO")
    hot = stack()[:1]
    hot[0, 20, 30] = value
    clean = hot.copy()
    clean[0, 20, 30] = np.median(hot[0, 19:22, 29:32])
    caplog.set_level(logging.INFO)
    _, expected, _ = both_ways(write_scene(tmp_path / "a.tif", array=clean), tmp_path)
    meta, found, _ = both_ways(write_scene(tmp_path / "b.tif", array=hot), tmp_path)
    assert (found[0, 80:84, 120:124] == value).all()
    found[0, 80:84, 120:124] = expected[0, 80:84, 120:124]
    assert found == pytest.approx(expected, abs=1e-5)
    assert meta["sr_far_share"] == pytest.approx(1 / clean.size)
    assert meta["sr_lr_psnr"] > 30
    assert "single ones keep their value as blocks" in caplog.text


@pytest.mark.parametrize(("scale", "overshoot"), [(4, None), (4, 0.25), (2.5, 0.25)])
def test_bands_of_several_units_have_their_own_ranges(tmp_path, scale, overshoot, caplog):
    source = write_scene(tmp_path / "stack.tif", array=stack())
    meta, _, nodata = both_ways(source, tmp_path, scale, overshoot)
    assert nodata is None
    (low, high), height, kelvin = meta["sr_range"].tolist()
    assert 0 <= low < high < 0.5
    assert 1900 < height[0] < height[1] < 3500
    assert 270 < kelvin[0] < kelvin[1] < 310
    assert meta["sr_lr_psnr"] == meta["sr_bands"][:, 0].min()
    assert "-9999, 0.68 % of the pixels of band 2, looks like nodata" in caplog.text


def test_nodata_that_an_option_names_is_a_hole_and_is_declared(tmp_path):
    source = write_scene(tmp_path / "stack.tif", array=stack())
    _, pixels, nodata = both_ways(source, tmp_path, nodata=-9999)
    assert nodata == -9999
    expected = np.repeat(np.repeat(stack()[1] == -9999, 4, 0), 4, 1)
    assert np.array_equal(pixels[1] == -9999, expected)
    assert pixels[1][~expected].min() > 0


@pytest.mark.parametrize("declared", [7, None])
def test_collars_of_integers_are_named_beside_what_is_declared(tmp_path, declared):
    array = smooth((1, 41, 57), "uint16") // 2 + 500
    array[:, :10] = 0
    array[:, 30:33, 20:24] = 7
    source = write_scene(tmp_path / "collar.tif", array=array, nodata=declared)
    _, pixels, nodata = both_ways(source, tmp_path, nodata=0)
    assert nodata == (declared or 0)
    collar = np.repeat(np.repeat(array[0] == 0, 4, 0), 4, 1)
    assert (pixels[0][collar] == nodata).all()
    assert (pixels[0][~collar] != 0).all()


@pytest.mark.parametrize(
    ("values", "descriptions", "bounds"),
    [({"bounds": (0, 0.3)}, (), (0, 0.3)), ({}, ("NDVI",), (-1, 1))],
)
def test_fields_stay_within_their_bounds(tmp_path, values, descriptions, bounds):
    array = RNG.choice([-1.0, 1.0], (1, 41, 57)).astype(np.float32)
    source = write_scene(tmp_path / "field.tif", array=array, descriptions=descriptions)
    _, pixels, _ = both_ways(source, tmp_path, **values)
    assert (pixels.min(), pixels.max()) == pytest.approx(bounds, abs=1e-7)
    assert pixels.min() >= bounds[0]


def test_dark_water_is_no_hole_where_nodata_is_its_natural_bound(tmp_path):
    array = RNG.choice([5e-4, 0.3], (1, 41, 57)).astype(np.float32)
    array[0, 5:9, 5:9] = 0
    names = ("surface reflectance",)
    source = write_scene(tmp_path / "water.tif", array=array, descriptions=names, nodata=0)
    meta, pixels, _ = both_ways(source, tmp_path)
    assert meta["sr_natural"][0, 0] == 0
    holes = np.kron(array == 0, np.ones((4, 4), bool))
    with rasterio.open(tmp_path / "windows.tif") as dst:
        assert np.array_equal(dst.read_masks() == 0, holes)
    assert 0 < pixels[~holes].min() < 1e-6


@pytest.mark.parametrize("overshoot", [0.0, 0.3])
def test_results_stay_within_the_stated_margin(tmp_path, overshoot):
    array = RNG.uniform(-900, 900, (1, 41, 57)).round().astype(np.int16)
    source = write_scene(tmp_path / "edges.tif", array=array)
    _, pixels, _ = both_ways(source, tmp_path, overshoot=overshoot)
    low, high = minimum_filter(array[0], 3), maximum_filter(array[0], 3)
    margin = overshoot * (high.astype(float) - low) + 0.5  # rounding
    ends = [np.kron(end, np.ones((4, 4))) for end in (low - margin, high + margin)]
    assert (pixels[0] >= ends[0]).all()
    assert (pixels[0] <= ends[1]).all()
    free, _ = both_ways(source, tmp_path)[1:]
    assert (free[0] < ends[0]).any()
