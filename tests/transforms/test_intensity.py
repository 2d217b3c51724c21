"""Stored values map to [0, 1] and back exactly, by a range that follows declared facts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd
from scipy.ndimage import distance_transform_edt

from monai_sr.core.dtypes import exact_float
from monai_sr.core.errors import BadImageError, OptionError, OutputError
from monai_sr.formats.facts import Facts, image_meta
from monai_sr.transforms import PlanGrid, PlanGridd, ScaleToUnit, ScaleToUnitd, load_image
from monai_sr.transforms.bad_pixels import fill_invalid, hot_planes, valid_mask
from monai_sr.transforms.intensity import to_stored
from tests import dicom_factory
from tests.image_factory import pixels, write_raster

INTEGERS = ["uint8", "int8", "uint16", "int16", "int32", "uint32"]


def sample(values, **facts):
    """Wrap stored values (C, X, Y) as our readers do."""
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


def round_trip(values, value_range=None, **facts):
    unit, _ = ScaleToUnit(value_range)(sample(values, **facts))
    assert unit.dtype == torch.float32
    stored = to_stored(unit.as_tensor(), unit.meta)
    facts_of = Facts(unit.meta)  # what is hot is kept beside the image, and comes back as it was
    hot = facts_of.hot.reshape(-1, unit.ndim + 1)
    for channel, plane in hot_planes(hot, unit.shape, facts_of.bounds):
        stored[channel] = np.where(np.isnan(plane), stored[channel], plane)
    return stored


@pytest.mark.parametrize("dtype", ["bool", "bfloat16", "complex64", "float8_e4m3fn"])
def test_types_that_no_file_stores_as_measured_are_refused(dtype):
    values = torch.ones(1, 4, 5).to(getattr(torch, dtype))
    for image in (values, MetaTensor(values)):
        with pytest.raises(BadImageError, match=rf"got {dtype}; convert it \(image\.float"):
            ScaleToUnit()(image)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", INTEGERS[:4])
def test_integers_of_up_to_16_bits_come_back_exactly(dtype, inverted):
    values = pixels((2, 40, 30), dtype)
    result = round_trip(values, inverted=inverted)
    assert result.dtype == values.dtype
    assert np.array_equal(result, values)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    ("dtype", "offset"),
    [("int32", -(2**31)), ("int32", 2**31 - 70_000), ("uint32", 2**32 - 70_000)],
)
def test_wide_integers_with_a_large_offset_come_back_exactly(dtype, offset, inverted):
    values = pixels((1, 40, 30), "uint16").astype(np.int64) + offset
    values = values.astype(dtype)
    assert np.array_equal(round_trip(values, inverted=inverted), values)


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_integers_over_all_of_32_bits_lose_what_float32_cannot_hold_and_no_more(dtype):
    values = pixels((1, 40, 30), dtype)
    loss = np.abs(round_trip(values).astype(np.float64) - values.astype(np.float64)).max()
    assert loss <= 2**32 * 2.0**-24


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6, -3e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_come_back_within_the_precision_of_the_range(dtype, offset, inverted):
    values = (pixels((1, 40, 30), dtype) + offset).astype(dtype)
    result = round_trip(values, inverted=inverted)
    assert result.dtype == values.dtype
    # float32 keeps 24 bits of the range, and the stored type 24 of the offset.
    precision = np.ptp(values) * 2.0**-23 + np.spacing(np.abs(values).max())
    assert np.abs(result - values).max() <= precision


@given(
    low=st.integers(-(2**31), 2**31 - 2**16),
    width=st.integers(0, 2**16 - 1),
    seed=st.integers(0, 99),
)
@example(low=0, width=3, seed=1)
@settings(max_examples=60, deadline=None)
def test_any_narrow_range_of_int32_comes_back(low, width, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(low, low + width, (1, 4, 3), dtype=np.int64, endpoint=True)
    values = values.astype(np.int32)
    assert np.array_equal(round_trip(values), values)


@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64"])
def test_a_constant_image_comes_back_and_is_finite(dtype):
    values = np.full((1, 4, 3), 77, dtype=dtype)
    unit, _ = ScaleToUnit()(sample(values))
    assert torch.isfinite(unit).all()
    assert np.array_equal(round_trip(values), values)


@pytest.mark.parametrize("value", [1e20, -1e20, 3e38])
def test_a_huge_constant_comes_back(value):
    values = np.full((1, 4, 3), value, dtype=np.float32)
    assert np.array_equal(round_trip(values), values)


def test_8_bit_images_use_the_whole_range_of_their_type():
    unit, _ = ScaleToUnit()(sample(np.array([[[10, 20]]], dtype=np.uint8)))
    assert unit.flatten().tolist() == pytest.approx([10 / 255, 20 / 255])
    assert unit.meta["sr_range"].tolist() == [[0, 255]]
    assert unit.meta["sr_clip"].tolist() == [[0, 1]]


def test_a_declared_range_goes_before_the_values():
    unit, _ = ScaleToUnit()(
        sample(np.array([[[0, 1024]]], np.uint16), declared=(0.0, 4095.0), storable=(0.0, 4095.0))
    )
    assert unit.flatten().tolist() == pytest.approx([0, 1024 / 4095])


def test_the_callers_range_goes_before_all_and_values_outside_survive():
    values = np.array([[[0, 100, 250]]], dtype=np.uint8)
    unit, _ = ScaleToUnit((50, 150))(sample(values))
    assert unit.flatten().tolist() == pytest.approx([-0.5, 0.5, 2.0])
    assert unit.meta["sr_clip"][0].tolist() == pytest.approx([-0.5, 2.05])
    assert np.array_equal(round_trip(values, (50, 150)), values)


def test_without_a_declared_range_the_exact_extremes_decide():
    values = np.array([[[-7, 3, 1000]]], dtype=np.int16)
    unit, _ = ScaleToUnit()(sample(values))
    assert unit.meta["sr_range"].tolist() == [[-7, 1000]]
    assert (float(unit.min()), float(unit.max())) == (0, 1)


def test_an_inverted_image_is_shown_bright_where_its_values_are_low():
    values = np.array([[[0, 4095]]], dtype=np.uint16)
    facts = {"declared": (0.0, 4095.0), "storable": (0.0, 4095.0), "inverted": True}
    unit, _ = ScaleToUnit()(sample(values, **facts))
    assert unit.flatten().tolist() == [1, 0]
    # What can be stored, in the new units, still rises from low to high.
    assert unit.meta["sr_clip"].tolist() == [[0, 1]]
    assert np.array_equal(round_trip(values, **facts), values)


def test_the_limits_of_an_inverted_image_are_mirrored():
    facts = {"storable": (-100.0, 300.0), "inverted": True}
    unit, _ = ScaleToUnit((0, 100))(sample(np.zeros((1, 2, 2), np.int16), **facts))
    assert unit.meta["sr_clip"][0].tolist() == pytest.approx([-2.0, 2.0])
    unit, _ = ScaleToUnit((0, 100))(
        sample(np.zeros((1, 2, 2), np.int16), storable=(-100.0, 150.0), inverted=True)
    )
    assert unit.meta["sr_clip"][0].tolist() == pytest.approx([-0.5, 2.0])


def test_results_are_rounded_and_clipped_to_what_can_be_stored():
    meta = sample(np.zeros((1, 1, 4), np.uint16), storable=(0.0, 4095.0)).meta
    meta["sr_range"] = np.array([0.0, 4095.0])
    unit = torch.tensor([[[-0.2, 0.4999, 1.0, 1.7]]])
    assert to_stored(unit, meta).flatten().tolist() == [0, 2047, 4095, 4095]


def test_a_network_that_gives_nan_is_refused_for_integers():
    meta = {**sample(np.zeros((1, 1, 2), np.uint8)).meta, "sr_range": np.array([0.0, 255.0])}
    with pytest.raises(OutputError, match="must be finite to be stored as uint8"):
        to_stored(torch.tensor([[[float("nan"), 1.0]]]), meta)


def test_floats_are_never_clipped():
    meta = {**sample(np.zeros((1, 1, 2), np.float32)).meta, "sr_range": np.array([0.0, 10.0])}
    assert to_stored(torch.tensor([[[-1.0, 3.0]]]), meta).flatten().tolist() == [-10, 30]


@pytest.mark.parametrize(
    "value_range", [(5, 5), (7, 3), (1,), (1, 2, 3), 5, ("a", "b"), (0, float("inf")),
                    (float("nan"), 1)]
)  # fmt: skip
def test_a_range_that_is_not_two_rising_numbers_is_refused(value_range):
    with pytest.raises(OptionError, match="two rising numbers"):
        ScaleToUnit(value_range)


def test_nodata_pixels_take_the_value_of_the_nearest_valid_one():
    rng = np.random.default_rng(3)
    values = torch.from_numpy(rng.integers(1, 200, (2, 13, 9)).astype(np.float32))
    valid = torch.from_numpy(rng.random((2, 13, 9)) < 0.3)
    filled = fill_invalid(values, valid, -1.0)
    for channel in range(2):
        xs, ys = np.nonzero(valid[channel].numpy())
        nearest = distance_transform_edt(~valid[channel].numpy())
        for x in range(13):
            for y in range(9):
                distance = np.hypot(xs - x, ys - y)
                near = values[channel][
                    xs[distance == distance.min()], ys[distance == distance.min()]
                ]
                assert distance.min() == pytest.approx(nearest[x, y])
                assert float(filled[channel, x, y]) in near.tolist()


@pytest.mark.parametrize("place", [(0, 0), (149, 3), (75, 2)])
def test_what_is_farther_than_the_reach_from_any_valid_pixel_gets_the_other_value(place):
    values, valid = torch.full((1, 150, 5), 7.0), torch.zeros((1, 150, 5), dtype=torch.bool)
    valid[0, place[0], place[1]] = True
    rows, columns = np.indices((150, 5))
    is_near = (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= 64**2
    for axes in ((0, 1, 2), (0, 2, 1)):  # along rows, and across them
        filled = fill_invalid(values.permute(axes).clone(), valid.permute(axes), -1.0)
        expected = np.where(is_near, 7.0, -1.0).transpose([axis - 1 for axis in axes[1:]])
        assert np.array_equal(filled[0].numpy(), expected)


def test_a_channel_without_any_valid_pixel_does_not_widen_the_range():
    values = np.full((2, 4, 3), -9999, dtype=np.int16)
    values[0] = np.arange(1000, 1012).reshape(4, 3)
    unit, valid = ScaleToUnit()(sample(values, nodata=-9999))
    assert unit.meta["sr_range"].tolist() == [[1000, 1011], [0, 1]]
    assert (float(unit[0].min()), float(unit[0].max())) == (0, 1)
    assert valid[0].all()
    assert not valid[1].any()


@pytest.mark.parametrize("nodata", [float("nan"), -9999.0, float("inf")])
def test_only_measurements_are_valid(nodata):
    values = torch.tensor([[[1.0, nodata, float("nan"), 2.0]]])
    assert valid_mask(values, nodata).flatten().tolist() == [True, False, False, True]


def test_pixels_that_alpha_or_a_mask_hides_are_invalid():
    values = torch.tensor([[[1.0, 9.0, float("nan"), 2.0]]])
    declared = np.array([[[1, 1, 1, 0]]], dtype=np.uint8)
    expected = [True, False, False, False]
    assert valid_mask(values, 9.0, declared).flatten().tolist() == expected
    assert valid_mask(values, 9.0, torch.as_tensor(declared)).flatten().tolist() == expected


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(BadImageError, match="before cropping"):
        valid_mask(torch.zeros(1, 2, 3), np.nan, np.ones((1, 3, 3), np.uint8))


def test_hidden_pixels_neither_widen_the_range_nor_reach_the_network():
    values = np.array([[[100, 110, 60000, 120]]], dtype=np.uint16)
    unit, valid = ScaleToUnit()(sample(values, valid=values < 1000))
    assert unit.meta["sr_range"].tolist() == [[100, 120]]
    assert unit.flatten().tolist() in ([0, 0.5, 0.5, 1], [0, 0.5, 1, 1])
    assert valid.flatten().tolist() == [True, True, False, True]


def test_the_mask_is_empty_where_all_pixels_are_valid():
    sample_ = {"image": sample(pixels((1, 4, 3)))}
    assert ScaleToUnitd("image")(sample_)["image_valid"].numel() == 0
    holes = {"image": sample(np.array([[[0, 5]]], np.uint8), nodata=0)}
    assert ScaleToUnitd("image")(holes)["image_valid"].tolist() == [[[False, True]]]


def test_an_image_of_nodata_alone_is_refused():
    with pytest.raises(BadImageError, match="no valid pixel"):
        ScaleToUnit()(sample(np.zeros((1, 4, 3), np.uint8), nodata=0))


def test_a_fill_value_that_nobody_declared_does_not_hide_all_others(tmp_path):
    array = np.random.default_rng(0).random((1, 5, 7)).astype(np.float32)
    array[0, 2, 3] = np.finfo(np.float32).min
    path = write_raster(tmp_path / "dem.tif", array)
    with pytest.raises(BadImageError, match=r"dem\.tif: values must lie in one range.*nodata"):
        ScaleToUnit()(load_image(path))
    declared = write_raster(tmp_path / "dem2.tif", array, nodata=float(np.finfo(np.float32).min))
    unit, valid = ScaleToUnit()(load_image(declared))
    assert int((~valid).sum()) == 1
    rest = np.delete(array.ravel(), 2 * 7 + 3)
    assert unit.meta["sr_range"][0] == pytest.approx([rest.min(), rest.max()])


def test_tensors_without_metadata_follow_their_type():
    values = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    unit, _ = ScaleToUnit()(values)
    assert unit.flatten().tolist() == pytest.approx([0, 0.2, 1])
    wide = torch.tensor([[[2**30 + 1, 2**30 + 2, 2**30 + 5]]], dtype=torch.int32)
    unit, _ = ScaleToUnit()(wide)
    assert unit.flatten().tolist() == pytest.approx([0, 0.25, 1])
    assert np.array_equal(to_stored(unit.as_tensor(), unit.meta), wide.numpy())


def test_bands_of_a_plain_tensor_are_no_colors():
    bands = torch.linspace(0, 1, 60).reshape(1, 6, 10) * torch.tensor([1.0, 100, 1]).view(3, 1, 1)
    unit, _ = ScaleToUnit()(bands)
    assert unit.meta["sr_range"].tolist() == [[0, 1], [0, 100], [0, 1]]


def test_the_input_stays_as_it_was():
    image = sample(np.array([[[0, 5, 9]]], np.uint8), nodata=0)
    before, keys = image.as_tensor().clone(), set(image.meta)
    ScaleToUnit()(image)
    assert torch.equal(image.as_tensor(), before)
    assert set(image.meta) == keys


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (10, False), (12, True), (16, False)])
def test_dicom_values_come_back_exactly(tmp_path, bits, signed, photometric):
    values = dicom_factory.stored((6, 9), bits, signed)
    image = load_image(
        dicom_factory.write(tmp_path / "a.dcm", values, bits=bits, photometric=photometric)
    )
    unit, _ = ScaleToUnit()(image)
    assert np.array_equal(to_stored(unit.as_tensor(), unit.meta)[0].T, values)
    brightest = float(unit.max()) == float(unit.flatten()[image.argmin()])
    assert brightest == (photometric == "MONOCHROME1")


def test_every_band_may_have_a_range_of_its_own():
    values = np.array([[[0, 10]], [[100, 200]], [[7, 8]]], np.int16)
    unit, _ = ScaleToUnit([(0, 10), (100, 200), (0, 8)])(sample(values))
    assert unit.flatten().tolist() == [0, 1, 0, 1, 0.875, 1]
    with pytest.raises(OptionError, match="two rising numbers"):
        ScaleToUnit([(0, 10, 20), (0, 1, 2)])


@pytest.mark.parametrize("codes", [(), (0,)])
def test_no_class_beside_other_bands_is_taken_for_undeclared_nodata(caplog, codes):
    values = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(0)) * 50 + 100
    values[0, :20, :20] = 0
    image = MetaTensor(values.round(), meta={"sr_code_bands": np.array(codes, dtype=int)})
    ScaleToUnit()(image)
    assert ("looks like nodata" in caplog.text) == (not codes)


@pytest.mark.parametrize("kind", ["intensity", "label"])
def test_what_came_before_is_undone_by_the_inverse_of_monai(kind):
    given = sample(pixels((1, 6, 8), "int16"))
    Facts(given.meta).kind = kind
    chain = Compose([Flipd("image", 0), PlanGridd("image", PlanGrid(2)), ScaleToUnitd("image")])
    undone = chain.inverse(chain({"image": given}))["image"]
    turned = ScaleToUnit()(given)[0]
    assert torch.equal(undone.as_tensor(), turned.as_tensor())
    assert torch.equal(undone.affine, given.affine)
