"""Codes are known behind any lossless compression and type, and directions as what they are."""

from __future__ import annotations

import logging
import math
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp

from monai_sr.core import BadImageError
from monai_sr.formats import output_suffix
from monai_sr.formats.raster import meaning
from monai_sr.formats.raster.meaning import raster_meaning
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.source import RasterSource
from monai_sr.formats.raster.writer import RasterWriter
from tests.formats.raster.test_facts import opened
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster

COVER = {0: (0, 0, 0, 255), 10: (0, 90, 0, 255), 20: (200, 200, 0, 255), 30: (0, 0, 255, 255)}
ASPECT = np.degrees(np.arctan2(*(np.mgrid[0:48, 0:48] - 23.4)))[None] % 360


def kind(path, asked="auto"):
    with RasterSource(path, asked) as source:
        source.warn()
        return source.meaning.kind


def patches(*values, side=8, dtype="uint8"):
    chosen = np.random.default_rng(0).choice(values, (8, 8))
    return np.kron(chosen, np.ones((side, side))).astype(dtype)[None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"compress": "LZW"}, "label"),
        ({"compress": "LERC"}, "label"),
        ({"compress": "LERC_DEFLATE"}, "label"),
        ({"compress": "LERC_ZSTD"}, "label"),
        ({"compress": "LERC", "max_z_error": 2}, "gray"),
        ({"compress": "LERC_ZSTD", "max_z_error": 2}, "gray"),
        ({"compress": "LERC_DEFLATE", "max_z_error": 0.5}, "gray"),
        ({"driver": "JP2OpenJPEG", "reversible": "YES", "quality": 100}, "label"),
        ({"driver": "JP2OpenJPEG", "quality": 20}, "gray"),
        ({"compress": "JPEG"}, "gray"),
    ],
)
def test_codes_survive_what_loses_nothing(tmp_path, options, expected):
    path = tmp_path / ("a.jp2" if "driver" in options else "a.tif")
    write_raster(path, patches(0, 10, 20, 30), transform=NORTH_UP, crs="EPSG:32633", **options)
    assert kind(path) == expected


@pytest.mark.parametrize(("error", "expected"), [(0, "label"), (3, "color")])
def test_a_palette_on_a_map_is_codes_unless_lerc_changed_it(tmp_path, error, expected):
    path = write_raster(
        tmp_path / "a.tif", patches(0, 10, 20, 30), transform=NORTH_UP, colormap=COVER,
        compress="LERC", max_z_error=error,
    )  # fmt: skip
    assert kind(path) == expected


def with_tables(path, colors, *, place=True):
    """Make a VRT of two bands, of which those called Palette have a color table."""
    values = np.concatenate([patches(0, 10, 20, 30), patches(0, 10, 20)])
    place = {"transform": NORTH_UP, "crs": "EPSG:32633"} if place else {}
    write_raster(path.with_suffix(".tif"), values, **place)
    rasterio.shutil.copy(path.with_suffix(".tif"), path, driver="VRT")
    root = ElementTree.parse(path).getroot()
    for band, color in zip(root.findall("VRTRasterBand"), colors, strict=True):
        for old in band.findall("ColorInterp"):
            band.remove(old)
        ElementTree.SubElement(band, "ColorInterp").text = color
        table = ElementTree.SubElement(band, "ColorTable") if color == "Palette" else ()
        for level in range(31) if color == "Palette" else ():
            ElementTree.SubElement(table, "Entry", c1=str(level), c2="0", c3="9", c4="255")
    ElementTree.ElementTree(root).write(path)
    return path


@pytest.mark.parametrize(("place", "cog"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize(
    ("colors", "kind", "codes"),
    [
        (("Gray", "Palette"), "gray", (1,)),
        (("Palette", "Gray"), "gray", (0,)),
        (("Palette", "Palette"), "label", ()),
    ],
)
def test_color_tables_of_some_bands_make_those_codes(
    tmp_path, colors, kind, codes, place, cog, caplog
):
    path = with_tables(tmp_path / "a.vrt", colors, place=place)
    with RasterSource(path, "auto") as source:
        assert (source.meaning.kind, source.meaning.bands) == (kind, codes)
        assert source.shape[0] == 2
        stored = source.dataset.read()
        first = source.dataset.colormap(1) if colors[0] == "Palette" else None
        assert np.array_equal(source.read().pixels, stored)
    reader, writer = RasterReader("auto"), RasterWriter(cog=cog)
    pixels, meta = enlarged(*reader.get_data(reader.read(path)), 2)
    writer.set_data_array(pixels)
    writer.set_metadata(meta)
    assert output_suffix(path) == ".tif"
    writer.write(tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as result:
        assert np.array_equal(result.read()[:, ::2, ::2], stored)
        assert ColorInterp.alpha not in result.colorinterp
        assert first is None or result.colormap(1) == first
    assert ("color tables of bands behind the first" in caplog.text) == (colors[1] == "Palette")


def test_bands_called_palettes_without_a_table_are_codes(tmp_path):
    path = with_tables(tmp_path / "a.vrt", ("Palette", "Palette"))
    root = ElementTree.parse(path).getroot()
    for band in root.findall("VRTRasterBand"):
        band.remove(band.find("ColorTable"))
    ElementTree.ElementTree(root).write(path)
    reader, writer = RasterReader("auto"), RasterWriter()
    pixels, meta = enlarged(*reader.get_data(reader.read(path)), 2)
    writer.set_data_array(pixels)
    writer.set_metadata(meta)
    writer.write(tmp_path / "b.tif")
    with opened(path) as src, opened(tmp_path / "b.tif") as result:
        assert np.array_equal(result.read()[:, ::2, ::2], src.read())


@pytest.mark.parametrize("nodata", [None, -9999, math.nan])
def test_classes_in_floats_are_those_in_integers(tmp_path, nodata):
    whole = patches(1, 2, 5, 9)
    floats = whole.astype(np.float32)
    if nodata is not None:
        floats[:, :8, :8] = nodata
    path = write_raster(tmp_path / "a.tif", floats, transform=NORTH_UP, nodata=nodata)
    twin = write_raster(tmp_path / "b.tif", whole, transform=NORTH_UP)
    assert kind(path) == kind(twin) == "label"
    floats[:, 20:22] += np.linspace(0, 0.5, floats.shape[2])
    path = write_raster(tmp_path / "c.tif", floats, transform=NORTH_UP, nodata=nodata)
    assert kind(path) == "gray"


def test_whole_floats_that_vary_like_heights_are_no_classes(tmp_path):
    heights = np.rint(np.hypot(*np.mgrid[0:64, 0:64])).astype(np.float32)[None]
    assert kind(write_raster(tmp_path / "a.tif", heights, transform=NORTH_UP)) == "gray"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("more", [(), (0, 255)])
def test_the_eight_directions_of_flow_are_codes(tmp_path, dtype, more):
    ways = [2**n for n in range(8)]
    array = np.random.default_rng(0).choice([*ways, *more], (1, 40, 40)).astype(dtype)
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP)
    assert kind(path) == "label"
    array[array == 64] = 32  # noise in seven levels, whatever it is, is no flow
    assert kind(write_raster(tmp_path / "b.tif", array, transform=NORTH_UP)) == "gray"
    array[:] = np.random.default_rng(0).integers(1, 9, array.shape)
    assert kind(write_raster(tmp_path / "flow_dir.tif", array, transform=NORTH_UP)) == "label"


@pytest.mark.parametrize(
    ("name", "array", "nodata"),
    [
        ("dem_aspect.tif", ASPECT.astype(np.float32), None),
        ("dem_aspect.tif", np.where(ASPECT < 300, ASPECT, -9999).astype(np.int16), -9999),
        ("wind_direction.tif", np.rint(ASPECT).astype(np.int16), None),
        ("flow_dir.tif", np.radians(ASPECT).astype(np.float32), None),
        ("t.geo.diff_pha.tif", np.radians(ASPECT).astype(np.float32), None),
        ("hrrr.wdir10m.tif", ASPECT.astype(np.float32), None),
        ("LC08_VAA.tif", np.rint(ASPECT * 100).astype(np.uint16), None),
    ],
)
def test_directions_all_around_are_phases(tmp_path, name, array, nodata):
    path = write_raster(tmp_path / name, array, transform=NORTH_UP, nodata=nodata)
    if nodata is not None:
        array[0, 0, 0] = 359
        path = write_raster(tmp_path / name, array, transform=NORTH_UP, nodata=nodata)
    with RasterSource(path, "auto") as source:
        assert source.meaning.kind == "phase"
        turn = {"flow_dir": 2 * math.pi, "t": 2 * math.pi, "LC08_VAA": 36000}
        assert source.turn == pytest.approx((0, turn.get(name.partition(".")[0], 360)))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("HLS.L30.T10SEG.2021001T184509.v2.0.Fmask.tif", "uint8"),
        ("MOD09GA.A2020001.h10v05.006.state_1km.tif", "uint16"),
    ],
)
def test_every_word_of_a_name_with_dots_counts(tmp_path, name, dtype):
    flags = np.random.default_rng(0).choice([64, 66, 130, 224], (1, 40, 40)).astype(dtype)
    assert kind(write_raster(tmp_path / name, flags, transform=NORTH_UP)) == "bits"


def test_the_words_of_cf_name_a_direction(tmp_path, caplog):
    path = write_raster(tmp_path / "a.tif", ASPECT.astype("f4"), transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(1, NETCDF_VARNAME="wd", standard_name="wind_from_direction")
    assert kind(path) == "phase"
    flat = (ASPECT / 360 * 255).astype("f4")
    both = np.concatenate([pixels(ASPECT.shape, "float32"), flat])
    write_raster(path, both, transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(2, long_name="wind from direction")
    with caplog.at_level(logging.WARNING):
        assert kind(path) == "gray"
    assert "band 2 looks like directions" in caplog.text


@pytest.mark.parametrize(
    "name",
    ["nadir.tif", "aspect_ratio.tif", "directory.tif", "redirection.tif", "solar_dir.tif"],
)
def test_other_words_are_no_directions(tmp_path, name, caplog):
    around = np.linspace(0, 360, 48 * 48, dtype=np.float32).reshape(1, 48, 48)
    assert kind(write_raster(tmp_path / name, around, transform=NORTH_UP)) == "gray"
    assert not caplog.text


def test_directions_that_are_enlarged_as_amounts_are_announced(tmp_path, caplog):
    flat = (ASPECT / 360 * 255).astype(np.float32)
    path = write_raster(tmp_path / "aspect.tif", flat, transform=NORTH_UP)
    both = write_raster(
        tmp_path / "terrain.tif", np.concatenate([pixels(ASPECT.shape, "float32"), flat]),
        transform=NORTH_UP, descriptions=("slope", "aspect"),
    )  # fmt: skip
    for file, band in ((path, 1), (both, 2)):
        with caplog.at_level(logging.WARNING):
            assert kind(file) == "gray"
        assert f"{file}: band {band} looks like directions" in caplog.text
        assert f"gdal_translate -b {band}" in caplog.text
        caplog.clear()
        kind(file, "intensity")
        assert not caplog.text


@pytest.mark.parametrize(("side", "expected"), [(8, "label"), (1, "color")])
def test_few_colors_in_patches_are_classes(tmp_path, side, expected):
    colors = np.random.default_rng(0).integers(0, 256, (3, 5), dtype=np.uint8)
    image = colors[:, patches(*range(5), side=side)[0]]
    assert kind(write_raster(tmp_path / "a.png", image)) == expected
    assert kind(write_raster(tmp_path / "b.tif", image, photometric="RGB")) == expected


@pytest.mark.parametrize("name", ["cells.tif", "cells.png", "floats.tif", "colors.png"])
def test_numbers_of_cells_are_labels_without_a_place(tmp_path, name, caplog):
    """A microscope's instances are more than 32; on a map blocks may be a coarser grid's."""
    rng = np.random.default_rng(0)
    ids = np.zeros((1, 120, 120), np.uint16)
    for number, (row, column) in enumerate(rng.integers(0, 110, (60, 2)), 1):
        ids[:, row : row + 9, column : column + 9] = number
    values = ids.astype(np.float32) if "floats" in name else ids
    if "colors" in name:
        values = rng.integers(0, 256, (3, 61), dtype=np.uint8)[:, ids[0]]
    assert kind(write_raster(tmp_path / name, values)) == "label"
    with caplog.at_level(logging.WARNING):
        on_map = write_raster(tmp_path / "map.tif", values, transform=NORTH_UP)
        assert kind(on_map) in ("gray", "color")
    assert ("--kind label" in caplog.text) == ("colors" not in name)


def test_values_that_jump_by_a_turn_are_phases_whatever_they_are_called(tmp_path, caplog):
    path = write_raster(tmp_path / "a.tif", ASPECT.astype("f4"), transform=NORTH_UP)
    assert kind(path) == "phase"
    assert kind(path, "intensity") == "gray"
    hours = write_raster(tmp_path / "b.tif", (ASPECT / 15).astype("f4"), transform=NORTH_UP)
    both = np.concatenate([pixels(ASPECT.shape, "float32"), ASPECT.astype("f4") / 15])
    write_raster(tmp_path / "c.tif", both, transform=NORTH_UP)
    with caplog.at_level(logging.WARNING):
        assert {kind(hours), kind(tmp_path / "c.tif")} == {"gray"}
    assert "b.tif: band 1: its values begin anew after about 24" in caplog.text
    assert "c.tif: band 2: its values begin anew after about 24" in caplog.text
    caplog.clear()
    kind(hours, "intensity")
    assert not caplog.text


def test_a_photo_is_no_part_of_a_complex_image(tmp_path):
    name = "part-real_estate.tif"
    photo = write_raster(tmp_path / name, pixels((3, 20, 20)), photometric="rgb")
    assert kind(photo) in ("gray", "color")
    (tmp_path / "mr").mkdir()
    with pytest.raises(BadImageError, match="complex"):
        kind(write_raster(tmp_path / "mr" / name, pixels((1, 20, 20))))


def test_bands_are_not_read_once_one_has_said_no(tmp_path, monkeypatch):
    path = write_raster(tmp_path / "landcover.tif", pixels((4, 80, 80)), transform=NORTH_UP)
    read: list[int] = []
    counted = meaning._counted

    def count(dataset, band, *rest, **more):
        read.append(band)
        return counted(dataset, band, *rest, **more)

    monkeypatch.setattr(meaning, "_counted", count)
    kind(path)
    assert set(read) == {1}


def test_bands_of_codes_in_a_file_whose_name_says_codes_stay_such(tmp_path):
    confidence = np.random.default_rng(0).integers(0, 100, (1, 64, 64), dtype=np.uint8)
    stack = np.concatenate([patches(0, 1), confidence, patches(0, 2, 3)])
    path = write_raster(
        tmp_path / "x_3B_udm2.tif", stack.astype("uint16"), transform=NORTH_UP,
        descriptions=("clear", "confidence", "unusable"),
    )  # fmt: skip
    with RasterSource(path, "auto") as source:
        assert (source.meaning.kind, source.meaning.bands) == ("gray", (0, 2))


def test_a_raster_of_nothing_but_alpha_says_nothing(tmp_path):
    path = write_raster(
        tmp_path / "scl.tif", pixels((1, 20, 20)), transform=NORTH_UP,
        colorinterp=(ColorInterp.alpha,),
    )  # fmt: skip
    with rasterio.open(path) as dataset:
        assert raster_meaning(path, dataset) is None


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_numbers_of_many_regions_are_announced(tmp_path, dtype, caplog):
    rng = np.random.default_rng(0)
    rows, columns = np.indices((60, 80))
    seeds = rng.random((100, 2)) * (60, 80)
    distances = [np.hypot(rows - row, columns - column) for row, column in seeds]
    basins = rng.permutation(5000)[:100][np.argmin(distances, axis=0)]
    place = {"transform": NORTH_UP, "crs": "EPSG:32633"}
    path = write_raster(tmp_path / "a.tif", basins[None].astype(dtype), **place)
    assert RasterReader("auto").read(path).meaning.kind == "gray"
    assert f"{path}: its 100 whole values may be labels" in caplog.text
    caplog.clear()
    for kind in ("intensity", "label"):
        RasterReader(kind).read(path)
    hills = 900 + 40 * np.sin(rows / 9) * np.cos(columns / 11) + rng.random((60, 80))
    RasterReader("auto").read(write_raster(tmp_path / "b.tif", hills[None].astype(dtype), **place))
    levels = hills.astype(dtype) // 5
    RasterReader("auto").read(write_raster(tmp_path / "c.tif", levels[None], **place))
    assert not caplog.text


def test_classes_beside_bands_without_names_are_announced(tmp_path, caplog):
    classes = np.kron(np.random.default_rng(0).integers(0, 9, (6, 8)), np.ones((10, 10)))
    bands = np.stack([*pixels((3, 60, 80), "uint16"), classes.astype(np.uint16)])
    place = {"transform": NORTH_UP, "crs": "EPSG:32633", "photometric": "MINISBLACK"}
    path = write_raster(tmp_path / "a.tif", bands, **place)
    RasterReader("auto").read(path)
    (line,) = caplog.messages
    assert line.startswith(f"{path}: band 4 looks like classes (9 whole values in patches)")
    caplog.clear()
    RasterReader("intensity").read(path)
    named = write_raster(tmp_path / "b.tif", bands, descriptions=("a", "b", "c", "SCL"), **place)
    assert RasterReader("auto").read(named).meaning.bands == (3,)
    assert not caplog.text


@pytest.mark.parametrize("count", [2, 3, 4])
def test_bands_that_are_all_classes_are_codes(tmp_path, count, caplog):
    """Three bands of bytes are colors of a GeoTIFF by default, whatever they hold."""
    years = [np.roll(patches(*range(6))[0], 5 * i, axis=i % 2) for i in range(count)]
    options = {"transform": NORTH_UP, "crs": "EPSG:32633"}
    with caplog.at_level(logging.WARNING, "monai_sr"):
        assert kind(write_raster(tmp_path / "a.tif", np.array(years), **options)) == "label"
        years[-1] = np.full_like(years[-1], 255)
        assert kind(write_raster(tmp_path / "b.tif", np.array(years), **options)) == "label"
    assert caplog.text == ""
    years[-1] = pixels((1, 64, 64), "uint8")[0]
    with caplog.at_level(logging.WARNING, "monai_sr"):
        path = write_raster(tmp_path / "c.tif", np.array(years), **options)
        assert kind(path) == ("gray" if count == 2 else "color")
    assert "c.tif: band 1 looks like classes" in caplog.text


@pytest.mark.parametrize(
    ("count", "expected"), [(1, ".png"), (2, ".tif"), (3, ".png"), (4, ".tif")]
)
def test_a_band_that_nothing_calls_alpha_does_not_become_it(tmp_path, count, expected):
    source = write_raster(tmp_path / "a.tif", pixels((count, 9, 9)))
    rasterio.shutil.copy(source, tmp_path / "b.vrt", driver="VRT")
    root = ElementTree.parse(tmp_path / "b.vrt").getroot()
    for band in root.findall("VRTRasterBand"):
        for color in band.findall("ColorInterp"):
            band.remove(color)
    ElementTree.ElementTree(root).write(tmp_path / "b.vrt")
    assert output_suffix(tmp_path / "b.vrt") == expected
