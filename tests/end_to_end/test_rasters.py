"""A raster through the whole chain: place, holes and values at any scale or spacing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from monai.data import DataLoader
from monai.transforms import Compose
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from monai_sr.formats.raster.bands import premultiplied
from monai_sr.geometry.target_grid import covering_samples
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.transforms import (
    LoadImageSRd,
    PlanGrid,
    PlanGridd,
    Provenance,
    RestoreStoredd,
    SaveImageSRd,
    ScaleToUnitd,
)
from monai_sr.upscaling import FileDataset, RunFailedError, UpscaleEvaluator
from tests.image_factory import NORTH_UP, ROTATED, pixels, write_raster, write_vrt

UTM = "EPSG:32633"


def upscale(source, out, scale=4, spacing=None, name="bicubic", consistency=2):
    """Run as the bundles do, with an interpolation for a network; return what is stored."""
    grid = PlanGridd("image", PlanGrid(scale, spacing=spacing))
    chain = [LoadImageSRd("image"), grid, ScaleToUnitd("image")]
    dataset = FileDataset(source, Compose(chain), out, scale, spacing)
    provenance = Provenance("natural_sr", "none.pt", scale, consistency)
    engine = UpscaleEvaluator(
        "cpu",
        DataLoader(dataset, batch_size=1, num_workers=0),
        create_generator(name, in_channels=1, scale=int(scale) if scale in (2, 4) else 4),
        inferer=TiledInferer(scale, consistency=consistency),
        output_dir=out,
        postprocessing=Compose([RestoreStoredd("pred", provenance), SaveImageSRd("pred", out)]),
    )
    engine.run()
    (result,) = engine.results
    return rasterio.open(result.output)


def corners(dataset):
    height, width = dataset.shape
    places = [(0, 0), (0, width), (height, 0), (height, width)]
    return np.array([dataset.transform * (column, row) for row, column in places])


def blocks(plane, shape):
    rows, columns = (covering_samples(n, m) for n, m in zip(plane.shape[-2:], shape, strict=True))
    return plane[..., rows[:, None], columns]


STEP = st.floats(-50, 50)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEP, STEP, STEP, STEP, st.floats(-1e6, 1e6), st.floats(-1e7, 1e7), st.floats(1.05, 4))
@example(30.0, 0.0, 0.0, 30.0, 5e5, 4.6e6, 2.5)  # south-up
@example(24.0, 11.0, 9.0, -26.0, 5e5, 4.6e6, 3.7)  # sheared
def test_outer_edges_coincide_at_any_scale(tmp_path, a, b, d, e, x, y, scale):
    assume(abs(a * e - b * d) > 0.1)
    assume((a, b, x, d, e, y) != (1, 0, 0, 0, 1, 0))  # the identity: no georeference
    source = write_raster(tmp_path / "a.tif", crs=UTM, transform=Affine(a, b, x, d, e, y))
    with rasterio.open(source) as old, upscale(source, tmp_path / "o", scale, consistency=0) as new:
        np.testing.assert_allclose(corners(new), corners(old), rtol=1e-9, atol=1e-6)
        assert new.shape == tuple(int(np.floor(n * scale + 0.5)) for n in old.shape)


@pytest.mark.parametrize("scale", [1.5, 2, 2.75, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_nodata_grows_exactly_and_nothing_bleeds_from_it(tmp_path, dtype, scale):
    array = pixels((3, 19, 23), dtype)
    hole = pixels((19, 23), seed=5) > 180
    hole[:6] = True
    array[:, ~hole & (array[0] == 7)] = 8
    array[1] = np.where(hole, array[1], 50)
    results = []
    for junk in (7, 77):
        given = np.where(hole, np.array(junk, dtype), np.where(array == junk, junk + 1, array))
        given[2] = junk  # no valid pixel in this band
        path = write_raster(tmp_path / "a.tif", given, crs=UTM, transform=NORTH_UP, nodata=junk)
        with upscale(path, tmp_path / f"{junk}", scale) as dst:
            results.append(dst.read())
            assert dst.nodata == junk
            assert ((results[-1] == junk) == blocks(given == junk, dst.shape)).all()
        flat = results[-1][1][results[-1][1] != junk]
        # float32 in between: 24 bits of the range of the other bands
        assert np.abs(flat - 50.0).max() <= (1e-6 * np.ptp(array) if dtype == "float32" else 0)
    shown = blocks(~hole, results[0].shape[1:])
    # A value that happens to be the nodata of the other file was moved by one there.
    assert np.abs(results[0].astype(float) - results[1])[:2, shown].max() <= 1


@pytest.mark.parametrize("nodata", [None, -9999])
def test_nan_is_a_hole_and_comes_back_as_nan(tmp_path, nodata):
    array = np.full((2, 9, 8), 3.5, np.float32)
    array[1, 2:5, 3:6] = np.nan
    path = write_raster(tmp_path / "a.tif", array, crs=UTM, transform=NORTH_UP, nodata=nodata)
    with upscale(path, tmp_path / "out", 2.5) as dst:
        result = dst.read()
        assert (np.isnan(result) == blocks(np.isnan(array), dst.shape)).all()
        assert np.all((result == 3.5) | np.isnan(result))
        assert dst.nodata == nodata


def test_bands_of_differing_nodata_get_that_of_the_first(tmp_path):
    array = pixels((3, 8, 9), "int16") // 2
    array[:, 2, 3:6] = [[-9999], [-5], [77]]
    files = [
        write_raster(tmp_path / "in" / f"{i}.tif", band[None], transform=NORTH_UP)
        for i, band in enumerate(array)
        if (tmp_path / "in").mkdir(exist_ok=True) is None
    ]
    bands = [(f, "Int16", v, None) for f, v in zip(files, (-9999, -5, None), strict=True)]
    source = write_vrt(tmp_path / "in" / "a.vrt", bands, (8, 9), transform=NORTH_UP)
    with upscale(source, tmp_path / "out", 2, name="nearest", consistency=0) as dst:
        result = dst.read()
        assert dst.nodata == -9999
    invalid = np.zeros(array.shape, dtype=bool)
    invalid[:2, 2, 3:6] = True
    invalid[0] |= array[0] == -9999
    invalid[1] |= array[1] == -5
    assert ((result == -9999) == blocks(invalid, (16, 18))).all()
    assert (result[:, ::2, ::2][~invalid] == array[~invalid]).all()


def test_masks_of_single_bands_become_nodata(tmp_path):
    array, mask = pixels((1, 8, 9)), 255 * (pixels((1, 8, 9), seed=2) > 99)
    band = write_raster(tmp_path / "in.tif", array, transform=NORTH_UP)
    hidden = write_raster(tmp_path / "m.tif", mask)
    bands = [(band, "Byte", None, hidden), (band, "Byte", None, None)]
    source = write_vrt(tmp_path / "a.vrt", bands, (8, 9), transform=NORTH_UP)
    with upscale(source, tmp_path / "out", 2, name="nearest", consistency=0) as dst:
        result = dst.read()
        assert dst.nodata == 0
    assert ((result[0] == 0) == blocks(mask[0] == 0, (16, 18))).all()
    kept = np.maximum(array[0], 1)  # a valid 0 is moved off the nodata value
    assert (result[1] == blocks(kept, (16, 18))).all()


def test_premultiplied_colors_are_enlarged_straight_and_stay_premultiplied(tmp_path):
    straight = np.full((4, 12, 10), 200, np.uint8)
    straight[3] = np.linspace(0, 255, 10).astype(np.uint8)
    given = premultiplied(straight, 3, 8)
    given[:3, :, 0] = 0
    path = write_raster(
        tmp_path / "a.tif", given, transform=NORTH_UP, photometric="RGB", alpha="PREMULTIPLIED"
    )
    with upscale(path, tmp_path / "out", 4) as dst:
        result = dst.read()
        assert dst.colorinterp[3] == ColorInterp.alpha
    # Colors are those of the flat area times alpha, with no dark rim.
    wanted = 200 * (result[3] / 255)
    assert np.abs(result[:3] - wanted)[:, result[3] > 60].max() <= 2
    assert (result[:3] <= result[3]).all()
    # The tag says so: GDAL's own reader passes the bands on as they are.
    with tifffile.TiffFile(tmp_path / "out" / "a_x4.tif") as tiff:
        assert tiff.pages[0].tags[338].value == (1,)


@pytest.mark.parametrize(
    ("transform", "crs", "spacing", "name", "shape"),
    [
        (NORTH_UP, UTM, 12, "a_12m.tif", (50, 75)),
        (ROTATED, UTM, 10, "a_10m.tif", (56, 77)),
        (Affine(30, 0, 5, 0, -20, 5), None, 10, "a_10unit.tif", (40, 90)),
        (Affine(1e-3, 0, 12, 0, -1e-3, 48), "EPSG:4326", 4e-4, "a_0.0004degree.tif", (50, 75)),
        (
            Affine(10, 0, 5e5, 0, -10, 5e5),
            "EPSG:2263",
            [4, None],
            "a_4x-USsurveyfoot.tif",
            (20, 75),
        ),
    ],
)
def test_spacing_is_in_units_of_the_reference_system(
    tmp_path, transform, crs, spacing, name, shape
):
    source = write_raster(tmp_path / "a.tif", pixels((2, 20, 30)), crs=crs, transform=transform)
    with upscale(source, tmp_path / "out", spacing=spacing) as new, rasterio.open(source) as old:
        np.testing.assert_allclose(corners(new), corners(old), rtol=1e-9, atol=1e-9)
        assert new.name == str(tmp_path / "out" / name)
        assert new.shape == shape
        wanted = np.broadcast_to(np.array(spacing, dtype=float), 2)
        steps = (
            np.hypot(new.transform.a, new.transform.d),
            np.hypot(new.transform.b, new.transform.e),
        )
        for step, one, n in zip(steps, wanted, new.shape[::-1], strict=True):
            assert np.isnan(one) or step == pytest.approx(one, rel=0.5 / n)


def gcp_only(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = [
            GroundControlPoint(0, 0, 5e5, 4e6), GroundControlPoint(0, 30, 5.01e5, 4e6),
            GroundControlPoint(20, 0, 5e5, 3.99e6), GroundControlPoint(20, 30, 5.01e5, 3.99e6),
        ]  # fmt: skip
        with rasterio.open(
            path, "w", driver="GTiff", width=30, height=20, count=1, dtype="uint8",
            gcps=points, crs=UTM,
        ) as dst:  # fmt: skip
            dst.write(pixels((1, 20, 30)))
    return path


@pytest.mark.parametrize("make", [gcp_only, lambda path: write_raster(path, pixels((1, 20, 30)))])
def test_spacing_needs_a_geotransform(tmp_path, make):
    source = make(tmp_path / "a.tif")
    with pytest.raises(RunFailedError, match=r"a\.tif: spacing needs a file that has a geotrans"):
        upscale(source, tmp_path / "out", spacing=10)
    with pytest.raises(RunFailedError, match=r"finer than the input's 30 x 30 m, got 40 x 40;"):
        upscale(
            write_raster(tmp_path / "b.tif", crs=UTM, transform=NORTH_UP),
            tmp_path / "out",
            spacing=40,
        )


def test_control_points_alone_are_rescaled(tmp_path):
    with (
        warnings.catch_warnings(),
        upscale(gcp_only(tmp_path / "a.tif"), tmp_path / "out", 2.5) as dst,
    ):
        warnings.simplefilter("ignore")
        points, crs = dst.gcps
        assert crs == UTM
        assert dst.shape == (50, 75)
        assert [(p.row, p.col) for p in points] == [(0, 0), (0, 75), (50, 0), (50, 75)]
        assert dst.transform.is_identity


def test_a_transform_outlives_control_points_beside_it(tmp_path, caplog):
    path = write_raster(tmp_path / "a.tif", pixels((1, 20, 30)), crs=UTM, transform=NORTH_UP)
    points = "".join(f"<GCP Id='{i}' Pixel='{i}' Line='1' X='{i}' Y='5'/>" for i in range(4))
    (tmp_path / "a.tif.aux.xml").write_text(
        f"<PAMDataset><GCPList Projection='EPSG:4326'>{points}</GCPList></PAMDataset>"
    )
    with upscale(path, tmp_path / "out", 2) as dst:
        assert dst.transform == Affine(15, 0, 500000, 0, -15, 4600000)
    assert "GeoTIFF holds a transform or control points" in caplog.text


def test_a_world_file_is_not_lost(tmp_path):
    path = write_raster(tmp_path / "a.png", pixels((3, 20, 30)))
    (tmp_path / "a.pgw").write_text("30\n0\n0\n-20\n500015\n4599990\n")
    with upscale(path, tmp_path / "out", 2) as dst:
        # PNG has no place for it: GeoTIFF.
        assert dst.name.endswith("a_x2.tif")
        assert dst.transform == Affine(15, 0, 500000, 0, -10, 4600000)


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("ENVI", "a.dat"),
        ("ENVI", "a"),
        ("HFA", "a.img"),
        ("JP2OpenJPEG", "a.jp2"),
        ("AAIGrid", "a.asc"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_other_formats_of_gis_become_geotiff(tmp_path, driver, name, dtype):
    array = pixels((1, 40, 30), dtype)
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    square = Affine(30, 0, 5e5, 0, -30, 4.6e6)
    if driver == "AAIGrid":
        tiff = write_raster(tmp_path / "x.tif", array, crs=UTM, transform=square)
        rasterio.shutil.copy(tiff, tmp_path / name, driver=driver)
    else:
        write_raster(tmp_path / name, array, driver=driver, crs=UTM, transform=square, **options)
    with upscale(tmp_path / name, tmp_path / "out", 2, name="nearest", consistency=0) as dst:
        assert dst.driver == "GTiff"
        assert (dst.read() == blocks(array, (80, 60))).all()
        assert dst.transform == Affine(15, 0, 5e5, 0, -15, 4.6e6)
        assert driver == "AAIGrid" or dst.crs == UTM
        assert dst.dtypes[0] == ("int32" if driver == "AAIGrid" else dtype)
