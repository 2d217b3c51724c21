"""Photos, animations and pages are read upright and alone, or refused in one line."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image, ImageOps
from rasterio.errors import NotGeoreferencedWarning

from monai_sr.core.errors import BadImageError
from monai_sr.formats.raster.reader import RasterReader
from tests.image_factory import NORTH_UP, pixels, write_raster


def load(path):
    reader = RasterReader()
    return reader.get_data(reader.read(path))


def photos(count):
    return [Image.fromarray(pixels((16, 24, 3), seed=seed)) for seed in range(count)]


@pytest.mark.parametrize("frames", [2, 5])
@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_animation_is_refused(tmp_path, name, frames):
    first, *others = photos(frames)
    first.save(tmp_path / name, save_all=True, append_images=others)
    with pytest.raises(BadImageError, match=rf"a\.\w+: must hold one image, got {frames} frames; "):
        load(tmp_path / name)


def test_animation_whose_later_frames_hold_what_changes_is_refused(tmp_path):
    first = photos(1)[0].quantize(16)
    second = first.copy()
    second.paste(3, (4, 4, 9, 9))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    with pytest.raises(BadImageError, match="must hold one image, got 2 frames; save one frame"):
        load(tmp_path / "a.gif")


def test_first_and_only_frame_of_a_gif_is_read(tmp_path):
    indexed = photos(1)[0].quantize(16)
    indexed.save(tmp_path / "a.gif", transparency=3)
    values, _ = load(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert (values.transpose(2, 1, 0) == np.asarray(image.convert("RGBA"))).all()


def test_pages_of_a_tiff_are_refused(tmp_path):
    first, *others = photos(3)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with pytest.raises(BadImageError, match=r"a\.tif: must hold one image, got 3 pages; extract"):
        load(tmp_path / "a.tif")


def test_thousands_of_bands_are_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((4097, 1, 1)))
    with pytest.raises(BadImageError, match=r"must hold one image, got 4097 bands; .*-b"):
        load(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_lab_is_refused_whose_white_gdal_makes_yellow_or_whose_ends_meet(tmp_path, dtype):
    values = pixels((8, 9, 3), dtype)
    tifffile.imwrite(tmp_path / "lab.tif", values, photometric="cielab")
    with pytest.raises(BadImageError, match=r"lab\.tif: colors must be RGB .* convert it to RGB"):
        load(tmp_path / "lab.tif")
    tifffile.imwrite(tmp_path / "rgb.tif", values, photometric="rgb")
    np.testing.assert_array_equal(load(tmp_path / "rgb.tif")[0], values.transpose(2, 1, 0))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_alpha_that_gdal_adds_to_colors_it_converts_is_left_out(tmp_path):
    Image.fromarray(pixels((8, 9, 4)), "CMYK").save(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as src:
        assert src.count == 4
        expected = src.read([1, 2, 3])
    np.testing.assert_array_equal(load(tmp_path / "a.tif")[0], expected.transpose(0, 2, 1))


def test_overviews_and_masks_are_no_pages(tmp_path):
    array = pixels((3, 64, 70))
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, tiled=True)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(pixels((64, 70)) > 100)
    with rasterio.open(path, "r+") as dst:
        dst.build_overviews([2, 4])
    values, _ = load(path)
    assert (values.transpose(0, 2, 1) == array).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.webp"])
def test_orientation_of_every_photo_format_is_followed(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if name.endswith("webp") else {}
    photos(1)[0].save(tmp_path / name, exif=exif, **options)
    values, meta = load(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (values.transpose(2, 1, 0) == upright).all()
    assert tuple(meta["spatial_shape"]) == upright.shape[1::-1]


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_orientation_is_found_in_tiffs_that_photo_software_cannot_open(tmp_path, dtype, big, order):
    array = pixels((5, 4), dtype)
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", array, bigtiff=big, byteorder=order, extratags=[tag])
    values, _ = load(tmp_path / "a.tif")
    assert (values[0] == array[::-1]).all()


def test_orientation_of_a_georeferenced_tiff_is_that_of_its_geotransform(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    photos(1)[0].save(tmp_path / "a.tif", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "a.tif", "r+") as dst:
            dst.transform = NORTH_UP
    values, _ = load(tmp_path / "a.tif")
    assert values.shape == (3, 24, 16)


@pytest.mark.parametrize(("name", "mode"), [("a.ppm", "RGB"), ("a.pgm", "L"), ("a.pnm", "RGB")])
def test_portable_maps_have_no_geotransform(tmp_path, name, mode):
    photo = photos(1)[0].convert(mode)
    stream = io.BytesIO()
    photo.save(stream, "PPM")
    (tmp_path / name).write_bytes(stream.getvalue())
    values, meta = load(tmp_path / name)
    assert (values.transpose(2, 1, 0).squeeze() == np.asarray(photo)).all()
    assert (meta["affine"] == np.eye(4)).all()


def test_transparent_color_becomes_alpha(tmp_path):
    array = np.array([[[255, 0, 0], [1, 2, 3]], [[1, 5, 3], [1, 2, 3]]], dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png", transparency=(1, 2, 3))
    values, meta = load(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (values.transpose(2, 1, 0) == np.asarray(image.convert("RGBA"))).all()
    assert np.isnan(meta["sr_nodata"])
    assert meta["sr_rgb"] == 1
    assert meta["sr_valid"][0].T.tolist() == [[1, 0], [1, 0]]


def test_all_valid_is_an_empty_array(tmp_path):
    _, meta = load(write_raster(tmp_path / "a.tif", pixels((3, 5, 7))))
    assert meta["sr_valid"].shape == (0,)
    assert meta["sr_valid"].dtype == np.uint8


@pytest.mark.parametrize("bands", [2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_color_under_zero_alpha_is_invalid_and_alpha_itself_is_not(tmp_path, bands, dtype):
    array = pixels((bands, 5, 7), dtype)
    array[-1, :, :4] = 0
    _, meta = load(write_raster(tmp_path / "a.png", array))
    assert meta["sr_valid"].shape == (bands, 7, 5)
    assert (meta["sr_valid"][:-1] == (array[-1].T != 0)).all()
    assert meta["sr_valid"][-1].all()


def test_image_that_is_transparent_everywhere_keeps_its_color(tmp_path):
    array = pixels((4, 5, 7))
    array[3] = 0
    _, meta = load(write_raster(tmp_path / "a.png", array))
    assert meta["sr_valid"].size == 0


@pytest.mark.parametrize("internal", [True, False])
def test_pixels_outside_a_mask_are_invalid_and_may_be_nan(tmp_path, internal):
    array, mask = pixels((3, 5, 7), "float32"), pixels((5, 7)) > 100
    array[:, ~mask] = np.nan
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dst:
        dst.write_mask(mask)
    values, meta = load(path)
    assert (meta["sr_valid"] == mask.T).all()
    assert meta["sr_valid"].shape == values.shape


def test_mask_without_a_valid_pixel_is_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((3, 5, 7)), transform=NORTH_UP)
    with rasterio.open(path, "r+") as dst:
        dst.write_mask(np.zeros((5, 7), dtype=bool))
    with pytest.raises(BadImageError, match=r"must hold valid pixels, got only masked ones"):
        load(path)


def test_mask_is_turned_with_its_photo(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    array = pixels((16, 24, 4))
    array[:5, :, 3] = 0
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    values, meta = load(tmp_path / "a.png")
    assert (meta["sr_valid"][0] == (values[3] != 0)).all()
