"""A STAC item in gives an item out: assets, where they lie, what they derive from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.crs import CRS
from stac_validator.stac_validator import StacValidate

from monai_sr.catalogs import names_item, upscale_item
from monai_sr.catalogs.stac import read_item
from monai_sr.cli.main import main
from monai_sr.core import BadImageError, OptionError
from monai_sr.upscaling import FileUpscaler, RunFailedError
from tests.catalogs.stac_items import BANDS, GRID, write_item
from tests.catalogs.test_stac_place import LOCAL, MARS
from tests.network_factory import tiny_bundle
from tests.scene_factory import write_scene
from tests.web import serving

CORE = Path(pystac.__file__).parent / "validation" / "jsonschemas"


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory):
    """Return one whose model is loaded once."""
    bundle = tiny_bundle(tmp_path_factory.mktemp("bundle"))
    return FileUpscaler(bundle, device="cpu", **{"dataset#skip_done": True})


def is_valid(path):
    """Validate by stac-valid and the schemas of STAC that come with pystac.

    Those of extensions lie on a server, and no test asks one: the fields of ours are compared with
    their texts one by one below.
    """
    content = json.loads(path.read_text())
    places = {
        "https://geojson.org/schema": CORE / "geojson",
        "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema": CORE / "stac-spec" / "v1.1.0",
    }
    schemas = {f"{url}/{f.name}": str(f) for url, home in places.items() for f in home.iterdir()}
    validator = StacValidate(core=True, schema_map=schemas)
    return validator.validate_dict({**content, "stac_extensions": []}), validator.message


@pytest.fixture(scope="module")
def made(upscaler, tmp_path_factory):
    """Return the new item of one with three bands, one alone and two as one image."""
    folder = tmp_path_factory.mktemp("made")
    item = write_item(folder / "in")
    return upscale_item(item, folder / "out", upscaler, ["B04", "B03+B02"])


def test_the_item_is_valid_and_read_back_by_pystac(made):
    assert made.name == "S2A_31UFT_x4.json"
    assert made.parent.name == "S2A_31UFT_x4"
    valid, message = is_valid(made)
    assert valid, message
    item = pystac.Item.from_file(str(made))
    assert {key: Path(asset.get_absolute_href()).is_file() for key, asset in item.assets.items()} \
        == {"B04": True, "B03-B02": True}  # fmt: skip
    broken = json.loads(made.read_text())
    del broken["properties"]["datetime"]
    (made.parent / "broken.json").write_text(json.dumps(broken))
    assert not is_valid(made.parent / "broken.json")[0]
    (made.parent / "broken.json").unlink()


def test_it_says_what_holds_of_the_source_and_what_is_new(made):
    item = json.loads(made.read_text())
    kept = {"datetime": "2026-06-01T10:00:00Z", "platform": "sentinel-2a", "eo:cloud_cover": 3.5,
            "gsd": 10, "mgrs:utm_zone": 31}  # fmt: skip
    properties = item["properties"]
    assert {key: properties[key] for key in kept} == kept
    assert {"created", "processing:level", "proj:epsg", "proj:code"}.isdisjoint(properties)
    assert "estimated" in properties["processing:lineage"]
    assert list(properties["processing:software"]) == ["monai-sr"]
    names = [url.split("/")[-3] for url in item["stac_extensions"]]
    assert names == ["projection", "raster", "file", "processing", "eo", "mgrs"]
    derived, license_ = item["links"]
    assert (derived["rel"], derived["href"]) == ("derived_from", "../../in/item.json")
    assert license_["href"] == "https://host/license"
    west, south, east, north = item["bbox"]
    assert [west, north] == pytest.approx([3.0, 52.35], abs=0.01)
    assert (east - west, north - south) == pytest.approx((0.0044, 0.0036), abs=0.0002)
    assert item["geometry"]["type"] == "Polygon"
    assert "collection" not in item or item["collection"] is None


def test_what_counts_pixels_or_names_files_of_the_source_is_left_out(upscaler, tmp_path):
    source = write_item(tmp_path / "in")
    item = json.loads(source.read_text())
    stale = {
        "sar:pixel_spacing_range": 10, "sar:pixel_spacing_azimuth": 10,
        "cube:dimensions": {"x": {"type": "spatial", "axis": "x", "extent": [0, 300], "step": 10}},
        "renders": {"truecolor": {"assets": ["B04", "B03", "B02"]}},
        "storage:requester_pays": True, "table:row_count": 5,
        "bands": [{"name": "B04", "raster:spatial_resolution": 10}],
    }  # fmt: skip
    kept = {"sar:resolution_range": 20, "sar:polarizations": ["VV"], "view:off_nadir": 3}
    item["properties"] |= stale | kept
    names = ("sar", "datacube", "render", "storage", "table")
    item["stac_extensions"] += [
        f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in names
    ]
    source.write_text(json.dumps(item))
    made = json.loads(upscale_item(source, tmp_path / "out", upscaler, ["B04"]).read_text())
    assert stale.keys().isdisjoint(made["properties"])
    assert made["properties"].items() >= kept.items()
    extensions = [url.split("/")[-3] for url in made["stac_extensions"]]
    assert extensions[-2:] == ["view", "sar"]


def test_an_asset_says_where_what_and_how_large(made):
    asset = json.loads(made.read_text())["assets"]["B04"]
    file = made.parent / "B04_x4.tif"
    assert asset["href"] == "./B04_x4.tif"
    assert asset["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert asset["roles"] == ["data", "reflectance"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert asset["file:checksum"] == f"1220{digest}"  # multihash: SHA-256, 32 bytes
    assert asset["file:size"] == file.stat().st_size
    with rasterio.open(file) as dst:
        assert asset["proj:shape"] == [dst.height, dst.width] == [160, 120]
        assert asset["proj:transform"] == [2.5, 0, 5e5, 0, -2.5, 5.8e6]
        assert asset["proj:bbox"] == list(dst.bounds)
    assert asset["proj:code"] == "EPSG:32631"
    assert asset["raster:spatial_resolution"] == 2.5
    assert asset["gsd"] == 10  # of the sensor
    (band,) = asset["bands"]
    assert band == {
        "name": "B04", "eo:common_name": "red", "unit": "1", "data_type": "uint16", "nodata": 0,
        "raster:scale": 0.0001, "raster:offset": -0.1,
    }  # fmt: skip
    assert asset["monai_sr:scale"] == 4
    assert asset["monai_sr:lr_psnr"] > 20


def test_bands_are_stacked_where_that_was_asked(made):
    asset = json.loads(made.read_text())["assets"]["B03-B02"]
    assert [band["eo:common_name"] for band in asset["bands"]] == ["green", "blue"]
    with rasterio.open(made.parent / "B03-B02_x4.tif") as dst:
        assert dst.count == 2
        assert dst.descriptions == ("B03", "B02")


def test_what_is_done_is_skipped_and_the_item_is_the_same(made, upscaler):
    before = made.read_bytes()
    files = {f.name: f.stat().st_mtime_ns for f in made.parent.glob("*.tif")}
    item = made.parents[2] / "in" / "item.json"
    again = upscale_item(item, made.parents[1], upscaler, ["B04", "B03+B02"])
    assert again.read_bytes() == before
    after = {f.name: f.stat().st_mtime_ns for f in made.parent.glob("*.tif")}
    assert after == files


def test_rasters_of_the_role_data_are_enlarged_by_default(upscaler, tmp_path):
    made = upscale_item(write_item(tmp_path / "in"), tmp_path / "out", upscaler)
    assert sorted(json.loads(made.read_text())["assets"]) == sorted(BANDS)


def test_files_of_one_name_do_not_replace_each_other(upscaler, tmp_path):
    item = write_item(tmp_path / "in")
    (tmp_path / "in" / "R20").mkdir()
    (tmp_path / "in" / "B03.tif").rename(tmp_path / "in" / "R20" / "B04.tif")
    content = json.loads(item.read_text())
    content["assets"]["B03"]["href"] = "R20/B04.tif"
    item.write_text(json.dumps(content))
    made = upscale_item(item, tmp_path / "out", upscaler, ["B04", "B03"])
    hrefs = [asset["href"] for asset in json.loads(made.read_text())["assets"].values()]
    assert hrefs == ["./B04/B04_x4.tif", "./B03/B04_x4.tif"]


@pytest.mark.parametrize("href", ["../B04.tif", "/etc/hostname", "https://host/B04.tif",
                                  "file:///etc/hostname", "/vsis3/bucket/B04.tif"])  # fmt: skip
def test_an_item_that_names_files_elsewhere_is_refused(upscaler, tmp_path, href, monkeypatch):
    monkeypatch.delenv("MONAI_SR_LINKED_FILES", raising=False)
    item = write_item(tmp_path / "in")
    content = json.loads(item.read_text())
    content["assets"]["B04"]["href"] = f"{href}?token=geheim" if "://h" in href else href
    item.write_text(json.dumps(content))
    with pytest.raises(BadImageError, match=r"own folder only.*--linked_files anywhere") as caught:
        upscale_item(item, tmp_path / "out", upscaler, ["B04"])
    assert "geheim" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_item_at_an_address_names_files_beside_it(upscaler, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    item = write_item(tmp_path / "in")
    with serving() as web:
        for file in (tmp_path / "in").iterdir():
            web.files[f"/s/{file.name}"] = file.read_bytes()
        address = f"{web.url.replace('://', '://me:geheim@')}/s/item.json?token=geheim"
        made = upscale_item(address, tmp_path / "far", upscaler, ["B04"])
        content = json.loads(made.read_text())
        assert content["links"][0]["href"] == f"{web.url}/s/item.json"
        near = upscale_item(item, tmp_path / "near", upscaler, ["B04"])
        assert (made.parent / "B04_x4.tif").read_bytes() \
            == (near.parent / "B04_x4.tif").read_bytes()  # fmt: skip
        assert "geheim" not in caplog.text
        assert b"geheim" not in b"".join(f.read_bytes() for f in made.parent.iterdir())
        # Another host is another matter.
        web.files["/s/item.json"] = item.read_bytes().replace(b"./B04", b"https://elsewhere/B04")
        with pytest.raises(BadImageError, match="own folder only"):
            upscale_item(address, tmp_path / "far", upscaler, ["B04"])


def test_unknown_assets_and_none_at_all_are_named(upscaler, tmp_path):
    item = write_item(tmp_path / "in")
    with pytest.raises(OptionError, match=r"asset.*B05.*B04"):
        upscale_item(item, tmp_path / "out", upscaler, ["B05"])
    content = json.loads(item.read_text())
    content["assets"] = {"preview": content["assets"]["preview"]}
    item.write_text(json.dumps(content))
    with pytest.raises(OptionError, match=r"role 'data', got none; choose among preview"):
        upscale_item(item, tmp_path / "out", upscaler)


def test_a_failed_asset_leaves_the_others_and_no_item(upscaler, tmp_path):
    item = write_item(tmp_path / "in")
    (tmp_path / "in" / "B03.tif").write_bytes(b"II*\0 and nothing else")
    with pytest.raises(RunFailedError, match=r"1 of 3 assets .* 2 done"):
        upscale_item(item, tmp_path / "out", upscaler)
    assert not list((tmp_path / "out").rglob("*.json"))
    assert (tmp_path / "out" / "S2A_31UFT_x4" / "B04_x4.tif").is_file()


def test_bands_of_other_grids_are_not_stacked(upscaler, tmp_path):
    item = write_item(tmp_path / "in")
    write_scene(tmp_path / "in" / "B03.tif", (1, 20, 15), dtype="uint16", **GRID)
    with pytest.raises(BadImageError, match=r"B03: must have the shape of B04 to be stacked"):
        upscale_item(item, tmp_path / "out", upscaler, ["B04+B03"])


@pytest.mark.parametrize("crs", [MARS, LOCAL])
def test_what_is_not_on_the_earth_has_the_place_that_its_item_says(upscaler, tmp_path, crs):
    item = write_item(tmp_path / "in")
    (tmp_path / "in" / "B04.tif").unlink()
    place = {**GRID, "crs": CRS.from_wkt(crs)}
    write_scene(tmp_path / "in" / "B04.tif", (1, 40, 30), dtype="uint16", **place)
    made = upscale_item(item, tmp_path / "out", upscaler, ["B04"])
    valid, message = is_valid(made)
    assert valid, message
    before, after = json.loads(item.read_text()), json.loads(made.read_text())
    assert {key: after[key] for key in ("bbox", "geometry")} \
        == {key: before[key] for key in ("bbox", "geometry")}  # fmt: skip
    assert after["assets"]["B04"]["proj:code"] is None
    assert after["assets"]["B04"]["proj:wkt2"]


def test_what_crosses_the_antimeridian_is_valid(upscaler, tmp_path):
    item = write_item(tmp_path / "in")
    place = {"crs": "EPSG:32660", "transform": rasterio.Affine(2000, 0, 610000, 0, -2000, 7.2e6)}
    write_scene(tmp_path / "in" / "B04.tif", (1, 40, 30), dtype="uint16", **place)
    made = upscale_item(item, tmp_path / "out", upscaler, ["B04"])
    valid, message = is_valid(made)
    assert valid, message
    found = json.loads(made.read_text())
    assert found["geometry"]["type"] == "MultiPolygon"
    assert found["bbox"] == pytest.approx([179.27, 64.2, -179.4, 64.91], abs=0.05)


def test_a_map_is_an_asset_of_the_result_that_it_was_made_with(tmp_path):
    item = write_item(tmp_path / "in")
    options = {"scale": 2, "device": "cpu", "runtime": "torch"}
    with_map = FileUpscaler("satellite_sr", uncertainty=True, **options)
    made = upscale_item(item, tmp_path / "out", with_map, ["B04"])
    found = json.loads(made.read_text())["assets"]["B04_uncertainty"]
    assert "rescaling" in found["title"]
    (band,) = found["bands"]
    # The files have no scale of their own: reflectance is what the item says of stored values.
    assert band == {"name": "B04", "unit": "1", "data_type": "float32", "nodata": "nan",
                    "raster:scale": 0.0001}  # fmt: skip
    without = FileUpscaler("satellite_sr", system="bicubic", **options)
    made = upscale_item(item, tmp_path / "out", without, ["B04"])
    assert list(json.loads(made.read_text())["assets"]) == ["B04"]
    assert not list(made.parent.glob("*_uncertainty*"))


def test_the_scale_of_a_file_is_in_the_values_of_its_map(tmp_path):
    item = write_item(tmp_path / "in")
    upscaler = FileUpscaler(
        "satellite_sr", uncertainty=True, scale=2, device="cpu", runtime="torch"
    )
    maps = []
    for scale in (1.0, 0.5):
        (tmp_path / "in" / "B04.tif").unlink()
        write_scene(tmp_path / "in" / "B04.tif", (1, 40, 30), dtype="uint16", nodata=0, **GRID)
        with rasterio.open(tmp_path / "in" / "B04.tif", "r+") as dst:
            dst.scales = [scale]
        made = upscale_item(item, tmp_path / "out", upscaler, ["B04"])
        found = json.loads(made.read_text())["assets"]["B04_uncertainty"]
        assert ("raster:scale" in found["bands"][0]) == (scale == 1)
        with rasterio.open(made.parent / found["href"]) as src:
            maps.append(src.read(1))
    np.testing.assert_allclose(maps[1], 0.5 * maps[0], rtol=1e-6)


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "Feature"}', '{"type": "Catalog"}', "\0"])
def test_what_is_no_item_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadImageError, match=r"a.json: must be a STAC item, got .*") as caught:
        read_item(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(BadImageError, match=r"no.json: cannot be read"):
        read_item(tmp_path / "no.json")


def test_the_box_of_rows_that_go_north_rises(tmp_path, upscaler):
    item = write_item(tmp_path / "in")
    place = {**GRID, "transform": rasterio.Affine(10, 0, 5e5, 0, 10, 5.8e6)}
    write_scene(item.with_name("B04.tif"), (1, 40, 30), dtype="uint16", nodata=0, **place)
    made = upscale_item(item, tmp_path / "out", upscaler, ["B04"])
    asset = json.loads(made.read_text())["assets"]["B04"]
    assert asset["proj:bbox"] == [5e5, 5.8e6, 5e5 + 300, 5.8e6 + 400]


def test_items_are_known_by_their_names():
    assert names_item("a.JSON")
    assert names_item("https://host/a.geojson?token=1")
    assert not names_item("a.tif")
    assert not names_item("https://host/a.tif?x=.json")


def test_the_command_writes_the_item(tmp_path, capsys):
    bundle = tiny_bundle(tmp_path)
    item = write_item(tmp_path / "in")
    arguments = ["upscale", str(item), "-o", str(tmp_path / "out"), "--bundle", str(bundle)]
    assert main([*arguments, "--device", "cpu", "--assets", "B04", "--window", "0", "0", "20",
                 "10"]) == 0  # fmt: skip
    made = tmp_path / "out" / "S2A_31UFT_x4" / "S2A_31UFT_x4.json"
    assert f"item: {made}" in capsys.readouterr().out
    asset = json.loads(made.read_text())["assets"]["B04"]
    assert asset["proj:shape"] == [40, 80]
    np.testing.assert_allclose(asset["proj:bbox"], [5e5, 5.8e6 - 100, 5e5 + 200, 5.8e6])
    assert main([*arguments, "--assets", "B99"]) == 2
    assert "B99" in capsys.readouterr().err
