"""Results become stored values again, with mask, measured consistency and origin."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sr import __version__
from monai_sr.core.dtypes import exact_float
from monai_sr.formats.facts import image_meta
from monai_sr.formats.meaning import Meaning
from monai_sr.functional.resize import downsample, resize_to
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.transforms import Provenance, RestoreStoredd, ScaleToUnitd
from monai_sr.transforms.agreement import stored_agreement
from tests.image_factory import pixels
from tests.network_factory import tiny

DTYPES = ["uint8", "uint16", "int16", "float32", "float64"]


def sample(values, **facts):
    values = np.asarray(values)
    meta = image_meta(
        files=[__file__],
        sr_format="raster",
        affine=np.eye(4),
        spatial_shape=values.shape[1:],
        dtype=values.dtype,
        **facts,
    )
    return MetaTensor(torch.from_numpy(values.astype(exact_float(values.dtype))), meta=meta)


def restored(values, network=None, *, scale=4, value_range=None, consistency=0, **facts):
    """Take stored values through mapping, inference and restoring."""
    data = ScaleToUnitd("image", value_range)({"image": sample(values, **facts)})
    network = network or create_generator("nearest", in_channels=1, scale=scale)
    inferer = TiledInferer(scale, consistency=consistency)
    data["pred"] = inferer(data["image"][None], network)[0]
    provenance = Provenance("natural_sr", "no_such.pt", scale, consistency)
    return RestoreStoredd("pred", provenance)(data)["pred"]


def repeated(values, scale, axes=(1, 2)):
    for axis in axes:
        values = np.repeat(values, scale, axis)
    return values


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", [*DTYPES[:3], "int8"])
def test_nearest_enlargement_repeats_stored_integers_exactly(dtype, inverted):
    values = pixels((2, 7, 5), dtype)
    result = restored(values, inverted=inverted)
    assert np.array_equal(result.numpy(), repeated(values, 4))
    assert str(result.meta["sr_dtype"]) == dtype


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_wide_integers_with_an_offset_survive_the_whole_way(dtype):
    values = (pixels((1, 7, 5), "uint16").astype(np.int64) + 2**31 - 2**17).astype(dtype)
    result = restored(values)
    assert result.dtype == torch.float64
    assert np.array_equal(result.numpy(), repeated(values, 4))


@pytest.mark.parametrize(
    ("dtype", "most"), [("float64", 2**16), ("uint32", 2**32), ("int64", 2**50)]
)
def test_bands_of_codes_beside_others_keep_every_bit(dtype, most):
    values = np.random.default_rng(0).integers(0, most, (2, 7, 5)).astype(dtype)
    result = restored(values, meaning=Meaning("gray", "", (1,)))
    assert np.array_equal(result[1].numpy(), repeated(values[1:], 4)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_survive_within_the_precision_of_their_range(dtype):
    values = pixels((1, 7, 5), dtype) + 1000
    error = np.abs(restored(values).numpy() - repeated(values, 4)).max()
    assert error <= np.ptp(values) * 2.0**-23 + np.spacing(np.float32(np.abs(values).max()))


@pytest.mark.parametrize("value_range", [(50, 60), (-1000, 1000)])
def test_values_outside_the_callers_range_survive(value_range):
    values = pixels((1, 7, 5))
    assert np.array_equal(restored(values, value_range=value_range).numpy(), repeated(values, 4))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_constant_image_stays_constant(dtype):
    result = restored(np.full((1, 7, 5), 93, dtype), tiny(), consistency=2)
    assert result.shape == (1, 28, 20)
    plain = restored(np.full((1, 7, 5), 93, dtype))
    assert (plain.numpy() == 93).all()
    assert plain.meta["sr_lr_psnr"] > 140


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("nodata", [0.0, 7.0, 255.0])
def test_holes_are_enlarged_exactly_and_no_valid_pixel_becomes_one(nodata, scale):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (2, 9, 7)).astype(np.uint8)
    values[:, 3:5, 2:6] = nodata
    result = restored(values, tiny(), scale=scale, consistency=2, nodata=nodata)
    expected = repeated(values == nodata, scale)
    assert np.array_equal(result.numpy() == nodata, expected)
    # The network's dark and bright extremes would have met 0 and 255.
    assert float(result.min()) >= 0
    assert float(result.max()) <= 255


def test_holes_of_nan_stay_nan():
    values = np.random.default_rng(0).random((1, 6, 5)).astype(np.float32)
    values[0, 2, 1] = np.nan
    result = restored(values, tiny(), nodata=float("nan"))
    assert np.array_equal(np.isnan(result.numpy()), repeated(np.isnan(values), 4))


def test_holes_do_not_bleed_into_their_surroundings():
    values = np.full((1, 12, 12), 1000, dtype=np.int16)
    values[0, 4:7, 4:7] = -9999
    result = restored(values, create_generator("bicubic", in_channels=1), nodata=-9999)
    assert set(np.unique(result.numpy())) == {-9999, 1000}


def test_a_slice_of_a_volume_is_masked_along_its_own_axes():
    values = pixels((1, 3, 5, 4), "int16")
    values[0, 1, 2, 3] = -32768
    result = restored(values, nodata=-32768, slice_axis=0)
    assert result.shape == (1, 3, 20, 16)
    expected = repeated(values, 4, (2, 3))
    assert np.array_equal(result.numpy(), expected)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_reported_consistency_is_that_of_the_stored_values(scale, inverted):
    values = pixels((2, 9, 7), "uint8")
    result = restored(values, tiny(), scale=scale, consistency=1, inverted=inverted)
    # By hand, in grey levels: peak 255, of the worst band.
    shrunk = downsample(torch.from_numpy(result.numpy().astype(np.float64)), scale)
    mse = ((shrunk - torch.from_numpy(values.astype(np.float64))) ** 2).mean(dim=(1, 2))
    expected = [10 * math.log10(255**2 / float(band)) for band in mse]
    assert result.meta["sr_lr_psnr"] == pytest.approx(min(expected), abs=1e-3)
    assert result.meta["sr_bands"][:, 0] == pytest.approx(expected, abs=1e-3)


def test_the_consistency_of_a_volume_is_measured_in_its_planes():
    values = pixels((1, 4, 9, 7), "int16")
    result = restored(values, tiny(), consistency=1, slice_axis=0)
    shrunk = downsample(torch.from_numpy(result.numpy().astype(np.float64)), 4, (2, 3))
    low, high = values.min(), values.max()
    mse = float(((shrunk - torch.from_numpy(values.astype(np.float64))) ** 2).mean())
    peak = (float(high) - float(low)) ** 2
    assert result.meta["sr_lr_psnr"] == pytest.approx(10 * math.log10(peak / mse), abs=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_pixels_off_by_more_than_one_unit_are_counted_and_the_worst_is_named(dtype):
    values = np.full((2, 9, 7), 50, dtype=dtype)
    values[:, 0, 0], values[:, 0, 1] = 0, 255
    data = ScaleToUnitd("image")({"image": sample(values)})
    pred = repeated(data["image"].numpy(), 2).astype(np.float64)
    pred[1, 10:12, 6:8] += 5 / 255
    meta = {**data["image"].meta, "sr_scale": 2}
    data["pred"] = MetaTensor(torch.from_numpy(pred), meta=meta)
    meta = RestoreStoredd("pred", Provenance("natural_sr", "no.pt", 2, 0))(data)["pred"].meta
    changed = repeated(values.astype(np.float64), 2)
    changed[1, 10:12, 6:8] += 5
    off = np.abs(downsample(torch.from_numpy(changed), 2).numpy() - values)
    assert meta["sr_worst_at"].tolist() == list(np.unravel_index(off.argmax(), off.shape))
    assert meta["sr_worst_off"] == pytest.approx(off.max(), rel=1e-4)
    assert meta["sr_off_share"] == pytest.approx((off[1] > 1).mean())
    assert meta["sr_bands"][:, 1] == pytest.approx((off > 1).mean(axis=(1, 2)))


def test_equal_images_are_infinitely_consistent():
    lr = torch.full((1, 3, 4), 0.5)
    assert stored_agreement(torch.full((1, 6, 8), 0.5), lr).lr_psnr == math.inf


def test_consistency_of_a_result_with_a_shorter_axis_is_measured_on_the_coarser_grid():
    random = np.random.default_rng(4)
    lr = torch.from_numpy(random.random((1, 8, 9)))
    stored = resize_to(lr, (12, 6), (1, 2)) + 0.01
    both = resize_to(stored, (8, 6), (1, 2)) - resize_to(lr, (8, 6), (1, 2))
    expected = -10 * math.log10(float((both**2).mean()))
    assert stored_agreement(stored, lr).lr_psnr == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [1.5, 2.5, 3])
def test_holes_grow_by_the_pixel_that_covers_each_center(scale):
    values = pixels((1, 8, 10), "int16") // 2
    values[:, 3:5, 2:6] = -32768
    result = restored(values, tiny(), scale=scale, nodata=-32768.0).numpy()
    sizes = [round(8 * scale), round(10 * scale)]
    rows, columns = (
        np.floor((np.arange(n) + 0.5) * m / n).astype(int)
        for n, m in zip(sizes, (8, 10), strict=True)
    )
    assert np.array_equal(result == -32768, (values == -32768)[:, rows][:, :, columns])


def test_provenance_names_everything_that_made_the_result(tmp_path):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    record = json.loads(Provenance("xray_sr", weights, 4, 2).record(np.array([0.0, 4095.0])))
    assert record == {
        "software": "monai-sr",
        "version": __version__,
        "bundle": "xray_sr",
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
        "scale": 4,
        "runtime": "torch",
        "consistency": 2,
        "precision": "float32",
        "range": [0.0, 4095.0],
    }


def test_provenance_names_what_a_user_chose_and_no_defaults():
    usual = Provenance("ct_sr", None, 2, 2, overshoot=1.0, usual_overshoot=1.0, kind="auto")
    none = Provenance("ct_sr", None, 2, 2)
    assert usual.facts == none.facts
    chosen = Provenance(
        "ct_sr", None, 2, 2, overshoot=math.inf, usual_overshoot=1.0, value_range=[0, 9],
        nodata=-1, bounds=[0, 100], kind="intensity",
    )  # fmt: skip
    record = json.loads(chosen.record(np.array([0.0, 9.0])))
    assert {key: record[key] for key in record if key not in none.facts and key != "range"} == {
        "runtime": "torch",
        "overshoot": "inf", "asked_range": [0, 9], "nodata": -1, "bounds": [0, 100],
        "kind": "intensity",
    }  # fmt: skip


def test_provenance_of_every_file_has_its_own_range():
    provenance = Provenance("natural_sr", "none.pt", 4, 2)
    first = json.loads(provenance.record(np.array([0.0, 1.0])))
    second = json.loads(provenance.record(np.array([[2.0, 3.0]])))
    assert (first["range"], second["range"]) == ([0, 1], [2, 3])
    assert first["weights_sha256"] == "unknown"


def test_a_restored_result_carries_its_provenance():
    result = restored(pixels((1, 4, 3)))
    record = json.loads(result.meta["sr_provenance"])
    assert record["scale"] == 4
    assert record["range"] == [0, 255]


def test_several_keys_are_restored_and_missing_ones_may_be_allowed():
    data = ScaleToUnitd("image")({"image": sample(pixels((1, 4, 3)))})
    provenance = Provenance("natural_sr", "none.pt", 4, 0)
    with pytest.raises(KeyError):
        RestoreStoredd("pred", provenance)(data)
    RestoreStoredd("pred", provenance, allow_missing_keys=True)(data)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_hidden_pixels_keep_what_the_network_gave_and_nan_pixels_return(dtype):
    values = pixels((1, 4, 5), dtype)
    valid = np.ones((1, 4, 5), dtype=np.uint8)
    valid[0, 1, 1] = 0
    if dtype == "float32":
        values[0, 3, 3] = np.nan
    result = restored(values, valid=valid, scale=2).numpy()
    assert np.isfinite(result[0, 2:4, 2:4]).all()
    assert (np.isnan(result) == repeated(np.isnan(values.astype(float)), 2)).all()


def test_pixels_that_are_nan_beside_a_nodata_value_stay_what_they_are():
    values = pixels((2, 4, 5), "float32")
    values[0, 3, 3] = np.nan
    values[1, 0, 2] = -9999
    result = restored(values, create_generator("nearest", in_channels=2, scale=2), nodata=-9999.0,
                      scale=2).numpy()  # fmt: skip
    assert np.array_equal(np.isnan(result), repeated(np.isnan(values), 2))
    assert np.array_equal(result == -9999, repeated(values == -9999, 2))


def test_hidden_pixels_become_nodata_where_it_is_declared():
    values = pixels((1, 4, 5), "int16") // 2
    valid = np.ones((1, 4, 5), dtype=np.uint8)
    valid[0, 1, 1] = 0
    result = restored(values, valid=valid, nodata=-32768.0, scale=2).numpy()
    assert ((result == -32768) == (repeated(valid, 2) == 0)).all()


def test_consistency_is_measured_on_valid_pixels_alone():
    lr = torch.full((1, 3, 4), 0.5)
    stored = torch.full((1, 6, 8), 0.5)
    stored[:, :2] = 0.9  # what lies under the first row of pixels
    valid = torch.ones(1, 3, 4, dtype=torch.bool)
    valid[:, :2] = False  # bicubic shrinking reaches two pixels far
    assert stored_agreement(stored, lr).lr_psnr < 30
    assert stored_agreement(stored, lr, valid).lr_psnr > 40


def test_the_input_may_be_a_plain_tensor():
    values = pixels((1, 4, 5), "uint8")
    data = ScaleToUnitd("image")({"image": sample(values)})
    data["pred"] = data["image"].clone()
    data["image"] = data["image"].as_tensor()
    result = RestoreStoredd("pred", Provenance("natural_sr", "none.pt", 1, 0))(data)["pred"]
    assert np.array_equal(result.numpy(), values)
    assert result.meta["sr_lr_psnr"] > 150  # float32 of the unit


def test_the_half_width_is_in_stored_units_of_each_band():
    bands = np.stack([np.arange(20.0).reshape(4, 5), 1000 + 50 * np.arange(20.0).reshape(4, 5)])
    image = sample(bands.astype(np.float32), groups=[-1, -1], nodata=19.0)
    data = ScaleToUnitd("image")({"image": image})
    data["pred"] = data["image"].clone()
    spread = torch.rand(2, 4, 5)
    data["pred"].meta["sr_spread"] = spread
    provenance = Provenance("natural_sr", "none.pt", 1, 0)
    result = RestoreStoredd("pred", provenance, interval_factor=3)(data)["pred"]
    expected = spread.numpy() * 3 * np.reshape([18, 950], (2, 1, 1))
    expected[0, 3, 4] = np.nan
    np.testing.assert_allclose(result.meta["sr_uncertainty"], expected, rtol=1e-6)
    assert "sr_spread" not in result.meta
