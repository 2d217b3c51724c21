"""Classes and bit fields that an item states are codes, and stay described."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from monai_sr.catalogs import upscale_item
from monai_sr.upscaling import FileUpscaler
from tests.catalogs.test_stac_nodata import write
from tests.network_factory import tiny_bundle

CLASSES = [{"value": value, "name": f"class_{value}"} for value in (1, 2)]
FIELDS = [{"offset": 0, "length": 1, "name": "cloud", "classes": CLASSES}]
STATED = {"classification:classes": CLASSES}, {"classification:bitfields": FIELDS}
CODES = np.random.default_rng(0).integers(0, 200, (1, 24, 20), np.uint8)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory):
    return FileUpscaler(tiny_bundle(tmp_path_factory.mktemp("bundle")), scale=2, device="cpu")


def result(made):
    (asset,) = json.loads(made.read_text())["assets"].values()
    with rasterio.open(made.parent / asset["href"]) as dst:
        return asset["bands"], dst.read()


@pytest.mark.parametrize("stated", STATED)
@pytest.mark.parametrize("where", ["asset", "band"])
def test_what_an_item_calls_codes_is_enlarged_as_codes(tmp_path, upscaler, stated, where):
    fields = stated if where == "asset" else {"bands": [{"name": "b1", **stated}]}
    item = write(tmp_path, {"a": (fields, CODES, None)})
    ((band,), large) = result(upscale_item(item, tmp_path / "out", upscaler))
    np.testing.assert_array_equal(large, CODES.repeat(2, 1).repeat(2, 2))
    assert {key: band.get(key) for key in stated} == stated


def test_a_user_may_know_better_and_no_classes_are_stated_then(tmp_path, upscaler):
    item = write(tmp_path, {"a": (STATED[0], CODES, None)})
    asked = upscaler.with_defaults(kind="intensity")
    ((band,), large) = result(upscale_item(item, tmp_path / "out", asked))
    assert (large != CODES.repeat(2, 1).repeat(2, 2)).any()
    assert "classification:classes" not in band


def test_names_of_nodata_values_alone_make_no_codes(tmp_path, upscaler):
    classes = [{"value": 0, "name": "fill", "nodata": True}]
    item = write(tmp_path, {"a": ({"classification:classes": classes}, CODES, None)})
    _, large = result(upscale_item(item, tmp_path / "out", upscaler))
    assert (large != CODES.repeat(2, 1).repeat(2, 2)).any()


def test_codes_beside_another_band_stay_codes(tmp_path, upscaler):
    other = {"roles": []}, CODES[:, ::-1], None
    item = write(tmp_path, {"a": other, "b": (STATED[0], CODES, None)})
    (gray, codes), large = result(upscale_item(item, tmp_path / "out", upscaler, ["a+b"]))
    np.testing.assert_array_equal(large[1], CODES[0].repeat(2, 0).repeat(2, 1))
    assert codes["classification:classes"] == CLASSES
    assert "classification:classes" not in gray
