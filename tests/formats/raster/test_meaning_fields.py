"""What bands are declared to be: groups of one unit, natural bounds, and alpha that is data."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from monai_sr.formats import Facts
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.source import RasterSource
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.restore import avoid_nodata
from tests.image_factory import NORTH_UP, pixels, write_raster

RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def declared(path, dtype="float32", **facts):
    """Write a raster of as many bands as there are facts."""
    count = len(next(iter(facts.values())))
    write_raster(path, pixels((count, 5, 7), dtype), transform=NORTH_UP, crs="EPSG:32633")
    with rasterio.open(path, "r+") as dst:
        for name, values in facts.items():
            setattr(dst, name, values)
    return RasterReader().get_data(RasterReader().read(path))[1]


def test_bands_of_one_unit_scale_and_offset_are_one_group(tmp_path):
    meta = declared(
        tmp_path / "a.tif",
        units=("K", "", "K", "", ""),
        scales=(1.0, 1e-4, 1.0, 1e-4, 1.0),
        offsets=(0.0, -0.1, 0.0, -0.1, 0.0),
    )
    first, second, third, fourth, fifth = meta["sr_groups"].tolist()
    assert first == third >= 0
    assert second == fourth >= 0
    assert first != second
    assert fifth == -1


@pytest.mark.parametrize(
    ("description", "unit", "scale", "offset", "bounds"),
    [
        ("NDVI", "", 1.0, 0.0, (-1, 1)),
        ("mean_ndwi_2020", "", 1e-4, 0.0, (-10000, 10000)),
        ("Surface reflectance, red", "", 1e-4, -0.1, (1000, np.inf)),
        ("cover", "%", 1.0, 0.0, (0, 100)),
        ("snow_fraction", "", 0.01, 0.0, (0, 100)),
        ("elevation", "m", 1.0, 0.0, (-np.inf, np.inf)),
        ("", "", 1.0, 0.0, (-np.inf, np.inf)),
        ("NDVI", "", np.nan, 0.0, (-np.inf, np.inf)),
        ("NDVI", "", 1.0, np.nan, (-np.inf, np.inf)),
    ],
)
def test_bounds_follow_what_a_band_is_declared_to_be(
    tmp_path, description, unit, scale, offset, bounds
):
    meta = declared(
        tmp_path / "a.tif", descriptions=(description,), units=(unit,), scales=(scale,),
        offsets=(offset,),
    )  # fmt: skip
    assert meta["sr_natural"][0] == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"valid_range": "{0,1}"}, (0, 1)),
        ({"valid_min": "-20", "valid_max": "450"}, (-20, 450)),
        ({"valid_min": "0"}, (0, np.inf)),
        ({"valid_range": "{0,x}"}, (0, np.inf)),
        ({"valid_range": "{5,1}"}, (-np.inf, np.inf)),
        ({"valid_range": "{0,-6}", "_Unsigned": "true"}, (0, 65530)),
        ({"standard_name": "surface_albedo"}, (0, 1)),
        ({"standard_name": "surface_albedo", "valid_max": "2"}, (0, 1)),
        ({"long_name": "land cover"}, (-np.inf, np.inf)),
    ],
)
def test_cf_attributes_bound_a_band(tmp_path, tags, expected):
    dtype = "uint16" if "_Unsigned" in tags else "float32"
    path = write_raster(tmp_path / "a.tif", pixels((1, 9, 9), dtype), transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(1, **tags)
    with RasterSource(path) as source:
        assert source.read().natural.tolist() == [list(expected)]


def naip(path, fourth, dtype="uint8", **options):
    array = np.concatenate([pixels((3, 40, 30), dtype), fourth[None]])
    options = {"photometric": "RGB", "alpha": "YES", "transform": NORTH_UP, **options}
    return write_raster(path, array, **options)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_near_infrared_that_is_tagged_as_alpha_is_data(tmp_path, dtype, caplog):
    infrared = pixels((40, 30), dtype, seed=1)
    infrared[:10] = 0  # water
    path = naip(tmp_path / "a.tif", infrared, dtype)
    image = RasterReader().read(path)
    assert image.alpha == -1
    assert image.valid() is None
    assert np.array_equal(image.pixels[3], infrared)
    assert "band 4 is tagged as alpha but has many levels" in caplog.text
    _, meta = RasterReader().get_data(image)
    result = np.zeros((4, 3, 3), dtype)
    avoid_nodata(result, meta)
    assert result.max(axis=(1, 2)).tolist() == [0, 0, 0, 1]  # alpha 0 would hide all bands


@pytest.mark.parametrize("kind", ["binary", "feathered", "half", "png", "premultiplied"])
def test_alpha_stays_alpha(tmp_path, kind, caplog):
    alpha = np.full((40, 30), 255, np.uint8)
    alpha[:10] = 0
    if kind == "feathered":
        alpha[10:14] = np.arange(120).reshape(4, 30) + 60
    elif kind == "half":
        alpha[10:] = 128
    elif kind in ("png", "premultiplied"):
        alpha = pixels((40, 30), seed=1)
    if kind == "png":
        path = write_raster(tmp_path / "a.png", np.concatenate([pixels((3, 40, 30)), alpha[None]]))
    else:
        options = {"alpha": "PREMULTIPLIED"} if kind == "premultiplied" else {}
        path = naip(tmp_path / "a.tif", alpha, **options)
    with RasterSource(path) as source:
        assert source.alpha == 3
        assert source.read().false_alpha == -1
    assert "tagged" not in caplog.text


@pytest.mark.parametrize(
    ("name", "unit", "is_told"),
    [
        ("a.tif", "people per pixel", True),
        ("a.tif", "t/pixel", True),
        ("nld_ppp_2020.tif", "", True),
        ("ghs_pop_e2020.tif", "", True),
        ("population_count.tif", "", True),
        ("a.tif", "people/km2", False),
        ("population_density.tif", "", False),
        ("shopping.tif", "m", False),
    ],
)
def test_counts_of_each_pixel_are_announced(tmp_path, name, unit, is_told, caplog):
    array = pixels((1, 9, 9), "float32")
    path = write_raster(tmp_path / name, array, transform=NORTH_UP, crs="EPSG:32633")
    with rasterio.open(path, "r+") as dst:
        dst.units = (unit,)
    with RasterSource(path, "auto") as source, caplog.at_level(logging.WARNING):
        source.warn()
        assert source.meaning.kind == "gray"
    assert ("looks like counts" in caplog.text) == is_told


def test_displacements_in_pixels_are_announced(tmp_path, caplog):
    path = write_raster(tmp_path / "a.tif", pixels((2, 9, 9), "float32"), transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        dst.units = ("px", "m")
    with RasterSource(path, "auto") as source:
        source.warn()
    (said,) = caplog.messages
    assert "band 1 is measured in pixels" in said


@pytest.mark.parametrize("band", [0, 1])
@pytest.mark.parametrize(
    ("valid", "nodata", "dtype", "is_hidden"),
    [
        ("{0,65527}", 65535, "uint16", True),
        ("{0,65527}", None, "uint16", False),
        ("{0,65527}", None, "float32", True),
        ("{0,5}", 65535, "uint16", False),
    ],
)
def test_codes_beyond_the_valid_range_are_holes(tmp_path, valid, nodata, dtype, is_hidden, band):
    """As of VIIRS: bow-tie, not on board, ... A range in other units than the stored hides none.

    GDAL gives attributes of HDF4, as of MODIS, to the whole file.
    """
    array = 1000 + pixels((1, 40, 40), "uint8").astype(dtype)
    array[:, 10:14, 10:14], array[:, :2] = 65530, 65535
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, nodata=nodata)
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(band, valid_range=valid)
    whole, meta = RasterReader().get_data(RasterReader().read(path))
    shown = np.isfinite(whole) if dtype == "float32" else meta["sr_valid"]
    assert (shown.size > 0 and not shown[0, 10:14, 10:14].any()) == is_hidden
    if is_hidden:
        assert shown[0, 20:, 2:].all()


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize(
    ("nodata", "tags"),
    [
        (None, {"_FillValue": "-999"}),
        (None, {"missing_value": "-999.0"}),
        (-999, {"_FillValue": "-999", "missing_value": "{-998,-997}"}),
        (None, {"_FillValue": "-999", "missing_value": "-998"}),
    ],
)
def test_what_cf_calls_missing_is_nodata(tmp_path, dtype, nodata, tags):
    """GDAL knows no more than one of the two attributes, and none of a GeoTIFF."""
    array = 1000 + pixels((1, 30, 40), "uint8").astype(dtype)
    codes = sorted({float(v) for text in tags.values() for v in text.strip("{}").split(",")})
    for i, code in enumerate(codes):
        array[:, 5 * i : 5 * i + 3, 10:20] = code
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, nodata=nodata)
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(1, **tags)
    image = load_image(path)
    unit, valid = ScaleToUnit()(image)
    assert np.array_equal(valid[0].numpy().T, array[0] >= 0)
    assert Facts(unit.meta).nodata == -999
