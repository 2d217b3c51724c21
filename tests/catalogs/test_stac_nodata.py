"""What an item says of nodata holds where its files say nothing; the file's holds else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from monai_sr.catalogs import upscale_item
from monai_sr.core import BadImageError
from monai_sr.upscaling import FileUpscaler
from monai_sr.upscaling.record import RunFailedError
from tests.catalogs.stac_items import GRID
from tests.image_factory import write_raster
from tests.network_factory import tiny_bundle

LOW = 2000


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory):
    return FileUpscaler(tiny_bundle(tmp_path_factory.mktemp("bundle")), scale=2, device="cpu")


def scene(bands=1, hole=0, dtype="uint16"):
    rng = np.random.default_rng(0)
    values = rng.integers(LOW, LOW + 500, (bands, 24, 20)).astype(dtype)
    values[:, :9, :8] = hole
    return values


def write(folder, assets, version="1.1.0", **properties):
    """Write an item of the assets; each a pair of its fields and its file's array and nodata."""
    found = {}
    for key, (fields, array, nodata) in assets.items():
        write_raster(folder / f"{key}.tif", array, nodata=nodata, **GRID)
        found[key] = {"href": f"{key}.tif", "type": "image/tiff; application=geotiff",
                      "roles": ["data"], **fields}  # fmt: skip
    item = {
        "type": "Feature", "stac_version": version, "id": "a", "links": [], "assets": found,
        "geometry": {"type": "Point", "coordinates": [3, 52]}, "bbox": [3, 52, 3, 52],
        "properties": {"datetime": "2026-06-01T10:00:00Z", **properties},
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"


def result(made):
    (asset,) = json.loads(made.read_text())["assets"].values()
    with rasterio.open(made.parent / asset["href"]) as dst:
        return asset["bands"], dst.nodata, dst.read()


@pytest.mark.parametrize(
    ("fields", "version", "properties"),
    [
        ({"bands": [{"name": "B04", "nodata": 0}]}, "1.1.0", {}),
        ({"raster:bands": [{"nodata": 0, "scale": 0.5}]}, "1.0.0", {}),
        ({"nodata": 0}, "1.1.0", {}),
        ({}, "1.1.0", {"nodata": 0}),
    ],
)
def test_nodata_of_the_item_is_used(upscaler, tmp_path, fields, version, properties):
    item = write(tmp_path, {"a": (fields, scene(), None)}, version, **properties)
    bands, nodata, values = result(upscale_item(item, tmp_path / "out", upscaler))
    assert (nodata, bands[0]["nodata"]) == (0, 0)
    hole = np.zeros((48, 40), dtype=bool)
    hole[:18, :16] = True
    np.testing.assert_array_equal(values[0] == 0, hole)
    named = FileUpscaler(upscaler._given[0], scale=2, device="cpu", nodata=0)
    expected = named(tmp_path / "a.tif", tmp_path / "named").output
    with rasterio.open(expected) as dst:
        np.testing.assert_array_equal(dst.read(), values)


def test_nodata_of_stacked_bands_is_used(upscaler, tmp_path):
    asset = ({"bands": [{"nodata": 0}]}, scene(), None)
    item = write(tmp_path, {"a": asset, "b": asset})
    bands, nodata, _ = result(upscale_item(item, tmp_path / "out", upscaler, ["a+b"]))
    assert (nodata, [band["nodata"] for band in bands]) == (0, [0, 0])
    write(tmp_path, {"a": asset, "b": ({}, scene(), None)})
    with pytest.raises(BadImageError, match=r"a\+b: must have one nodata .* 0 and none; name each"):
        upscale_item(item, tmp_path / "out", upscaler, ["a+b"])


def test_stacked_bands_that_state_nan_alike_have_one_value(upscaler, tmp_path):
    asset = ({"bands": [{"nodata": "nan"}]}, scene(dtype="float32"), None)
    item = write(tmp_path, {"a": asset, "b": asset})
    bands = result(upscale_item(item, tmp_path / "out", upscaler, ["a+b"]))[0]
    assert [band["nodata"] for band in bands] == ["nan", "nan"]


def test_files_that_declare_one_value_are_stacked_whatever_the_item_states(upscaler, tmp_path):
    item = write(tmp_path, {
        "a": ({"bands": [{"nodata": 0}]}, scene(), 0), "b": ({}, scene(), 0),
    })  # fmt: skip
    assert result(upscale_item(item, tmp_path / "out", upscaler, ["a+b"]))[1] == 0


def test_a_damaged_file_does_not_keep_other_assets(upscaler, tmp_path, caplog):
    asset = ({"bands": [{"nodata": 0}]}, scene(), None)
    item = write(tmp_path, {"a": asset, "b": asset})
    (tmp_path / "a.tif").write_bytes(b"II*")
    with pytest.raises(RunFailedError, match="1 of 2 assets"):
        upscale_item(item, tmp_path / "out", upscaler)
    assert "a: must be a raster, got a damaged or missing file" in caplog.text
    assert len(list((tmp_path / "out").rglob("b_x2.tif"))) == 1


def test_nodata_of_the_file_holds_and_a_contradiction_is_said(upscaler, tmp_path, caplog):
    stated = {"bands": [{"nodata": 0}]}
    item = write(tmp_path, {"a": (stated, scene(hole=7), 7)})
    bands, nodata, values = result(upscale_item(item, tmp_path / "out", upscaler))
    assert (nodata, bands[0]["nodata"]) == (7, 7)
    assert (values[0, :18, :16] == 7).all()
    assert "a: the item states nodata 0, its file 7: the file's holds" in caplog.text
    caplog.clear()
    item = write(tmp_path, {"a": (stated, scene(), 0)})
    upscale_item(item, tmp_path / "out", upscaler)
    assert "states nodata" not in caplog.text


def test_what_the_user_says_holds(upscaler, tmp_path):
    item = write(tmp_path, {"a": ({"nodata": 3}, scene(), None)})
    named = FileUpscaler(upscaler._given[0], scale=2, device="cpu", nodata=0)
    assert named.with_defaults(nodata=3) is named
    assert result(upscale_item(item, tmp_path / "out", named))[1] == 0


def test_several_values_of_one_asset_are_said_and_none_is_used(upscaler, tmp_path, caplog):
    fields = {"bands": [{"nodata": 0}, {"nodata": 1}]}
    item = write(tmp_path, {"a": (fields, scene(2), None)})
    assert result(upscale_item(item, tmp_path / "out", upscaler))[1] is None
    assert "a: the item states nodata 0 and 1 for its bands" in caplog.text
    assert "--nodata" in caplog.text


@pytest.mark.parametrize(("value", "dtype"), [(-9999, "uint16"), (0.5, "int16"), ("nan", "uint16")])
def test_values_that_no_pixel_can_have_change_nothing(upscaler, tmp_path, value, dtype):
    item = write(tmp_path, {"a": ({"nodata": value}, scene(dtype=dtype), None)})
    bands, nodata, _ = result(upscale_item(item, tmp_path / "out", upscaler))
    assert nodata is None
    assert "nodata" not in bands[0]


def test_nan_of_floats_stays_said(upscaler, tmp_path):
    item = write(tmp_path, {"a": ({"nodata": "nan"}, scene(hole=np.nan, dtype="float32"), None)})
    bands, _, values = result(upscale_item(item, tmp_path / "out", upscaler))
    assert bands[0]["nodata"] == "nan"
    assert np.isnan(values[0, :18, :16]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nodata": "none"}, r"a: nodata must be a number or nan, inf, -inf, got 'none'; mend"),
        ({"nodata": True}, "got True"),
        ({"nodata": [0]}, r"got \[0\]"),
        ({"bands": ["B04"]}, "a: bands must be a list of objects"),
    ],
)
def test_what_is_no_number_is_refused(upscaler, tmp_path, fields, message):
    item = write(tmp_path, {"a": (fields, scene(), None)})
    with pytest.raises(BadImageError, match=message):
        upscale_item(item, tmp_path / "out", upscaler)
