"""Arrays of rioxarray are enlarged as the GeoTIFF is that they would be, at once and lazily."""

from __future__ import annotations

import json
import pickle
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
import xarray as xr
from rasterio.transform import Affine

import monai_sr.integrations.xarray
from monai_sr import FileUpscaler
from monai_sr.core.errors import BadImageError, MissingDependencyError, OptionError
from monai_sr.integrations.array_source import ArraySource
from monai_sr.integrations.array_tiles import ArrayPlan, Model, enlarged

MODEL = "satellite_sr:fast"
HOW = {"device": "cpu", "runtime": "torch"}


@pytest.fixture(scope="module")
def scene(samples_dir: Path) -> xr.DataArray:
    """Return red, green, blue and near infrared of 8 bits, with nodata 0."""
    with rioxarray.open_rasterio(samples_dir / "satellite_sr" / "naip.tif") as array:
        return array.isel(x=slice(0, 90), y=slice(20, 90)).load()


@pytest.fixture(scope="module")
def of_file(tmp_path_factory) -> Callable[..., xr.DataArray]:
    """Return what monai-sr makes of the GeoTIFF that rioxarray writes of an array."""
    upscalers: dict[str, FileUpscaler] = {}

    def upscaled(array: xr.DataArray, masked: bool = False, **options: Any) -> xr.DataArray:
        folder = tmp_path_factory.mktemp("scene")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Transform that is non-rectilinear")
            array.rio.to_raster(folder / "array.tif")
        key = json.dumps(options)
        if key not in upscalers:
            upscalers[key] = FileUpscaler(MODEL, **HOW, **options)
        result = upscalers[key](folder / "array.tif", folder / "out")
        with rioxarray.open_rasterio(result.output, mask_and_scale=masked) as large:
            return large.load()

    return upscaled


def _placed(values: np.ndarray, dims: tuple[str, ...] = ("band", "y", "x"), **more: Any) -> Any:
    """Return an array on a map, with coordinates."""
    array = xr.DataArray(values, dims=dims, **more)
    height, width = array.sizes["y"], array.sizes["x"]
    grid = {"y": 4e6 - 10 * np.arange(0.5, height), "x": 5e5 + 10 * np.arange(0.5, width)}
    return array.assign_coords(grid).rio.write_crs("EPSG:32631").rio.write_transform()


def _smooth(shape: tuple[int, ...], top: float = 1.0) -> np.ndarray:
    """Return waves between 0 and ``top``, different in each band."""
    *bands, height, width = shape
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / (3 + b)) * np.cos(y / (4 + b)) for b in range(*bands or (1,))]
    values = (np.stack(planes) + 1) / 2 * top
    return values if bands else values[0]


def _floats_with_holes() -> xr.DataArray:
    values = _smooth((3, 50, 60), 900).astype("float32") - 100
    values[:, 10:20, 5:30] = np.nan
    values[1, 40, 40] = np.nan
    return _placed(values).rio.write_nodata(np.nan)


def _one_band() -> xr.DataArray:
    values = _smooth((50, 60), 3000).astype("int16")
    values[:8, :9] = -9999
    array = _placed(values, ("y", "x"), name="height")
    array.attrs.update(scale_factor=0.1, add_offset=5.0)
    return array.rio.write_nodata(-9999)


def _spiked() -> xr.DataArray:
    values = _smooth((2, 50, 60), 4000).astype("uint16")
    values[0, 25, 30] = 65535  # a hot pixel
    return _placed(values)


def _classes() -> xr.DataArray:
    return _placed(np.kron(np.array([[1, 7], [40, 7]]), np.ones((20, 25))).astype("uint8")[None])


def _flipped() -> xr.DataArray:
    array = _spiked()
    return array.isel(y=slice(None, None, -1)).rio.write_transform(array.rio.transform())


ARRAYS = {
    "floats with NaN": _floats_with_holes,
    "one band, nodata, scale and offset": _one_band,
    "a hot pixel": _spiked,
    "classes": _classes,
    "south up": _flipped,
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_values_are_those_of_the_written_geotiff(make, of_file) -> None:
    array = make()
    expected = of_file(array, scale=2)
    result = array.sr.upscale(MODEL, scale=2, **HOW)
    assert result.dtype == array.dtype
    assert result.dims == array.dims
    np.testing.assert_array_equal(np.reshape(result.values, expected.shape), expected.values)
    assert result.rio.transform() == expected.rio.transform()
    for axis in ("x", "y"):
        np.testing.assert_array_equal(result[axis], expected[axis])
    assert str(result.rio.nodata) == str(expected.rio.nodata)


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_a_lazy_result_is_that_of_the_whole(make) -> None:
    array = make()
    whole = array.sr.upscale(MODEL, scale=2, **HOW)
    lazy = array.chunk({"x": 17, "y": 23}).sr.upscale(MODEL, scale=2, tile_size=20, **HOW)
    assert lazy.chunks is not None
    assert max(map(len, lazy.chunks)) == 3  # of 60 columns
    np.testing.assert_array_equal(lazy.values, whole.values)
    xr.testing.assert_identical(lazy.coords.to_dataset(), whole.coords.to_dataset())


def test_colors_are_enlarged_together(scene, of_file) -> None:
    expected = of_file(scene, scale=4)
    result = scene.chunk({"x": 40}).sr.upscale(MODEL, scale=4, tile_size=40, **HOW)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.attrs["long_name"] == scene.attrs["long_name"] == expected.attrs["long_name"]
    assert result.rio.nodata == 0
    assert result.rio.crs == scene.rio.crs
    assert result.attrs["AREA_OR_POINT"] == "Area"
    facts = json.loads(result.attrs["SUPER_RESOLUTION"])
    assert (facts["bundle"], facts["scale"]) == ("satellite_sr", 4)


def test_a_scale_between_the_trained_ones_is_that_of_the_file(scene, of_file) -> None:
    array = scene.astype("uint16") * 11
    array.attrs = {}
    expected = of_file(array, scale=2.5, tile_size=48)
    result = array.chunk({"y": 30}).sr.upscale(MODEL, scale=2.5, tile_size=48, **HOW)
    np.testing.assert_array_equal(result.values, expected.values)
    np.testing.assert_allclose(result.rio.transform(), expected.rio.transform(), rtol=1e-15)


def test_a_turned_grid_stays_turned(scene, of_file) -> None:
    turned = Affine.translation(4.9e5, 5.2e6) * Affine.rotation(30) * Affine.scale(5, -5)
    array = scene.drop_vars(("x", "y")).rio.write_transform(turned)
    y, x = np.mgrid[: array.sizes["y"], : array.sizes["x"]]
    xs, ys = turned * (x + 0.5, y + 0.5)
    array = array.assign_coords(xc=(("y", "x"), xs), yc=(("y", "x"), ys))
    result, expected = array.sr.upscale(MODEL, scale=2, **HOW), of_file(array, scale=2)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.rio.transform() == expected.rio.transform() == turned * Affine.scale(0.5)
    np.testing.assert_allclose(result["xc"], expected["xc"], rtol=1e-12)
    np.testing.assert_allclose(result["yc"], expected["yc"], rtol=1e-12)


def test_packed_values_are_enlarged_as_they_are_stored(tmp_path, of_file) -> None:
    stored = _one_band()
    stored.rio.to_raster(tmp_path / "height.tif")
    with rioxarray.open_rasterio(tmp_path / "height.tif", mask_and_scale=True) as packed:
        array = packed.load()
    assert array.dtype.kind == "f"
    assert np.isnan(array.values).any()
    result = array.sr.upscale(MODEL, scale=2, **HOW)
    expected = of_file(array, masked=True, scale=2)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.dtype == array.dtype
    for key in ("_FillValue", "scale_factor", "add_offset"):
        assert result.encoding[key] == array.encoding[key]
    lazy = array.chunk({"x": 25}).sr.upscale(MODEL, scale=2, tile_size=32, **HOW)
    np.testing.assert_array_equal(lazy.values, result.values)


def test_bands_may_come_last_and_coordinates_of_no_grid_stay(scene) -> None:
    expected = scene.sr.upscale(MODEL, scale=2, **HOW)
    array = scene.transpose("y", "x", "band").assign_coords(time=np.datetime64("2020-01-01", "ns"))
    result = array.sr.upscale(MODEL, scale=2, **HOW)
    assert result.dims == ("y", "x", "band")
    np.testing.assert_array_equal(result.transpose(*expected.dims), expected)
    assert result["time"] == array["time"]
    assert result["band"].values.tolist() == [1, 2, 3, 4]


def test_coordinates_along_the_grid_that_are_none_of_it_are_left_out_aloud(scene, caplog) -> None:
    array = scene.assign_coords(row=("y", np.arange(scene.sizes["y"])))
    result = array.sr.upscale(MODEL, scale=2, **HOW)
    assert "row" not in result.coords
    assert "left out: row" in caplog.text


def test_a_slice_lies_where_it_was(scene) -> None:
    # The transform in the attributes of an array is that of the whole it was cut from.
    part = scene.isel(x=slice(7, 50), y=slice(5, 40))
    result = part.sr.upscale(MODEL, scale=2, **HOW)
    assert result.rio.bounds() == pytest.approx(part.rio.bounds(recalc=True), abs=1e-9)


def test_nodata_by_option_is_declared_in_the_result(scene) -> None:
    array = (scene.astype("int16") - 5).drop_attrs()
    array.values[:, :9, :9] = -5
    array = _placed(array.values)
    result = array.sr.upscale(MODEL, scale=2, nodata=-5, **HOW)
    assert result.rio.nodata == -5
    assert (result.values[:, :18, :18] == -5).all()
    assert not (result.values[:, 18:, 18:] == -5).any()


def test_nothing_is_read_before_the_result_is_computed_and_the_range_is_decided_once() -> None:
    values, reads, decided = _smooth((2, 64, 64), 4000).astype("uint16"), [], []

    def counted(block: np.ndarray) -> np.ndarray:
        reads.append(block.shape)
        return block

    told = {**HOW, "kind": "intensity"}
    import dask.array

    array = _placed(dask.array.from_array(values, chunks=(2, 32, 32)).map_blocks(
        counted, dtype="uint16", meta=np.empty((0, 0, 0), "uint16")))  # fmt: skip
    lazy = array.sr.upscale(MODEL, scale=2, tile_size=32, **told)
    assert not reads
    original = ArrayPlan.decide
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayPlan, "decide", lambda *a: (decided.append(1), original(*a))[1])
        lazy.compute(scheduler="synchronous")
    assert len(decided) == 1
    assert len(reads) == 8  # each chunk in the first pass, and once more
    reads.clear()
    ranged = array.sr.upscale(MODEL, scale=2, tile_size=32, range=[0, 4000], **told)
    ranged.compute(scheduler="synchronous")
    assert len(reads) == 4


def test_memory_holds_a_few_chunks_however_long_the_array_is() -> None:
    import dask.array

    living, most = set(), [0]

    def made(block_info: Any = None) -> np.ndarray:
        top = block_info[None]["array-location"][1][0]
        block = np.ascontiguousarray(_smooth((1, 16, 16), 4000 + top).astype("uint16"))
        living.add(id(block))
        weakref.finalize(block, living.discard, id(block))
        most[0] = max(most[0], len(living))
        return block

    def peak(rows: int) -> int:
        most[0] = 0
        chunks = ((1,), (16,) * rows, (16,))
        array = _placed(dask.array.map_blocks(made, chunks=chunks, dtype="uint16",
                                              meta=np.empty((0, 0, 0), "uint16")))  # fmt: skip
        lazy = array.sr.upscale("bicubic", scale=2, tile_size=16, kind="intensity", device="cpu")
        total = lazy.data.sum(dtype="float64")
        assert total.compute(scheduler="synchronous") > 0
        return most[0]

    assert peak(40) <= peak(12) + 2


def test_a_plan_works_in_another_process() -> None:
    array = _spiked()
    raster = monai_sr.integrations.xarray._Raster(array)
    model = Model.of(MODEL, {"scale": 2, **HOW})
    plan = ArrayPlan(ArraySource(raster.header(), raster.pixels, "auto"), model)
    copied = pickle.loads(pickle.dumps(plan))
    np.testing.assert_array_equal(
        enlarged(copied, raster.pixels)[0], array.sr.upscale(MODEL, scale=2, **HOW).values
    )


def _without_place() -> xr.DataArray:
    return xr.DataArray(np.ones((1, 9, 9), "uint8"), dims=("band", "y", "x"))


def _uneven() -> xr.DataArray:
    array = _spiked()
    return array.assign_coords(x=np.geomspace(1, 2, 60))


WRONG = {
    "no reference system": (_without_place, "write_crs"),
    "no rows": (lambda: xr.DataArray(np.ones((9, 9)), dims=("a", "b")), "set_spatial_dims"),
    "two more dimensions": (lambda: _placed(np.ones((2, 3, 9, 9)), ("time", "band", "y", "x")),
                            r"isel\(time=0\)"),
    "truth values": (lambda: _placed(np.ones((1, 9, 9), bool)), "astype"),
    "complex values": (lambda: _placed(np.ones((1, 9, 9), "complex64")), "astype"),
    "uneven coordinates": (_uneven, "evenly spaced"),
    "no pixels": (lambda: _spiked().isel(x=slice(0, 0)), "must hold pixels"),
    "too few names": (lambda: _spiked().assign_attrs(long_name=["a"]), "long_name"),
    "nodata that no GeoTIFF declares": (
        lambda: _placed(np.ones((1, 9, 9), "int64")).assign_attrs(_FillValue=-(2**63)),
        "write_nodata",
    ),
    "nodata that no value is": (lambda: _spiked().assign_attrs(_FillValue=-1.5), "write_nodata"),
    "nothing but nodata": (lambda: _placed(np.zeros((1, 9, 9), "uint8")).rio.write_nodata(0),
                           "holds no valid pixel"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "remedy"), WRONG.values(), ids=WRONG)
def test_what_is_no_raster_is_refused_in_one_line(make, remedy) -> None:
    with pytest.raises(BadImageError, match=remedy) as caught:
        make().sr.upscale(MODEL, scale=2, **HOW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"window": [0, 0, 5, 5]}, "belongs to files"), ({"scal": 2}, "inference.yaml"),
     ({"scale": 9}, "at most 4"), ({"uncertainty": True}, "belongs to files")],
)  # fmt: skip
def test_options_that_fit_no_array_are_refused(options, remedy) -> None:
    with pytest.raises(OptionError, match=remedy):
        _spiked().sr.upscale(MODEL, **{**HOW, **options})


def test_a_lazy_array_without_valid_pixels_fails_when_it_is_computed() -> None:
    array = _placed(np.full((1, 20, 20), 7, "uint16")).rio.write_nodata(7).chunk({"x": 10})
    lazy = array.sr.upscale(MODEL, scale=2, **HOW)
    with pytest.raises(BadImageError, match="no valid pixel"):
        lazy.compute(scheduler="synchronous")


def test_without_the_extra_the_import_says_what_to_install(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rioxarray", None)
    monkeypatch.delitem(sys.modules, "monai_sr.integrations.xarray")
    with pytest.raises(MissingDependencyError, match=r"monai-sr\[xarray\]"):
        __import__("monai_sr.integrations.xarray")


def test_a_scene_needs_no_model_by_name(scene) -> None:
    result = scene.isel(x=slice(0, 12), y=slice(0, 10)).sr.upscale(scale=2, **HOW)
    assert json.loads(result.attrs["SUPER_RESOLUTION"])["bundle"] == "satellite_sr"
    assert result.shape == (4, 20, 24)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a cluster that is shut down
def test_an_array_that_a_cluster_holds_is_enlarged_there() -> None:
    distributed = pytest.importorskip("distributed")
    array = _spiked()
    whole = array.sr.upscale(MODEL, scale=2, **HOW)
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None):
        held = array.chunk({"x": 20, "y": 25}).persist()
        lazy = held.sr.upscale(MODEL, scale=2, tile_size=20, **HOW)
        np.testing.assert_array_equal(lazy.values, whole.values)
