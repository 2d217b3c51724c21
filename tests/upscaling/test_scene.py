"""A scene in windows is the whole in memory, bit for bit; a part is a part of it."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch.nn.functional as F
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from monai_sr.core.errors import BadImageError, OptionError, OutputError
from monai_sr.functional.resize import upsample
from monai_sr.networks.registry import Generator, GeneratorInfo
from monai_sr.transforms import FILL_REACH
from monai_sr.upscaling.scene_source import SceneSource
from tests.image_factory import NORTH_UP, ROTATED, ROTATED_POLE
from tests.scene_factory import (
    assert_alike,
    contents,
    in_memory,
    in_windows,
    network,
    scenes,
    smooth,
    write_scene,
)

RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def with_holes(array, value):
    """Put nodata into a corner, an edge and a speck, and over whole tiles."""
    array = array.copy()
    array[:, :20, :30] = value
    array[:, -3:] = value
    array[0, 25:27, 40:44] = value
    return array


def write_masked(path):
    write_scene(path, (3, 41, 57))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(with_holes(np.full((1, 41, 57), 255, np.uint8), 0)[0])
    return path


def write_palette(path):
    indices = (smooth((1, 41, 57)) // 64).astype(np.uint8)
    colors = {i: (60 * i, 200 - 30 * i, 20, 255) for i in range(4)}
    return write_scene(path, array=indices, colormap=colors, photometric="palette")


def write_with_alpha(path, alpha):
    array = np.concatenate([smooth((3, 41, 57)), with_holes(alpha, 0)])
    return write_scene(path, array=array, colorinterp=RGBA)


def write_with_points(path):
    corners = [(row, column) for row in (0, 41) for column in (0, 57)]
    points = [GroundControlPoint(r, c, 5.0 + c, 9.0 - r, 0, f"{r}, {c}") for r, c in corners]
    return write_scene(path, gcps=points, transform=None)


KINDS = {
    "nodata": lambda p: write_scene(p, array=with_holes(smooth((3, 41, 57)), 0), nodata=0),
    "float with NaN": lambda p: write_scene(
        p, array=with_holes(smooth((2, 41, 57), "float32"), np.nan), nodata=np.nan,
        descriptions=("a", "b"),
    ),
    "16 bit": lambda p: write_scene(p, (4, 41, 57), dtype="uint16", tags={"AREA": "X"}),
    "wide": lambda p: write_scene(p, dtype="int32", transform=ROTATED),
    "float64": lambda p: write_scene(p, dtype="float64", nodata=-9999),
    "alpha": lambda p: write_with_alpha(p, np.full((1, 41, 57), 255, np.uint8)),
    "smooth alpha": lambda p: write_with_alpha(p, smooth((1, 41, 57), seed=3)),
    "mask": write_masked,
    "palette": write_palette,
    "smaller than a tile": lambda p: write_scene(p, (1, 5, 7)),
    "one line": lambda p: write_scene(p, (1, 1, 57)),
    "control points": write_with_points,
}  # fmt: skip


@pytest.mark.parametrize("scale", [4, 2.5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_in_windows_is_the_whole_in_memory(kind, scale, tmp_path):
    source = KINDS[kind](tmp_path / "scene.tif")
    color = kind in ("nodata", "alpha", "mask")
    model = network(3 if color else 1)
    whole = in_memory(source, tmp_path / "whole.tif", model, scale)
    result = in_windows(source, tmp_path / "windows.tif", model, scale)
    assert_alike(result.output, tmp_path / "whole.tif")
    assert result.agreement.lr_psnr == pytest.approx(float(whole.meta["sr_lr_psnr"]), abs=1e-9)
    assert result.agreement.off_share == pytest.approx(float(whole.meta["sr_off_share"]), abs=1e-9)
    assert result.agreement.worst_at == tuple(whole.meta["sr_worst_at"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.tif", "whole.tif", "windows.tif"]


def test_what_geotiff_cannot_hold_lies_beside_either_way(tmp_path):
    source = write_scene(tmp_path / "scene.tif", (2, 41, 57), crs=CRS.from_wkt(ROTATED_POLE))
    with rasterio.open(source, "r+") as dst:
        dst.update_tags(2, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.56")
        dst.update_tags(2, STATISTICS_MEAN="9")
    model = network(1)
    in_memory(source, tmp_path / "whole.tif", model)
    in_windows(source, tmp_path / "windows.tif", model)
    texts = [(tmp_path / f"{name}.tif.aux.xml").read_text() for name in ("whole", "windows")]
    assert texts[0] == texts[1]
    for name in ("whole", "windows"):
        with rasterio.open(source) as src, rasterio.open(tmp_path / f"{name}.tif") as dst:
            assert dst.crs == src.crs
            assert dst.bounds == pytest.approx(src.bounds)
            assert dst.tags(2, ns="IMAGERY") == {"CENTRAL_WAVELENGTH_UM": "0.56"}
            assert "STATISTICS_MEAN" not in dst.tags(2)


def test_real_geotiffs_in_windows_are_the_whole_in_memory(shared_data, tmp_path):
    for name in ("float_raster_with_nodata.tif", "rotated.tif"):
        source = shared_data / "geotiff" / name
        in_memory(source, tmp_path / "whole.tif", network())
        assert_alike(
            in_windows(source, tmp_path / "w.tif", network()).output, tmp_path / "whole.tif"
        )


def test_a_png_stays_one(tmp_path):
    array = smooth((3, 41, 57))
    source = write_scene(tmp_path / "photo.png", array=array, crs=None, transform=None)
    in_memory(source, tmp_path / "whole.png", network())
    result = in_windows(source, tmp_path / "windows.png", network())
    assert contents(result.output)["driver"] == "PNG"
    assert_alike(result.output, tmp_path / "whole.png")


@pytest.mark.parametrize("scale", [4, 2.5])
@pytest.mark.parametrize("window", [(0, 0, 5, 3), (20, 10, 30, 25), (50, 40, 7, 1)])
@pytest.mark.parametrize("kind", ["float64", "nodata", "mask"])
def test_a_window_is_the_crop_of_the_whole(kind, window, scale, tmp_path):
    source = KINDS[kind](tmp_path / "scene.tif")
    whole = contents(in_windows(source, tmp_path / "whole.tif", network(), scale).output)
    result = in_windows(source, tmp_path / "part.tif", network(), scale, window=window)
    column, row, width, height = window
    assert result.output.name == f"part_at_{column}_{row}_{width}_{height}.tif"
    edges = [int(e * scale + 0.5) for e in (column, row, column + width, row + height)]
    if scale != 4:  # sizes are rounded, and edges with them
        large = (int(57 * scale + 0.5), int(41 * scale + 0.5)) * 2
        given = (column, row, column + width, row + height)
        sides = (57, 41) * 2
        edges = [int(e * m / n + 0.5) for e, m, n in zip(given, large, sides, strict=True)]
    left, top, right, bottom = edges
    part = contents(result.output)
    for key in ("pixels", "mask"):
        np.testing.assert_array_equal(part[key], whole[key][..., top:bottom, left:right])
    assert part["tags"] == whole["tags"]
    moved = rasterio.Affine(*whole["transform"][:6]) * rasterio.Affine.translation(left, top)
    assert np.allclose(part["transform"], tuple(moved), rtol=0, atol=1e-6)


def test_natural_bounds_of_a_window_are_those_of_the_whole(tmp_path):
    array = np.zeros((1, 41, 57), np.float32)
    array[0, ::4, 30:], array[0, 0, 0] = 0.3, -0.02  # a reflectance below 0
    source = write_scene(tmp_path / "a.tif", array=array, descriptions=("reflectance",))
    options = {"scale": 2, "value_range": (0, 0.3)}
    in_windows(source, tmp_path / "whole.tif", network(), **options)
    part = in_windows(source, tmp_path / "a.tif", network(), window=(30, 21, 27, 20), **options)
    with rasterio.open(tmp_path / "whole.tif") as whole, rasterio.open(part.output) as dst:
        assert whole.read().min() == array.min()
        expected = whole.read()[:, 42:, 60:]
        assert expected.min() == 0
        np.testing.assert_array_equal(dst.read(), expected)


def test_a_window_whose_range_is_given_is_read_alone(tmp_path, monkeypatch):
    source = write_scene(tmp_path / "a.tif", dtype="float32", descriptions=("reflectance",))
    counts, survey = [], SceneSource.survey
    counted = lambda *args, **given: counts.append(len(args[1])) or survey(*args, **given)  # noqa: E731
    monkeypatch.setattr(SceneSource, "survey", counted)
    options = {"window": (0, 0, 4, 4), "value_range": (0, 0.3), "tile_size": 8}
    in_windows(source, tmp_path / "a_x4.tif", network(), **options)
    assert counts == [1]


def test_a_window_has_the_control_points_and_rpcs_of_its_place(tmp_path):
    source = write_with_points(tmp_path / "scene.tif")
    whole = contents(in_windows(source, tmp_path / "whole.tif", network()).output)
    part = contents(in_windows(source, tmp_path / "p.tif", network(), window=(8, 4, 20, 9)).output)
    expected = [(row - 16, col - 32, x, y) for row, col, x, y in whole["gcps"]]
    assert part["gcps"] == expected
    names = ("line_num", "line_den", "samp_num", "samp_den")
    camera = RPC(
        height_off=0, height_scale=9, lat_off=0, lat_scale=1, long_off=0, long_scale=1,
        line_off=20, line_scale=20, samp_off=30, samp_scale=30,
        **{f"{name}_coeff": [1.0, *[0.1] * 19] for name in names},
    )  # fmt: skip
    source = write_scene(tmp_path / "rpc.tif", rpcs=camera, transform=None, crs=None)
    whole = contents(in_windows(source, tmp_path / "whole.tif", network()).output)["rpcs"]
    part = contents(in_windows(source, tmp_path / "p.tif", network(), window=(8, 4, 20, 9)).output)
    assert part["rpcs"]["samp_off"] == pytest.approx(whole["samp_off"] - 32)
    assert part["rpcs"]["line_off"] == pytest.approx(whole["line_off"] - 16)


def test_a_bbox_is_the_window_that_covers_it(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    x, y = NORTH_UP * (10, 8)
    right, bottom = NORTH_UP * (25.4, 20)
    boxed = in_windows(source, tmp_path / "b.tif", network(), bbox=(x, bottom, right, y))
    assert boxed.output.name == "b_at_10_8_16_12.tif"
    window = in_windows(source, tmp_path / "w.tif", network(), window=(10, 8, 16, 12))
    assert_alike(boxed.output, window.output)


def test_a_part_that_reaches_outside_is_cut_off_with_a_warning(tmp_path, caplog):
    source = write_scene(tmp_path / "scene.tif")
    result = in_windows(source, tmp_path / "w.tif", network(), window=(50, 30, 500, 500))
    assert result.shape_in == (1, 7, 11)
    assert "window reaches outside; columns 50 to 57 and rows 30 to 41 are enlarged" in caplog.text


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (
            {"window": (60, 0, 5, 5)},
            r"must overlap the raster of 57 x 41.* correct --window",
        ),
        ({"window": (0, 0, 0, 5)}, r"window: must be column, row.* write --window"),
        ({"window": "all"}, r"window: must be column, row"),
        ({"bbox": (5, 5, 4, 6)}, r"bbox: must be left, bottom.* write --bbox"),
        ({"bbox": (0, 0, 4, 6)}, r"bbox must overlap the raster"),
        ({"bbox": (0, 0, 4, 6), "window": (0, 0, 1, 1)}, r"leave --bbox or --window out"),
        ({"cog": True, "uncertainty": True}, r"uncertainty: .* got cog too"),
        ({"limit": -1}, r"scene_limit: must be millions of values"),
    ],
)
def test_an_option_that_does_not_fit_is_one_clear_line(options, remedy, tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    with pytest.raises(OptionError, match=remedy):
        in_windows(source, tmp_path / "w.tif", network(), **options)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_a_bbox_needs_a_geotransform(tmp_path):
    source = write_scene(tmp_path / "scene.tif", crs=None, transform=None)
    with pytest.raises(OptionError, match=r"geotransform, got none; use --window in pixels"):
        in_windows(source, tmp_path / "w.tif", network(), bbox=(0, 0, 4, 6))


def test_what_goes_through_in_windows_is_decided_by_size_and_options(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    values = 41 * 57 * 16 / 1e6
    assert not scenes().takes(source)
    assert scenes(limit=values * 0.9).takes(source)
    assert not scenes(limit=values * 1.1).takes(source)
    assert not scenes(limit=values * 0.9, uncertainty=True).takes(source)
    for options in ({"window": (0, 0, 4, 4)}, {"bbox": (0, 0, 1, 1)}, {"cog": True}):
        assert scenes(**options).takes(source)
    volume = tmp_path / "a.nii.gz"
    assert not scenes().takes(volume)
    with pytest.raises(OptionError, match=r"a.nii.gz: window is for rasters"):
        scenes(window=(0, 0, 4, 4)).takes(volume)


def test_a_cog_is_valid_and_has_overviews_and_the_same_pixels(tmp_path):
    from rio_cogeo.cogeo import cog_validate

    source = write_scene(tmp_path / "scene.tif", (3, 300, 140), tags={"AREA": "X"})
    plain = in_windows(source, tmp_path / "plain.tif", network(), tile_size=150)
    cog = in_windows(source, tmp_path / "cog.png", network(), tile_size=150, cog=True)
    assert cog.output.name == "cog.tif"
    is_valid, errors, warnings = cog_validate(cog.output, strict=True)
    assert is_valid, (errors, warnings)
    found = contents(cog.output)
    assert found["overviews"] == [2, 4]
    extra = {"OVR_RESAMPLING_ALG": "AVERAGE"}
    layout = {k: v for k, v in found["tags"].items() if k not in extra}
    assert_alike(cog.output, plain.output, overviews=[2, 4], tags=found["tags"])
    assert layout == contents(plain.output)["tags"]


@pytest.mark.parametrize(("cog", "layout"), [(None, "COG"), (False, None), (True, "COG")])
def test_a_part_of_a_cog_is_one_unless_told_otherwise(tmp_path, cog, layout):
    source = write_scene(tmp_path / "scene.tif", (3, 40, 50), driver="COG")
    made = in_windows(source, tmp_path / "out.tif", network(), cog=cog, window=(0, 0, 30, 20))
    with rasterio.open(made.output) as dst:
        assert dst.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == layout


def test_nodata_tiles_skip_the_network_and_take_no_room(tmp_path):
    array = np.zeros((1, 400, 400), np.uint8)
    array[:, 100:110, 200:210] = smooth((1, 10, 10))
    source = write_scene(tmp_path / "scene.tif", array=array, nodata=0, compress="deflate")
    model = network()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    result = in_windows(source, tmp_path / "sparse.tif", model, tile_size=40)
    assert len(calls) <= 4
    pixels = contents(result.output)["pixels"]
    assert (pixels != 0).sum() == (array != 0).sum() * 16
    with rasterio.open(result.output) as dst:
        # No tile was written where nothing is: no offset is recorded (GDAL's GTiff driver).
        assert dst.tags(1, ns="TIFF").get("BLOCK_OFFSET_0_0") is None
    assert result.output.stat().st_size < 20_000


class FarSighted(Generator):
    """Sees farther than valid pixels lend their values."""

    info = GeneratorInfo(paper="none", scales=(4,))

    def __init__(self):
        super().__init__()
        self._declare(scale=4, halo=80, in_channels=1, spatial_dims=2)
        assert self.halo > FILL_REACH

    def forward(self, image, scale=None):
        """Mix every pixel with the mean of its wide surroundings."""
        wide = F.avg_pool2d(image, 161, 1, 80, count_include_pad=False)
        return upsample((image + wide) / 2, 4)


def test_nodata_beyond_the_reach_of_the_fill_changes_no_result(tmp_path):
    pixels = smooth((1, 40, 260))
    results = []
    for nodata in (0, 255):
        array = pixels.copy()
        array[:, :, 120:] = nodata
        source = write_scene(tmp_path / "scene.tif", array=array, nodata=nodata)
        in_memory(source, tmp_path / "whole.tif", FarSighted())
        for side in (20, 60):
            windows = tmp_path / "windows.tif"
            in_windows(source, windows, FarSighted(), tile_size=side)
            assert_alike(windows, tmp_path / "whole.tif")
        results.append(contents(tmp_path / "whole.tif")["pixels"])
    assert (results[0][..., :480] == results[1][..., :480]).all()
    assert (results[1][..., 480:] == 255).all()


def test_tiles_of_one_color_are_computed_once(tmp_path):
    array = np.full((1, 160, 160), 7, np.uint8)
    array[:, :5, :5] = 200
    source = write_scene(tmp_path / "scene.tif", array=array)
    model = network()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    result = in_windows(source, tmp_path / "flat.tif", model, tile_size=20)
    assert len(calls) < 30 < 8 * 8
    in_memory(source, tmp_path / "whole.tif", model)
    whole = contents(tmp_path / "whole.tif")["pixels"]
    assert np.abs(contents(result.output)["pixels"].astype(int) - whole).max() <= 1


def test_the_largest_array_does_not_grow_with_the_scene(tmp_path, monkeypatch):
    largest = []
    for side in (300, 700):
        sizes = []
        read = SceneSource.read

        def counted(self, x, y, read=read, sizes=sizes):
            piece = read(self, x, y)
            sizes.append(piece.stored.numel())
            return piece

        monkeypatch.setattr(SceneSource, "read", counted)
        source = write_scene(tmp_path / f"{side}.tif", (1, side, side - 20))
        model = network()
        model.register_forward_hook(lambda _m, _i, out, sizes=sizes: sizes.append(out.numel()))
        in_windows(source, tmp_path / f"{side}_x4.tif", model, tile_size=100)
        monkeypatch.setattr(SceneSource, "read", read)
        largest.append(max(sizes))
    assert largest[1] <= largest[0] * 1.1


def test_a_scene_without_valid_pixels_is_refused_and_leaves_nothing(tmp_path):
    source = write_scene(tmp_path / "scene.tif", array=np.zeros((1, 41, 57), np.uint8), nodata=0)
    with pytest.raises(BadImageError, match=r"scene.tif: holds no valid pixel"):
        in_windows(source, tmp_path / "w.tif", network())
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_a_truncated_scene_is_refused_and_leaves_nothing(tmp_path):
    source = write_scene(tmp_path / "scene.tif", (1, 410, 570), compress="deflate")
    source.write_bytes(source.read_bytes()[:-40_000])
    with pytest.raises(BadImageError, match=r"scene.tif: "):
        in_windows(source, tmp_path / "w.tif", network(), tile_size=200)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_a_full_disk_is_noticed_before_any_work(tmp_path, monkeypatch):
    source = write_scene(tmp_path / "scene.tif")
    model = network()
    model.register_forward_hook(lambda *_: pytest.fail("began to work"))
    usage = type("Usage", (), {"free": 50_000})
    monkeypatch.setattr("monai_sr.upscaling.scene_job.shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"needs up to .* GB .* of free disk; free space"):
        in_windows(source, tmp_path / "w.tif", model)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]
