"""Bands that become one image keep where they lie, and what is hidden in them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from monai_sr.catalogs.stac_stack import stacked
from monai_sr.core import BadImageError, ignored_warnings
from tests.catalogs.stac_items import GRID
from tests.image_factory import pixels

CORNERS = ((0, 0, 1.0, 2.0), (0, 30, 2.0, 2.0), (40, 0, 1.0, 1.0), (40, 30, 2.0, 1.0))
POINTS = [GroundControlPoint(*corner, 5.0, id=str(n)) for n, corner in enumerate(CORNERS)]
WGS84 = rasterio.crs.CRS.from_epsg(4326)
CAMERA = RPC(
    height_off=0, height_scale=1, lat_off=50, lat_scale=1, line_den_coeff=[1.0] * 20,
    line_num_coeff=[2.0] * 20, line_off=20, line_scale=20, long_off=10, long_scale=1,
    samp_den_coeff=[1.0] * 20, samp_num_coeff=[3.0] * 20, samp_off=15, samp_scale=15,
    err_bias=-1.0, err_rand=-1.0,
)  # fmt: skip
MASK = np.where(np.arange(40)[:, None] < 17, 0, 255).astype(np.uint8).repeat(30, axis=1)


def write(path, seed=0, *, points=None, rpcs=None, mask=None, tags=None, **place):
    profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 30, "dtype": "uint16"}
    with (
        ignored_warnings(NotGeoreferencedWarning),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile, **place) as dst,
    ):
        if points:
            dst.gcps = (points, WGS84)
        if rpcs:
            dst.rpcs = rpcs
        dst.update_tags(**(tags or {}))
        dst.update_tags(1, POLARIZATION=path.stem)
        dst.write(pixels((1, 40, 30), "uint16", seed))
        if mask is not None:
            dst.write_mask(mask)
    return str(path)


def pair(folder, first, second):
    return [write(folder / "vv.tif", 0, **first), write(folder / "vh.tif", 1, **second)]


def test_control_points_and_camera_models_go_along(tmp_path):
    facts = {"points": POINTS, "rpcs": CAMERA}
    made = stacked(pair(tmp_path, facts, facts), ["vv", "vh"], tmp_path / "out.tif")
    with rasterio.open(made) as dst:
        points, system = dst.gcps
        assert [(p.row, p.col, p.x, p.y, p.z) for p in points] == [(*c, 5.0) for c in CORNERS]
        assert system == WGS84
        assert dst.rpcs.to_dict() == CAMERA.to_dict()
        assert dst.descriptions == ("vv", "vh")
        np.testing.assert_array_equal(dst.read(2), pixels((1, 40, 30), "uint16", 1)[0])


def test_control_points_of_bands_by_points_stay_where_they_are_read(tmp_path):
    facts = {"points": POINTS, "tags": {"AREA_OR_POINT": "Point"}}
    files = pair(tmp_path, facts, facts)
    made = stacked(files, ["vv", "vh"], tmp_path / "out.tif")
    with rasterio.open(files[0]) as src, rasterio.open(made) as dst:
        before, after = ([(p.row, p.col, p.x, p.y) for p in each.gcps[0]] for each in (src, dst))
    assert after == before


def test_the_common_mask_goes_along(tmp_path):
    facts = {"mask": MASK, **GRID}
    made = stacked(pair(tmp_path, facts, facts), ["vv", "vh"], tmp_path / "out.tif")
    with rasterio.open(made) as dst:
        for band in (1, 2):
            np.testing.assert_array_equal(dst.read_masks(band), MASK)
        assert dst.transform == GRID["transform"]


def test_tags_that_all_have_go_along_and_each_band_keeps_its_own(tmp_path):
    tags = [{"AREA_OR_POINT": "Point", "MISSION": "S1", "PASS": name} for name in ("a", "b")]
    places = pair(tmp_path, {"tags": tags[0], **GRID}, {"tags": tags[1], **GRID})
    with rasterio.open(stacked(places, ["vv", "vh"], tmp_path / "out.tif")) as dst:
        assert dst.tags() == {"AREA_OR_POINT": "Point", "MISSION": "S1"}
        assert [dst.tags(band)["POLARIZATION"] for band in (1, 2)] == ["vv", "vh"]


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ({"points": POINTS}, {"points": POINTS[:3]}, "ground control points"),
        ({"points": POINTS}, {}, "ground control points"),
        ({"rpcs": CAMERA}, {}, "RPCs"),
        ({"mask": MASK}, {}, "mask"),
        ({"mask": MASK}, {"mask": 255 - MASK}, "mask"),
    ],
)
def test_bands_of_other_places_or_masks_are_refused(tmp_path, first, second, what):
    with pytest.raises(BadImageError, match=f"vh: must have the {what} of vv to be stacked") as no:
        stacked(pair(tmp_path, first, second), ["vv", "vh"], tmp_path / "out.tif")
    assert "name it alone" in str(no.value)
    assert "\n" not in str(no.value)


def test_camera_models_that_cannot_be_read_are_left_out(tmp_path, caplog):
    places = pair(tmp_path, {}, {})
    text = '<PAMDataset><Metadata domain="RPC"><MDI key="LINE_OFF">x</MDI></Metadata></PAMDataset>'
    for name in ("vv", "vh"):
        (tmp_path / f"{name}.tif.aux.xml").write_text(text)
    with (
        ignored_warnings(NotGeoreferencedWarning),
        rasterio.open(stacked(places, ["vv", "vh"], tmp_path / "out.tif")) as dst,
    ):
        assert dst.rpcs is None
    assert "vv.tif: its rational polynomials cannot be read" in caplog.text
