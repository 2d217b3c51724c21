"""Dates that are coded as numbers stay dates."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import NORTH_UP, write_raster

FIELD = gaussian_filter(np.random.default_rng(0).normal(size=(40, 44)), 4)
DAYS = np.rint((FIELD - FIELD.min()) / np.ptp(FIELD) * 900).astype(int)


def coded(form, days=DAYS, first=date(2019, 1, 1)):
    text = [(first + timedelta(int(day))).strftime(form) for day in days.ravel()]
    return np.array(text).astype(np.int32).reshape(1, *days.shape)


def kind(path):
    with RasterSource(path, "auto") as source:
        return source.meaning.kind


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%j"])
@pytest.mark.parametrize(("fill", "nodata"), [(0, None), (-9999, None), (7, 7)])
def test_dates_are_codes(tmp_path, form, fill, nodata):
    dates = coded(form)
    dates[0, :9, :9] = fill
    for name, array in (("a.tif", dates), ("b.tif", dates.astype("f8"))):
        path = write_raster(tmp_path / name, array, transform=NORTH_UP, nodata=nodata)
        assert kind(path) == "label"


@pytest.mark.parametrize(
    "values",
    [
        coded("%Y%j", DAYS // 3),  # days of one year are numbers
        coded("%Y%m%d") + 50,
        20180000 + DAYS[None] * 7,
        coded("%Y%j") + 0.25,
        DAYS[None] * 4000,
    ],
)
def test_other_numbers_are_not(tmp_path, values):
    assert kind(write_raster(tmp_path / "a.tif", values.astype("f8"), transform=NORTH_UP)) == "gray"


def test_a_band_of_dates_beside_others_stays_one(tmp_path):
    both = np.concatenate([DAYS[None], coded("%Y%m%d")]).astype(np.int32)
    with RasterSource(write_raster(tmp_path / "a.tif", both, transform=NORTH_UP), "auto") as source:
        assert (source.meaning.kind, source.meaning.bands) == ("gray", (1,))
