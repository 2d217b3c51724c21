"""A window of a raster is the same part of the whole, whatever hides pixels or colors them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from monai_sr.core.errors import BadImageError
from monai_sr.formats.raster.bands import premultiplied, straight
from monai_sr.formats.raster.glance import raster_facts
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import ROTATED, pixels, write_raster, write_vrt

WINDOWS = [Window(0, 0, 9, 8), Window(2, 3, 4, 5), Window(8, 7, 1, 1), Window(0, 0, 3, 8)]


def palette(path, colors, nodata=None):
    array = np.arange(72, dtype=np.uint8).reshape(1, 8, 9) % 4
    return write_raster(path, array, colormap=colors, photometric="palette", nodata=nodata)


def grays(level):
    return (level, level, level, 255)


def hidden_rows(dtype="uint8"):
    array = pixels((4, 8, 9), dtype)
    array[3, :4] = 0
    return array


def masked(path):
    write_raster(path, pixels((2, 8, 9), "uint16"), transform=ROTATED)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(pixels((8, 9)) > 100)
    return path


def transparent_color(path):
    array = pixels((8, 9, 3))
    array[:3] = (1, 2, 3)
    Image.fromarray(array).save(path, transparency=(1, 2, 3))
    return path


def premultiplied_file(path, dtype="uint8"):
    colors = premultiplied(pixels((4, 8, 9), dtype), 3, 8 * np.dtype(dtype).itemsize)
    options = {"photometric": "RGB", "alpha": "PREMULTIPLIED", "transform": ROTATED}
    return write_raster(path, colors, **options)


def own_masks(path):
    band = write_raster(path.with_name("own.tif"), pixels((1, 8, 9)), transform=ROTATED)
    mask = write_raster(path.with_name("m.tif"), 255 * (pixels((1, 8, 9), seed=2) > 99))
    return write_vrt(path, [(band, "Byte", None, mask), (band, "Byte", None, None)], (8, 9))


def own_nodata(path, dtype="int16", kind="Int16", nodata=(3.0, -5.0, None)):
    array = pixels((3, 8, 9), dtype)
    array[:, 2, 3:6], array[:, 0, 0] = 3, -5
    files = [
        write_raster(path.with_name(f"{i}{path.stem}.tif"), band[None], transform=ROTATED)
        for i, band in enumerate(array)
    ]
    bands = [(file, kind, value, None) for file, value in zip(files, nodata, strict=True)]
    return write_vrt(path, bands, (8, 9), transform=ROTATED)


def nan_file(path):
    array = pixels((3, 8, 9), "float32")
    array[1, 2, 3:6] = np.nan
    return write_raster(path, array, transform=ROTATED)


COLORS = {i: (60 * i, 20 * i, 255 - i, 255) for i in range(4)}
FILES = {
    "gray palette": lambda d: palette(d / "a.tif", {i: grays(60 * i) for i in range(4)}),
    "palette": lambda d: palette(d / "a.tif", COLORS),
    "palette, nodata": lambda d: palette(d / "a.tif", COLORS, 3),
    "alpha": lambda d: write_raster(d / "a.png", hidden_rows()),
    "alpha of 16 bits": lambda d: write_raster(d / "a.png", hidden_rows("uint16")),
    "premultiplied": lambda d: premultiplied_file(d / "a.tif"),
    "mask": lambda d: masked(d / "a.tif"),
    "transparent color": lambda d: transparent_color(d / "a.png"),
    "masks of bands": lambda d: own_masks(d / "a.vrt"),
    "nodata of bands": lambda d: own_nodata(d / "a.vrt"),
    "nodata of float bands": lambda d: own_nodata(d / "a.vrt", "float32", "Float32"),
    "NaN": lambda d: nan_file(d / "a.tif"),
    "rotated": lambda d: write_raster(d / "a.tif", pixels((2, 8, 9), "int16"), transform=ROTATED),
}


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("window", WINDOWS)
def test_window_is_the_same_part_of_the_whole(tmp_path, name, window):
    path = FILES[name](tmp_path)
    whole = RasterReader().read(path)
    with RasterSource(path) as source:
        part = source.read(window)
        assert source.is_upright
        assert source.shape == whole.pixels.shape
        assert source.dtype == whole.pixels.dtype
        assert (source.nodata, source.alpha) == (whole.nodata, whole.alpha)
    rows, columns = window.toslices()
    assert np.array_equal(part.pixels, whole.pixels[:, rows, columns], equal_nan=True)
    for one, all_of_it in zip(
        (part.mask, part.own, part.valid()), (whole.mask, whole.own, whole.valid()), strict=True
    ):
        wanted = True if all_of_it is None else all_of_it[..., rows, columns]
        assert np.all(wanted == (True if one is None else one))
    assert (part.bits, part.is_rgb, part.fill) == pytest.approx(
        (whole.bits, whole.is_rgb, whole.fill), nan_ok=True
    )
    corner = [window.col_off, window.row_off, 0, 1]
    np.testing.assert_allclose(part.affine[:, 3], whole.affine @ corner)


def test_a_transparent_window_of_a_visible_image_hides_its_color(tmp_path):
    path = write_raster(tmp_path / "a.tif", hidden_rows(), transform=ROTATED, alpha="YES",
                        photometric="RGB")  # fmt: skip
    with RasterSource(path) as source:
        valid = source.read(Window(0, 0, 9, 4)).valid()
        assert source.has_smooth_alpha
    assert not valid[:3].any()
    assert valid[3].all()


def test_channels_of_a_palette_are_those_of_its_whole_table(tmp_path):
    values = RasterReader().read(palette(tmp_path / "a.tif", {**COLORS, 9: (1, 2, 3, 255)})).pixels
    assert values[:, 0, :4].T.tolist() == [list(COLORS[i][:3]) for i in range(4)]
    # Index 3 is used nowhere here, but another window may show it.
    with RasterSource(palette(tmp_path / "b.tif", COLORS, 3)) as source:
        assert source.read(Window(0, 0, 2, 1)).pixels.shape == (4, 1, 2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_premultiplied_colors_come_straight_and_go_back_exactly(tmp_path, dtype):
    original, bits = pixels((4, 8, 9), dtype), 8 * np.dtype(dtype).itemsize
    if dtype == "float32":
        original = np.abs(original) / np.abs(original).max()
    given = premultiplied(original, 3, bits)
    if dtype != "float32":
        assert (premultiplied(straight(given, 3, bits), 3, bits) == given).all()
    else:
        np.testing.assert_allclose(straight(given, 3, bits), original, rtol=1e-6)
    if dtype == "uint8":
        image = RasterReader().read(premultiplied_file(tmp_path / "a.tif"))
        shown = image.pixels[3] > 100
        assert np.abs(image.pixels - pixels((4, 8, 9)).astype(int))[:, shown].max() <= 2


def test_a_turned_photo_has_no_windows(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels((16, 24, 3))).save(tmp_path / "a.png", exif=exif)
    with RasterSource(tmp_path / "a.png") as source:
        assert source.orientation == 6
        assert source.shape == (3, 24, 16)
        with pytest.raises(ValueError, match="turned photo"):
            source.read(Window(0, 0, 2, 2))


def test_colors_of_bands_are_told(tmp_path):
    array = pixels((5, 8, 9), "uint16")
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, *[ColorInterp.undefined] * 2]
    path = write_raster(tmp_path / "a.tif", array, transform=ROTATED, colorinterp=colors)
    with RasterSource(path) as source:
        assert source.is_rgb
        assert not source.has_mask
        assert source.bits == 16


def test_bands_of_several_types_are_read_exactly_or_refused(tmp_path):
    wide = pixels((1, 8, 9), "int64")
    files = [
        write_raster(tmp_path / "wide.tif", wide, transform=ROTATED),
        write_raster(tmp_path / "float.tif", pixels((1, 8, 9), "float32"), transform=ROTATED),
    ]
    bands = [(files[0], "Int64", None, None), (files[1], "Float32", None, None)]
    path = write_vrt(tmp_path / "a.vrt", bands, (8, 9), transform=ROTATED)
    assert np.abs(wide).max() < 2**53
    image = RasterReader().read(path)
    assert image.pixels.dtype == np.float64
    assert (image.pixels[0] == wide[0]).all()
    wide[0, 1, 1] = 2**53 + 1
    write_raster(tmp_path / "wide.tif", wide, transform=ROTATED)
    with pytest.raises(BadImageError, match=r"beside floats .* convert to int32"):
        RasterReader().read(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_camera_model_that_cannot_be_read_is_no_place(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((1, 8, 9)))
    text = '<PAMDataset><Metadata domain="RPC"><MDI key="LINE_OFF">x</MDI></Metadata></PAMDataset>'
    path.with_name("a.tif.aux.xml").write_text(text)
    assert not raster_facts(path).has_place
    assert RasterReader("auto").read(path).pixels.shape == (1, 8, 9)


@pytest.mark.parametrize("pixel", ["nodata", 7])
@pytest.mark.parametrize(
    ("dtype", "nodata"), [("int64", -(2**63)), ("int64", 2**63 - 1), ("uint64", 2**64 - 1)]
)
def test_nodata_that_no_result_can_declare_is_refused(tmp_path, dtype, nodata, pixel):
    values = np.full((1, 8, 9), nodata if pixel == "nodata" else pixel, dtype)
    path = write_raster(tmp_path / "a.tif", values, transform=ROTATED)
    text = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>{}</NoDataValue></PAMRasterBand>"
    path.with_name("a.tif.aux.xml").write_text(text.format(nodata) + "</PAMDataset>")
    with pytest.raises(BadImageError, match=rf"within \+-2\^53, got {nodata}; .*-9999"):
        RasterReader().read(path)


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize("low", [0, 1])
def test_codes_that_one_band_hides_are_hidden_in_the_result(tmp_path, has_masks, low):
    codes = np.arange(72, dtype=np.uint8).reshape(2, 4, 9) % 5 + low
    codes[0, 0], codes[1, 0] = 0, 200
    bands = []
    for number, band in enumerate(codes):
        file = write_raster(tmp_path / f"{number}.tif", band[None])
        mask = write_raster(tmp_path / f"m{number}.tif", (np.mgrid[:4, :9][:1] > 0) * np.uint8(255))
        bands.append(
            (file, "Byte", None if has_masks else (0, 200)[number], mask if has_masks else None)
        )
    path = write_vrt(tmp_path / "a.vrt", bands, (4, 9), transform=ROTATED)
    with RasterSource(path, "label") as source:
        if not low:
            with pytest.raises(BadImageError, match="hide pixels alike, or not have 0"):
                source.read()
            return
        image = source.read()
    assert image.fill == 0
    assert not image.pixels[:, 0].any()
    assert np.array_equal(image.pixels[:, 1:], codes[:, 1:])
