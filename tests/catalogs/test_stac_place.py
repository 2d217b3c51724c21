"""Outlines are those of RFC 7946: cut at the antimeridian, around poles, none off the Earth."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform, transform_bounds

from monai_sr.catalogs.stac_place import joined, outline_of

SIDE = 64
MARS = (
    'GEOGCS["GCS_Mars_2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000_IAU_IAG",3396190.0,'
    '169.8944472236118]],PRIMEM["Reference_Meridian",0.0],UNIT["Degree",0.0174532925199433]]'
)
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'
DISK = CRS.from_proj4("+proj=geos +h=35785831 +lon_0=0 +sweep=y +datum=WGS84")
ACROSS = [
    ("EPSG:32660", from_origin(610000, 7200000, 1000, 1000)),
    ("EPSG:32601", from_origin(310000, 7200000, 1000, 1000)),
    ("EPSG:3460", from_origin(1.6e6, 4.3e6, 10000, 10000)),
    ("EPSG:4326", from_origin(100, 60, 180 / SIDE, 120 / SIDE)),
]
AROUND = [
    ("EPSG:3413", from_origin(-3e6, 3e6, 6e6 / SIDE, 6e6 / SIDE)),
    ("EPSG:3031", from_origin(-3e6, 2e6, 6e6 / SIDE, 6e6 / SIDE)),
]
PLAIN = [
    ("EPSG:32631", from_origin(5e5, 5.8e6, 10, 10)),
    ("EPSG:32631", Affine(10, 3, 5e5, 4, -10, 5.8e6)),
    ("EPSG:4326", from_origin(190, 60, 1 / SIDE, 1 / SIDE)),
    ("EPSG:4326", from_origin(0, 90, 360 / SIDE, 180 / SIDE)),
    ("EPSG:4326", from_origin(-180.125, 90.125, 360 / SIDE, 180.25 / SIDE)),
]


def outline(tmp_path, crs, place):
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint8"}
    path = tmp_path / "a.tif"
    path.unlink(missing_ok=True)
    with rasterio.open(path, "w", crs=crs, transform=place, **profile):
        pass
    with rasterio.open(path) as dataset:
        return outline_of(dataset)


def rings(found):
    parts = found.geometry["coordinates"]
    return [parts[0]] if found.geometry["type"] == "Polygon" else [part[0] for part in parts]


def inside(found, longitudes, latitudes):
    """Tell which points are inside, by rasterio's own polygons on a grid of each point's pixel."""
    hits = []
    for x, y in zip(longitudes, latitudes, strict=True):
        grid = from_origin(x - 5e-7, y + 5e-7, 1e-6, 1e-6)
        hits.append(rasterize([found.geometry], (1, 1), transform=grid)[0, 0])
    return np.array(hits, dtype=bool)


@pytest.mark.parametrize(("crs", "place"), ACROSS + AROUND + PLAIN)
def test_pixels_are_inside_and_the_ring_is_as_the_standard_has_it(tmp_path, crs, place):
    found = outline(tmp_path, crs, place)
    middle = np.linspace(2.3, SIDE - 3.1, 7)  # none on the antimeridian itself
    xs, ys = place * np.array([axis.ravel() for axis in np.meshgrid(middle, middle + 0.6)])
    longitudes, latitudes = map(np.array, transform(crs, "EPSG:4326", xs, ys))
    longitudes = (longitudes + 180) % 360 - 180
    assert inside(found, longitudes, latitudes).all()
    west, south, east, north = found.bbox
    assert ((latitudes > south) & (latitudes < north)).all()
    across = (longitudes > west) | (longitudes < east)
    between = (longitudes > west) & (longitudes < east)
    assert (across if west > east else between).all()
    for ring in rings(found):
        points = np.array(ring)
        assert ring[0] == ring[-1]
        assert (abs(points) <= [180, 90]).all()
        x, y = points.T
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # counterclockwise


@pytest.mark.parametrize(("crs", "place"), ACROSS)
def test_what_crosses_the_antimeridian_is_cut_in_two(tmp_path, crs, place):
    found = outline(tmp_path, crs, place)
    assert found.geometry["type"] == "MultiPolygon"
    west, _, east, _ = found.bbox
    assert 0 < 360 + east - west < 180 + 1e-6
    if crs == "EPSG:4326":
        assert found.bbox == [100, -60, -80, 60]
        return
    bounds = rasterio.transform.array_bounds(SIDE, SIDE, place)
    # GDAL's box, which knows of the antimeridian as well.
    np.testing.assert_allclose(found.bbox, transform_bounds(crs, "EPSG:4326", *bounds), atol=1e-3)


def test_boxes_of_poles_and_of_the_globe_go_all_around(tmp_path):
    assert outline(tmp_path, *AROUND[0]).bbox[::2] == [-180, 180]
    assert outline(tmp_path, *AROUND[0]).bbox[3] == 90
    assert outline(tmp_path, *AROUND[1]).bbox[1] == -90
    for globe in PLAIN[-2:]:
        assert outline(tmp_path, *globe).bbox == [-180, -90, 180, 90]


@pytest.mark.parametrize(
    ("crs", "place"),
    [(MARS, ACROSS[3][1]), (LOCAL, PLAIN[0][1]), (DISK, from_origin(-5.5e6, 5.5e6, 2e5, 2e5)),
     (None, PLAIN[0][1])],
)  # fmt: skip
def test_what_is_not_on_the_earth_has_no_outline(tmp_path, crs, place):
    assert outline(tmp_path, crs, place) is None


def test_the_box_of_several_is_the_smallest_one(tmp_path):
    first, second, third = (
        outline(tmp_path, "EPSG:4326", from_origin(west, 10, 1 / SIDE, 1 / SIDE))
        for west in (178, 179.5, -179)
    )
    assert joined([first, first]) == first
    assert joined([third, first, second]).bbox == [178, 9, -178, 10]
    assert joined([third, first]).geometry["type"] == "MultiPolygon"
    far = outline(tmp_path, *PLAIN[0])
    assert joined([far, first]).bbox[0] == pytest.approx(3)
    assert joined([far, first]).bbox[2] == 179
