"""Ranges of bands: whole or in parts alike, robust to outliers, and fill is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_sr.formats import Facts
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.intensity import to_stored
from monai_sr.transforms.ranges import Border, Levels, band_ranges, robust_range
from tests.image_factory import NORTH_UP, write_raster
from tests.network_factory import wildest
from tests.transforms.test_intensity import sample

RNG = np.random.default_rng(5)


def ranges(*bands, groups=None, is_rgb=False):
    groups = [-1] * len(bands) if groups is None else groups
    return band_ranges([Levels.of(np.asarray(b)) for b in bands], groups, is_rgb)


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=60
    ),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_parts_count_as_the_whole_does(values, cuts):
    array = np.array(values, np.float32)
    parts = [Levels.of(part) for part in np.split(array, sorted(cuts))]
    whole, added = Levels.of(array), Levels.sum(parts[::-1])
    for name in ("counts", "lows", "highs"):
        assert np.array_equal(getattr(whole, name), getattr(added, name))
    assert whole.counts.sum() == array.size
    assert whole.extremes == (array.min(), array.max())


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_ordinary_images_keep_their_exact_extremes(dtype):
    values = RNG.normal(20000, 2000, (60, 50)).astype(dtype)
    assert robust_range(Levels.of(values)) == (values.min(), values.max())


@pytest.mark.parametrize("hot", [1, 3])
def test_hot_and_dead_pixels_of_16_bits_do_not_crush_the_image(hot):
    values = RNG.integers(30000, 40000, (80, 60)).astype(np.uint16)
    clean = (int(values.min()), int(values.max()))
    values[3, 4 : 4 + hot] = 65535
    assert robust_range(Levels.of(values)) == pytest.approx(clean, rel=0.005)
    values[7, 8] = 0
    assert robust_range(Levels.of(values)) == pytest.approx(clean, rel=0.01)


def test_the_tail_of_radar_power_is_left_outside():
    power = RNG.exponential(0.05, (200, 200)).astype(np.float32)
    power.flat[RNG.choice(power.size, 200, replace=False)] = 10 ** RNG.uniform(1, 5, 200)
    low, high = robust_range(Levels.of(power))
    assert low == power.min()
    assert 0.2 < high < 0.6


def test_a_few_bright_pixels_on_one_value_are_the_image_itself():
    values = np.zeros((20, 20), np.float32)
    values[3, 3] = 7
    assert robust_range(Levels.of(values)) == (0, 7)


def test_values_with_a_large_offset_keep_their_digits():
    values = RNG.uniform(5e6, 5e6 + 20, (50, 40))
    values[1, 1] = 1e9
    low, high = robust_range(Levels.of(values))
    assert low == values.min()
    assert high <= 5e6 + 20


def test_reflectance_beside_elevation_has_a_range_of_its_own():
    reflectance, height = RNG.uniform(0.02, 0.4, (50, 40)), RNG.uniform(80, 2100, (50, 40))
    found, _ = ranges(reflectance, height)
    assert found[0] == pytest.approx([0.02, 0.4], abs=0.01)
    assert found[1] == pytest.approx([80, 2100], rel=0.02)


def test_kelvin_beside_an_index_and_bands_of_one_unit_far_apart():
    kelvin, index = RNG.uniform(280, 310, (50, 40)), RNG.uniform(-0.2, 0.9, (50, 40))
    found, _ = ranges(kelvin, index, index * 0.5)
    assert found[0].tolist() == [kelvin.min(), kelvin.max()]
    assert found[1].tolist() == found[2].tolist() == [index.min(), index.max()]
    weak = ranges(kelvin, (kelvin - 280) / 8, groups=[0, 0])[0]
    assert weak[0].tolist() != weak[1].tolist()
    # What lies within one magnitude is one field where one unit is declared for both.
    bands = RNG.uniform(100, 900, (50, 40)), RNG.uniform(100, 200, (50, 40))
    assert ranges(*bands)[0][0].tolist() != ranges(*bands)[0][1].tolist()
    alike = ranges(*bands, groups=[2, 2])[0]
    assert alike[0].tolist() == alike[1].tolist()
    apart = ranges(bands[0], bands[0], groups=[1, 2])[0]
    assert apart[0].tolist() == apart[1].tolist()  # alike by themselves


def test_colors_stay_together():
    dark, bright = RNG.uniform(0, 10, (30, 30)), RNG.uniform(0, 4000, (30, 30))
    found, _ = ranges(bright, dark, dark, dark - 50, is_rgb=True)
    assert found[0].tolist() == found[1].tolist() == found[2].tolist() == [
        min(bright.min(), dark.min()), bright.max()
    ]  # fmt: skip
    assert found[3].tolist() == [dark.min() - 50, dark.max() - 50]


@pytest.mark.parametrize(
    ("value", "dtype"), [(0, "uint16"), (-32768, "int16"), (-9999, "float32"), (65535, "uint16")]
)
def test_fill_that_nobody_declared_is_found_and_left_outside(value, dtype):
    values = RNG.integers(500, 1900, (60, 50)).astype(dtype)
    clean = (values[10:].min(), values[10:].max())
    values[:10] = value
    found, fill = ranges(values)
    assert [(band, v) for band, v, _ in fill] == [(0, value)]
    assert fill[0][2] == pytest.approx(1 / 6)
    assert tuple(found[0]) == clean


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(0, 1900, (60, 50)),  # zero is one value among others
        np.where(RNG.random((60, 50)) < 0.3, 65535, RNG.integers(0, 65536, (60, 50))),  # saturated
        np.where(RNG.random((60, 50)) < 0.5, 0, 1),  # a mask
        np.full((60, 50), -9999),
    ],
)
def test_what_touches_other_values_is_no_fill(values):
    assert ranges(values.astype(np.float32))[1] == []


def test_supposed_fill_is_said_with_the_option_that_names_it(caplog):
    values = RNG.integers(500, 1900, (1, 60, 50)).astype(np.int16)
    values[0, :10] = -32768
    ScaleToUnit()(sample(values))
    (said,) = [r.getMessage() for r in caplog.records if "nodata" in r.getMessage()]
    assert "-32768, 17 % of the pixels, looks like nodata" in said
    assert said.endswith("--nodata -32768")
    caplog.clear()
    unit, valid = ScaleToUnit(nodata=-32768)(sample(values))
    assert not caplog.records
    assert int((~valid).sum()) == 500
    assert unit.meta["sr_fill"] == -32768
    assert 0 <= float(unit.min()) <= float(unit.max()) <= 1


def test_a_named_value_is_invalid_beside_the_declared_one():
    values = np.array([[[0, 5, 9, 255]]], np.uint8)
    image = sample(values, nodata=255)
    _, valid = ScaleToUnit(nodata=0)(image)
    assert valid.flatten().tolist() == [False, True, True, False]
    assert image.meta["sr_nodata"] == 255
    _, none = ScaleToUnit(nodata=-9999)(sample(values))
    assert none.numel() == 0


def test_every_band_comes_back_exactly_by_its_own_range():
    bands = np.stack([RNG.integers(0, 300, (40, 30)), RNG.integers(9000, 60000, (40, 30))])
    bands[0, 3, 3] = 65535
    image = sample(bands.astype(np.uint16), groups=[-1, -1])
    unit, _ = ScaleToUnit()(image)
    assert unit.meta["sr_range"].shape == (2, 2)
    assert float(unit[0].max()) <= 1
    ((channel, *place, value),) = Facts(unit.meta).hot.astype(int).tolist()
    back = to_stored(unit.as_tensor(), unit.meta)
    back[(channel, *place)] = value
    assert np.array_equal(back, bands)


def test_results_are_held_in_the_bounds_that_are_asked_for():
    values = RNG.uniform(0, 0.4, (1, 9, 8)).astype(np.float32)
    unit, _ = ScaleToUnit(bounds=(0, 1))(sample(values))
    beyond = torch.full((1, 2, 2), -0.3)
    assert to_stored(beyond, unit.meta).tolist() == np.zeros((1, 2, 2)).tolist()
    low, high = unit.meta["sr_clip"][0]
    width = values.max() - values.min()
    assert (low, high) == pytest.approx((-values.min() / width, (1 - values.min()) / width))


@pytest.mark.parametrize("hot", [None, -30_000.0, 30_000.0])
@pytest.mark.parametrize(
    ("least", "natural", "expected"),
    [(-0.9, (-1, 1), [-1, 1]), (-1.5, (-1, 1), [-1.5, 1]), (0.01, (-np.inf, np.inf), [0, np.inf])],
)
def test_results_leave_natural_bounds_no_farther_than_the_input(least, natural, expected, hot):
    """Fields such as backscatter and magnitude state none; a single hot pixel changes nothing."""
    values = RNG.uniform(least, 0.9, (1, 29, 28)).astype(np.float32)
    values[0, 3:6, 3:6] = least
    if hot:
        values[0, 20, 20] = hot
    found = wildest(sample(values, natural=np.array([natural], float)))
    assert found[0] == pytest.approx(expected[0])
    assert found[0] >= min(expected[0], np.float32(least))
    assert found[1] > 50 if np.isinf(expected[1]) else found[1] == pytest.approx(expected[1])


@pytest.mark.parametrize("options", [{"bounds": (-7, 7)}, {"value_range": (0, 1)}])
def test_fields_may_be_negative_where_bounds_or_a_range_are_given(options):
    values = RNG.uniform(0.01, 0.9, (1, 9, 8)).astype(np.float32)
    assert wildest(sample(values), **options)[0] < -6


def test_values_of_many_pixels_far_below_zero_stay():
    values = RNG.uniform(0.01, 0.9, (1, 99, 98)).astype(np.float32)
    values[0, 40:44, 40:43] = -500
    unit, _ = ScaleToUnit()(sample(values))
    large = TiledInferer(2, clip=None, overshoot=None)(
        unit[None], create_generator("bicubic", scale=2, in_channels=1)
    )
    assert to_stored(large[0].as_tensor(), unit.meta)[0, 84, 83] < -400


def test_the_value_that_looks_like_nodata_is_named_by_all_its_digits(caplog):
    values = RNG.uniform(0, 1, (1, 90, 80)).astype(np.float32)
    values[0, :9] = -1234567.125
    ScaleToUnit()(sample(values))
    assert "name it by --nodata -1234567.125" in caplog.text


@pytest.mark.parametrize(("is_map", "found"), [(True, [0.0]), (False, [])])
def test_zeros_around_a_scene_are_fill_of_maps_alone(is_map, found):
    """Sentinel-2 leaves 0 beside its swath, near the darkest water; zeros of MR are measured."""
    band = np.concatenate(
        [RNG.uniform(300, 7900, 5000).astype(np.uint16), np.zeros(400, np.uint16)]
    )
    _, fill = band_ranges([Levels.of(band.astype(np.float32))], [-1], False, is_map)
    assert [value for _, value, _ in fill] == found


@pytest.mark.parametrize(("times", "is_shared"), [(30, True), (40, False)])
def test_one_unit_joins_bands_up_to_32_times_apart(times, is_shared):
    small = RNG.uniform(0, 1, (50, 40))
    small[0, :2] = 0, 1
    found, _ = ranges(small, small * times, groups=[3, 3])
    assert found.tolist() == ([[0, times]] * 2 if is_shared else [[0, 1], [0, times]])


@pytest.mark.parametrize(("value", "found"), [(1350, []), (1250, [1250]), (7000, [7000])])
def test_any_other_value_is_fill_half_a_range_away(value, found):
    values = np.linspace(2000, 3400, 3000).round()
    values[:300] = value
    values[300] = 2000
    _, fill = ranges(values)
    assert [each for _, each, _ in fill] == found


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ((250, 253, 254), "250, 253, 254"),  # MODIS leaf area: water, cloud, no data beside 255
        ((65529, 65533), "65529, 65533"),  # VIIRS: one bin holds both
        ((-3000, -2000), "-3000, -2000"),
    ],
)
def test_several_codes_for_no_value_are_told_at_once(codes, said, caplog):
    values = RNG.integers(0, 70, (1, 60, 50)).astype(np.float32)
    for row, code in enumerate(codes):
        values[0, 3 * row : 3 * row + 3] = code
    unit, _ = ScaleToUnit()(sample(values))
    assert f"{said}, {5 * len(codes)} % of the pixels, look like nodata" in caplog.text
    assert "give all of them one value" in caplog.text
    assert unit.meta["sr_range"].tolist() == [[0, 69]]


def test_few_levels_far_from_few_others_are_no_codes(caplog):
    dark, bright = RNG.integers(0, 8, (1, 30, 50)), RNG.integers(240, 250, (1, 20, 50))
    ScaleToUnit()(sample(np.concatenate([dark, bright], axis=1).astype(np.float32)))
    assert "nodata" not in caplog.text


@pytest.mark.parametrize("value", [0, 250, 255])
@pytest.mark.parametrize("transform", [NORTH_UP, None])
def test_a_small_wedge_around_a_corner_is_fill_of_maps(tmp_path, value, transform, caplog):
    """Data reach as far as the fill does: its edge alone tells."""
    band = RNG.integers(min(value, 1), max(value, 249) + 1, (60, 50)).astype(np.uint8)
    rows, columns = np.indices(band.shape)
    band[rows + columns < 5] = value  # 0.5 %
    path = write_raster(tmp_path / "a.tif", band[None], transform=transform)
    ScaleToUnit()(load_image(path))
    is_said = "looks like nodata" in caplog.text
    assert is_said == (transform is not None)


def test_dark_water_in_a_corner_is_no_fill():
    rows, columns = np.indices((60, 50))
    depth = np.clip((rows + columns - 12) / 80, 0, None)
    band = np.rint(250 * np.clip(depth, 0, 1)).astype(np.float32)
    border = Border((1, 60, 50))
    border.add(band[None], np.ones((1, 60, 50), bool), slice(0, 60), slice(0, 50))
    (corners,) = border.corners()
    assert dict(corners)[0] < 20
    assert band_ranges([replace(Levels.of(band), corners=corners)], [-1], False, True)[1] == []


@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)), cut=st.tuples(*[st.integers(0, 9)] * 2)
)
def test_the_border_is_that_of_its_parts(sides, cut):
    image = RNG.integers(0, 2, (2, *sides)).astype(np.float32)
    valid = RNG.random((2, *sides)) < 0.9
    whole, parts = Border(image.shape), Border(image.shape)
    whole.add(image, valid, slice(0, sides[0]), slice(0, sides[1]))
    first = [min(c, n) for c, n in zip(cut, sides, strict=True)]
    for x in (slice(0, first[0]), slice(first[0], sides[0])):
        for y in (slice(0, first[1]), slice(first[1], sides[1])):
            if x.stop > x.start and y.stop > y.start:
                parts.add(image[:, x, y], valid[:, x, y], x, y)
    assert whole.corners() == parts.corners()
