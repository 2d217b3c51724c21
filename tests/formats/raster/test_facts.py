"""A GIS lays the enlarged raster over the input and finds everything the input said."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import Affine

from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter
from monai_sr.formats.stored import DISCLAIMER
from tests.image_factory import NORTH_UP, ROTATED, enlarged, pixels, write_raster
from tests.scene_factory import in_memory, network

UTM = "EPSG:32633"


def upscale(source, target, scale=2, **facts):
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta | facts, scale)
    writer = RasterWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(target)
    return result.transpose(0, 2, 1)


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(path)


def write(tmp_path, array, meta, name="b.tif"):
    writer = RasterWriter()
    writer.set_data_array(array)
    writer.set_metadata(meta)
    writer.write(tmp_path / name)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.floats(-50, 50), min_size=4, max_size=4).filter(
        lambda t: abs(t[0] * t[3] - t[1] * t[2]) > 0.1
    ),
    st.floats(-1e6, 1e6),
    st.floats(-1e7, 1e7),
    st.sampled_from([2, 3, 4]),
)
def test_outer_edges_coincide(tmp_path, steps, x, y, scale):
    a, b, d, e = steps
    assume((a, b, x, d, e, y) != (1, 0, 0, 0, 1, 0))  # the identity: no georeference
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=Affine(a, b, x, d, e, y))
    upscale(source, tmp_path / "b.tif", scale)
    with opened(source) as old, opened(tmp_path / "b.tif") as new:
        assert new.shape == (old.height * scale, old.width * scale)
        for row, col in ((0, 0), (0, old.width), (old.height, 0), (old.height, old.width)):
            np.testing.assert_allclose(
                new.xy(row * scale, col * scale, offset="ul"),
                old.xy(row, col, offset="ul"),
                rtol=1e-9, atol=1e-6,
            )  # fmt: skip


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
def test_corner_terms_are_bit_equal_for_powers_of_two(tmp_path, transform):
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=transform)
    upscale(source, tmp_path / "b.tif", 4)
    with opened(tmp_path / "b.tif") as dst:
        a, b, c, d, e, f = transform[:6]
        assert dst.transform[:6] == (a / 4, b / 4, c, d / 4, e / 4, f)


def test_pixel_is_point_keeps_its_place(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", crs=UTM, transform=NORTH_UP, tags={"AREA_OR_POINT": "Point"}
    )
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst, opened(source) as src:
        assert dst.tags()["AREA_OR_POINT"] == "Point"
        assert dst.bounds == src.bounds


def test_control_points_are_rescaled(tmp_path):
    points = [
        GroundControlPoint(row=r, col=c, x=500.0 + c, y=400.0 - r, z=0.0, id=str(r + c))
        for r, c in ((0, 0), (0, 7), (5, 0), (5, 7))
    ]
    source = write_raster(tmp_path / "a.tif", crs=UTM, gcps=points)
    upscale(source, tmp_path / "b.tif", 4)
    with opened(tmp_path / "b.tif") as dst:
        found, crs = dst.gcps
    assert crs.to_epsg() == 32633
    assert [(p.row, p.col, p.x, p.y) for p in found] == [
        (4 * p.row, 4 * p.col, p.x, p.y) for p in points
    ]


@pytest.mark.parametrize("said", ["Point", "Area"])
def test_control_points_lie_where_they_lay_whatever_a_pixel_is(tmp_path, said):
    points = [
        GroundControlPoint(row=r, col=c, x=500.0 + c, y=400.0 - r, z=0.0)
        for r, c in ((0, 0), (0, 7), (5, 0), (5, 7))
    ]
    source = write_raster(tmp_path / "a.tif", crs=UTM, gcps=points, tags={"AREA_OR_POINT": said})
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        given, found = src.gcps[0], dst.gcps[0]
    assert [(p.row, p.col, p.x) for p in found] == [(2 * p.row, 2 * p.col, p.x) for p in given]


@pytest.mark.parametrize(
    ("domain", "kept", "stale"),
    [
        ("", ("NITF_FSCLAS", "TIFFTAG_ARTIST", "z#valid_range"),
         ("NITF_IGEOLO", "NITF_BLOCKA_FRFC_LOC_01", "TIFFTAG_MAXSAMPLEVALUE", "x#actual_range",
          "crs#GeoTransform", "NCOLS", "NROWS", "SPATIAL_RESOLUTION", "DATAROWS", "x_pixel_size",
          "CHARACTERISTICBINSIZE500M", "GRID_CELL_SIZE_REFLECTIVE",
          "NC_GLOBAL#spatial_resolution")),
        ("ENVI", ("wavelength_units", "sensor_type", "data_gain_values"),
         ("samples", "lines", "x_start", "map_info", "description", "byte_order")),
        ("IMD", ("IMAGE_1.satId", "BAND_P.absCalFactor", "IMAGE_1.meanCollectedGSD"),
         ("numRows", "BAND_P.ULLon", "MAP_PROJECTED_PRODUCT.productGSD",
          "MAP_PROJECTED_PRODUCT.originX", "IMAGE_1.meanProductGSD")),
        ("NITF_METADATA", (), ("NITFFileHeader",)),
        ("TRE", (), ("BLOCKA",)),
    ],
)  # fmt: skip
def test_what_tells_of_the_source_s_grid_is_not_said_of_the_result(tmp_path, domain, kept, stale):
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=NORTH_UP)
    with rasterio.open(source, "r+") as dst:
        dst.update_tags(ns=domain or None, **dict.fromkeys((*kept, *stale), "7"))
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        given, found = src.tags(ns=domain or None), dst.tags(ns=domain or None)
    assert set(given) >= {*kept, *stale}
    assert set(found) >= set(kept)
    assert not set(found) & set(stale)


def test_camera_model_is_rescaled(tmp_path):
    coefficients = [1.0, *[0.5] * 19]
    rpcs = RPC(
        height_off=1, height_scale=500, lat_off=45, lat_scale=0.5, long_off=7, long_scale=0.5,
        line_off=2.0, line_scale=3, samp_off=3.0, samp_scale=4, err_bias=0.3, err_rand=0.2,
        line_num_coeff=coefficients, line_den_coeff=coefficients,
        samp_num_coeff=coefficients, samp_den_coeff=coefficients,
    )  # fmt: skip
    source = write_raster(tmp_path / "a.tif", rpcs=rpcs)
    upscale(source, tmp_path / "b.tif", 4)
    with opened(tmp_path / "b.tif") as dst:
        new = dst.rpcs
    assert (new.line_off, new.line_scale, new.samp_off, new.samp_scale) == (9.5, 12, 13.5, 16)
    assert new.line_num_coeff == coefficients
    assert (new.lat_off, new.height_scale) == (45, 500)


def test_everything_said_of_the_bands_is_kept(tmp_path):
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined)
    source = write_raster(
        tmp_path / "a.tif", pixels((4, 5, 7), "uint16"), crs=UTM, transform=NORTH_UP, nodata=7,
        tags={"MISSION": "test", "TIFFTAG_IMAGEDESCRIPTION": "scene 5"}, colorinterp=colors,
        photometric="RGB", alpha="NO", descriptions=("red", "green", "blue", "near infrared"),
        compress="lzw",
    )  # fmt: skip
    with rasterio.open(source, "r+") as dst:
        dst.scales, dst.offsets = (0.0001,) * 4, (-0.1,) * 4
        dst.units = ("reflectance",) * 4
        dst.update_tags(2, STATISTICS_MEAN="1", WAVELENGTH="560")
        dst.update_tags(ns="MINE", KEY="value")
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        for fact in ("crs", "nodata", "colorinterp", "descriptions", "scales", "offsets", "units"):
            assert getattr(dst, fact) == getattr(src, fact), fact
        tags = dst.tags()
        assert tags["MISSION"] == "test"
        assert dst.tags(2)["WAVELENGTH"] == "560"
        assert "STATISTICS_MEAN" not in dst.tags(2)
        assert dst.tags(ns="MINE") == {"KEY": "value"}
        assert dst.profile["compress"] == "deflate"
    assert tags["TIFFTAG_IMAGEDESCRIPTION"] == (
        "Derived by super-resolution; not for primary diagnosis. scene 5"
    )
    assert tags["TIFFTAG_SOFTWARE"] == "monai-sr 0.1.0"
    assert json.loads(tags["SUPER_RESOLUTION"])["scale"] == 2


@pytest.mark.parametrize("nodata", [np.nan, -3.4e38])
def test_float_nodata_is_kept(tmp_path, nodata):
    array = pixels((1, 5, 7), "float32")
    array[0, 0, 0] = nodata
    source = write_raster(tmp_path / "a.tif", array, nodata=nodata)
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        np.testing.assert_equal(dst.nodata, src.nodata)
        assert (dst.dataset_mask()[::2, ::2] == src.dataset_mask()).all()


@pytest.mark.parametrize("alpha", ["YES", "PREMULTIPLIED"])
def test_alpha_stays_alpha(tmp_path, alpha):
    source = write_raster(tmp_path / "a.tif", pixels((4, 5, 7)), photometric="RGB", alpha=alpha)
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        assert dst.colorinterp == src.colorinterp
        assert dst.colorinterp[3] == ColorInterp.alpha
        assert dst.tags(4, ns="IMAGE_STRUCTURE") == src.tags(4, ns="IMAGE_STRUCTURE")


def test_internal_mask_is_enlarged_exactly(tmp_path):
    mask = pixels((5, 7)) > 100
    source = write_raster(tmp_path / "a.tif", pixels((3, 5, 7)), crs=UTM, transform=NORTH_UP)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as dst:
        dst.write_mask(mask)
    upscale(source, tmp_path / "out" / "b.tif", 4)
    with opened(tmp_path / "out" / "b.tif") as dst:
        assert (dst.dataset_mask()[::4, ::4] == 255 * mask).all()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.tif"]


def test_resolution_tags_grow_with_the_scale(tmp_path):
    source = write_raster(
        tmp_path / "a.tif",
        tags={
            "TIFFTAG_XRESOLUTION": "72", "TIFFTAG_YRESOLUTION": "72", "TIFFTAG_RESOLUTIONUNIT": "2",
        },
    )  # fmt: skip
    upscale(source, tmp_path / "b.tif", 4)
    with opened(tmp_path / "b.tif") as dst:
        assert dst.tags()["TIFFTAG_XRESOLUTION"] == "288"


@pytest.mark.parametrize(
    "name",
    ["cogeo.tif", "alpha.tif", "rgb1.tif", "rotated.tif", "float_raster_with_nodata.tif"],
)
def test_real_geotiffs_are_laid_over_their_source(shared_data, tmp_path, name):
    source = shared_data / "geotiff" / name
    upscale(source, tmp_path / name)
    with opened(source) as src, opened(tmp_path / name) as dst:
        assert (dst.read()[:, ::2, ::2] == src.read()).all()
        assert (dst.dataset_mask()[::2, ::2] == src.dataset_mask()).all()
        np.testing.assert_allclose(
            dst.xy(dst.height, dst.width, offset="ul"), src.xy(src.height, src.width, offset="ul")
        )
        assert (dst.crs, dst.colorinterp) == (src.crs, src.colorinterp)


def test_crop_is_placed_where_it_was(tmp_path):
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=ROTATED)
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(source))
    meta["affine"][:3, 3] = (meta["affine"] @ [2, 1, 0, 1])[:3]
    result, updated = enlarged(stored[:, 2:, 1:], meta, 2)
    write(tmp_path, result, updated)
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        np.testing.assert_allclose(dst.xy(0, 0, offset="ul"), src.xy(1, 2, offset="ul"))


@pytest.mark.parametrize(("given", "kept"), [(None, None), ("lzw", "deflate")])
def test_a_tiff_without_compression_stays_so(tmp_path, given, kept):
    source = write_raster(tmp_path / "a.tif", pixels((1, 5, 7)), compress=given)
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert dst.profile.get("compress") == kept


def test_metadata_that_are_not_utf_8_are_left_out_with_a_warning(tmp_path, caplog):
    source = write_raster(tmp_path / "a.tif", crs="EPSG:32633", transform=NORTH_UP)
    with rasterio.open(source, "r+") as dst:
        dst.update_tags(ns="cafX", A="a")
    source.write_bytes(source.read_bytes().replace(b"cafX", b"caf\xe9"))
    result = in_memory(source, tmp_path / "b.tif", network())
    assert result.shape == (1, 28, 20)
    assert "a.tif: metadata that are not UTF-8 are left out" in caplog.text
    with rasterio.open(tmp_path / "b.tif") as dst:
        assert dst.tags()["TIFFTAG_IMAGEDESCRIPTION"].startswith(DISCLAIMER)


def test_a_mirrored_image_lies_where_its_pixels_lay(tmp_path):
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=ROTATED)
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(source))
    last = stored.shape[1] - 1
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = last
    meta["affine"] = meta["affine"] @ mirror
    result, updated = enlarged(stored[:, ::-1], meta, 2)
    write(tmp_path, result, updated)
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        for row, column in ((0, 0), (3, 1)):
            np.testing.assert_allclose(
                dst.xy(2 * row, 2 * column, offset="ul"),
                src.xy(row, last - column, offset="ur"),
            )
