"""Valid results never equal the nodata value, for us and for GDAL."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
from monai.data import MetaTensor

from monai_sr.transforms import Provenance, RestoreStoredd, ScaleToUnitd
from monai_sr.transforms.restore import avoid_nodata
from tests.image_factory import NORTH_UP, write_raster

LEAST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ("nodata", "expected"), [(0, [1, 1, 5, 255]), (255, [0, 1, 5, 254]), (5, [0, 1, 4, 255])]
)
def test_a_result_that_meets_the_nodata_value_moves_by_one(nodata, expected):
    stored = np.array([[0, 1, 5, 255]], dtype=np.uint8)
    avoid_nodata(stored, {"sr_nodata": nodata, "sr_storable": np.array([0.0, 255.0])})
    assert stored[0].tolist() == expected


@pytest.mark.parametrize("nodata", [63536.0, -32769.0, 0.5, float("nan")])
def test_a_nodata_value_that_no_pixel_can_hold_moves_nothing(nodata):
    stored = np.array([[-32768, 0, 32767]], dtype=np.int16)
    avoid_nodata(stored, {"sr_nodata": nodata, "sr_storable": np.array([-32768.0, 32767.0])})
    assert stored[0].tolist() == [-32768, 0, 32767]


def test_integers_move_within_the_bounds_of_their_band():
    stored = np.array([[0, 1], [0, 1]], dtype=np.int16)
    bounds = np.array([[0.0, 100.0], [-5.0, 5.0]])
    avoid_nodata(stored, {"sr_nodata": 0.0, "sr_bounds": bounds})
    assert stored.tolist() == [[1, 1], [-1, 1]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nodata", [0.0, 0.5, 300.0, -9999.0])
@pytest.mark.parametrize("reach", [(0, 2), (-2, 0), (-np.inf, np.inf)])
def test_floats_are_kept_so_far_off_nodata_that_gdal_tells_them(tmp_path, dtype, nodata, reach):
    nodata = float(np.dtype(dtype).type(nodata))
    size = max(1, abs(nodata) / 8)
    low, high = bounds = nodata + np.array(reach) * size
    near = nodata + np.spacing(np.dtype(dtype).type(abs(nodata))) * np.arange(-5, 6)
    far = nodata + np.array([-1.0, -0.5, 0.5, 1.0]) * size
    far = far[(far >= low) & (far <= high)]
    stored = np.concatenate([near.clip(low, high), far])[None, None].astype(dtype)
    before, unit = stored.copy(), np.array([[nodata - 1, nodata + 1]])
    facts = {"sr_nodata": nodata, "sr_bounds": bounds[None], "sr_range": unit}
    avoid_nodata(stored, facts)
    source = write_raster(tmp_path / "a.tif", stored, nodata=nodata, transform=NORTH_UP)
    with rasterio.open(source) as src:
        assert (src.read_masks(1) == 255).all()
    assert (stored >= low).all()
    assert (stored <= high).all()
    assert np.array_equal(stored[..., near.size :], before[..., near.size :])
    moved = np.abs(stored.astype(np.float64) - before)
    assert moved.max() <= max(2**-18, 2**-18 * abs(nodata))
    again = stored.copy()
    avoid_nodata(again, facts)
    assert np.array_equal(again, stored)


def test_values_of_float16_stay_off_nodata_though_it_holds_few():
    stored = np.array([[0, 0.5, 1]], dtype=np.float16)
    facts = {"sr_bounds": np.array([[0, 1.0]]), "sr_range": np.array([[0.0, 1.0]])}
    for nodata in (0.0, 0.5, 1.0):
        moved = stored.copy()
        avoid_nodata(moved, {"sr_nodata": nodata, **facts})
        assert (moved != nodata).all()
        assert moved.astype(float) == pytest.approx(stored.astype(float), abs=0.01)


def test_the_least_float_as_nodata_is_told_from_others():
    stored = np.array([[LEAST, 0, 1, -LEAST]], dtype=np.float32)
    facts = {"sr_bounds": np.array([[-np.inf, np.inf]]), "sr_range": np.array([[0.0, 1.0]])}
    avoid_nodata(stored, {"sr_nodata": LEAST, **facts})
    assert LEAST < stored[0, 0] < LEAST * 0.999
    assert stored[0, 1:].tolist() == [0, 1, -LEAST]


@pytest.mark.parametrize("nodata", [np.nan, np.inf, 1e6])
def test_floats_stay_where_they_cannot_meet_nodata(nodata):
    stored = np.array([[0.0, 1.0]], dtype=np.float16)
    avoid_nodata(stored, {"sr_nodata": nodata, "sr_range": np.array([[0.0, 1.0]])})
    assert stored.tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_a_dead_pixel_below_the_bounds_is_no_hole(dtype):
    values = (torch.arange(81).reshape(1, 9, 9) * 3 + 300).to(dtype)
    values[0, 4, 4] = -9000
    scale = ScaleToUnitd("image", bounds=(0, 1000), nodata=0)
    data = scale({"image": MetaTensor(values)})
    large = data["image"].as_tensor().repeat_interleave(2, 1).repeat_interleave(2, 2)
    data["pred"] = MetaTensor(large, meta=dict(data["image"].meta))
    result = RestoreStoredd("pred", Provenance("natural_sr", None, 2, 0))(data)["pred"].numpy()
    assert 0 < result.min() <= 1
    assert np.array_equal(np.argwhere(result <= 1)[[0, -1]], [[0, 8, 8], [0, 9, 9]])
