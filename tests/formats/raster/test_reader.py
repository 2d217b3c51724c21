"""Rasters are read as stored, upright, with geometry, or refused in one line."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import LoadImage, LoadImaged
from PIL import Image, ImageOps
from rasterio.transform import Affine
from rasterio.windows import Window

from monai_sr.core.errors import BadImageError, user_message
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import NORTH_UP, ROTATED, pixels, write_raster, write_vrt


def load(path):
    reader = RasterReader()
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "float32",
        "float64",
        "int64",
        "uint64",
    ],
)
@pytest.mark.parametrize("bands", [1, 2, 5])
def test_stored_values_are_exact_for_every_dtype(tmp_path, dtype, bands):
    array = pixels((bands, 5, 7), dtype)
    values, meta = load(write_raster(tmp_path / "a.tif", array))
    assert values.shape == (bands, 7, 5)
    assert (values.transpose(0, 2, 1) == array).all()
    assert meta["sr_dtype"] == dtype
    wide = dtype in ("uint32", "int32", "int64", "uint64", "float64")
    assert values.dtype == (np.float64 if wide else np.float32)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_stays_sixteen_bit(tmp_path, name):
    array = pixels((1, 5, 7), "uint16")
    values, meta = load(write_raster(tmp_path / name, array))
    assert (array[0] == values[0].T).all()
    assert meta["sr_storable"].tolist() == [0, 65535]
    assert np.isnan(meta["sr_declared_range"]).all()


def test_eight_bit_declares_its_range(tmp_path):
    _, meta = load(write_raster(tmp_path / "a.png"))
    assert meta["sr_declared_range"].tolist() == [0, 255]
    _, twelve = load(write_raster(tmp_path / "b.tif", pixels(dtype="uint16") >> 4, nbits=12))
    assert twelve["sr_storable"].tolist() == [0, 4095]


def test_a_list_of_one_image_is_that_image(tmp_path):
    reader = RasterReader()
    image = reader.read(write_raster(tmp_path / "a.png"))
    assert np.array_equal(reader.get_data([image])[0], reader.get_data(image)[0])


def test_affine_maps_pixel_centers(tmp_path):
    path = write_raster(tmp_path / "a.tif", transform=ROTATED, crs="EPSG:32633")
    _, meta = load(path)
    with rasterio.open(path) as dataset:
        x, y = dataset.xy(3, 2)
    np.testing.assert_allclose(meta["affine"] @ [2, 3, 0, 1], [x, y, 0, 1])


def test_image_without_georeference_has_the_identity(tmp_path):
    _, meta = load(write_raster(tmp_path / "a.png"))
    assert (meta["affine"] == np.eye(4)).all()


def test_a_geotransform_without_inverse_is_reported(tmp_path, caplog):
    write_raster(tmp_path / "a.tif")
    path = write_vrt(tmp_path / "a.vrt", [(tmp_path / "a.tif", "Byte", None, None)], (5, 7),
                     transform=Affine(0, 0, 5, 0, 0, 5))  # fmt: skip
    _, meta = load(path)
    assert (meta["affine"] == np.eye(4)).all()
    assert "a.vrt: geotransform cannot be inverted and is left out" in caplog.text


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(0, "uint8"), (-9999, "int16"), (-3.4e38, "float32"), (7.5, "float64")]
)
def test_nodata_equals_the_pixels_that_hold_it(tmp_path, nodata, dtype):
    array = pixels((1, 5, 7), dtype)
    array[0, 2, 3] = nodata
    values, meta = load(write_raster(tmp_path / "a.tif", array, nodata=nodata))
    assert (values[0] == meta["sr_nodata"])[3, 2]


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize(
    ("nodata", "pixel", "dtype"),
    [
        (-3.40282306074e38, -3.4028234663852886e38, "float32"),  # as Esri writes it
        (-3.402823e38, -3.4028234663852886e38, "float32"),
        (-3.4028235e38, -3.4028234663852886e38, "float64"),
        (-9999, -9999.002, "float32"),
    ],
)
def test_pixels_that_gdal_takes_for_nodata_are_nodata(tmp_path, nodata, pixel, dtype, bands):
    array = pixels((bands, 7, 9), dtype)
    array[0, 2, 3], array[0, 2, 4] = pixel, -9999.1
    path = write_raster(tmp_path / "a.tif", array, nodata=nodata, transform=NORTH_UP)
    with rasterio.open(path) as dataset:
        hidden = dataset.read_masks(1) == 0
    values, meta = load(path)
    assert hidden.sum() == 1
    assert np.array_equal(meta["sr_nodata"] == values[0].T, hidden)


def test_nan_pixels_are_kept_where_nodata_is_nan(tmp_path):
    array = pixels((1, 5, 7), "float32")
    array[0, 0, 0] = np.nan
    values, meta = load(write_raster(tmp_path / "a.tif", array, nodata=np.nan))
    assert np.isnan(values).sum() == 1
    assert np.isnan(meta["sr_nodata"])


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_nan_needs_no_declaration(tmp_path, nodata):
    array = pixels((2, 5, 7), "float32")
    array[0, 0, 3], array[1, 4, 2] = np.nan, -9999.0
    values, meta = load(write_raster(tmp_path / "a.tif", array, nodata=nodata))
    assert np.array_equal(values.transpose(0, 2, 1), array, equal_nan=True)
    assert np.isnan(meta["sr_nodata"]) if nodata is None else meta["sr_nodata"] == nodata


def test_palette_becomes_colors(tmp_path):
    photo = Image.fromarray(pixels((9, 8, 3)))
    indexed = photo.quantize(16)
    for name in ("a.png", "a.gif", "a.bmp", "a.tif"):
        indexed.save(tmp_path / name)
        values, _ = load(tmp_path / name)
        assert (values.T.transpose(0, 1, 2) == np.asarray(indexed.convert("RGB"))).all()


def test_palette_with_transparency_gets_an_alpha_channel(tmp_path):
    array = np.array([[[0, 1, 2], [2, 1, 0]]], dtype=np.uint8)
    colors = {0: (10, 20, 30, 255), 1: (40, 50, 60, 255), 2: (70, 80, 90, 255)}
    path = write_raster(tmp_path / "a.tif", array, colormap=colors, photometric="palette", nodata=2)
    values, meta = load(path)
    assert values.shape == (4, 3, 2)
    assert values[:, 0, 0].tolist() == [10, 20, 30, 255]
    assert values[3, 2, 0] == 0
    assert np.isnan(meta["sr_nodata"])


def test_black_and_white_tiff_becomes_gray(tmp_path):
    bits = pixels((5, 7)) > 100
    Image.fromarray(bits).save(tmp_path / "a.tif")
    values, _ = load(tmp_path / "a.tif")
    assert (values == 255 * bits.T).all()
    assert len(values) == 1


def test_alpha_is_the_last_channel(tmp_path):
    array = pixels((5, 7, 4))
    Image.fromarray(array).save(tmp_path / "a.png")
    values, _ = load(tmp_path / "a.png")
    assert (values.transpose(2, 1, 0) == array).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels((16, 24, 3))).save(
        tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0
    )
    values, meta = load(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        upright = np.asarray(ImageOps.exif_transpose(image)).astype(float)
    assert values.shape[1:] == upright.shape[1::-1] == tuple(meta["spatial_shape"])
    # two JPEG decoders may round differently; without chroma subsampling by no more than this
    assert np.abs(values.transpose(2, 1, 0) - upright).max() <= 3


@pytest.mark.parametrize("name", ["RGB.byte.tif", "rotated.tif", "alpha.tif", "world.rgb.tif"])
def test_real_geotiffs_equal_rasterio(shared_data, name):
    path = shared_data / "geotiff" / name
    values, meta = load(path)
    with rasterio.open(path) as dataset:
        assert (values.transpose(0, 2, 1) == dataset.read()).all()
        x, y = dataset.xy(1, 2)
    np.testing.assert_allclose(meta["affine"][:2] @ [2, 1, 0, 1], [x, y])


def test_unmodified_monai_loads_equal_values_and_geometry(tmp_path):
    array = pixels((4, 5, 7), "uint16")
    path = write_raster(tmp_path / "a.tif", array, crs="EPSG:32633", transform=NORTH_UP)
    image = LoadImage(reader=RasterReader)(path)
    assert isinstance(image, MetaTensor)
    assert (image.numpy().transpose(0, 2, 1) == array).all()
    assert image.affine[0, 3] == 500_015
    named = LoadImage(
        reader="monai_sr.formats.raster.reader.RasterReader", ensure_channel_first=True
    )
    assert named(path).shape == (4, 7, 5)


def test_samples_collate_into_batches(tmp_path):
    files = [{"image": write_raster(tmp_path / f"{name}.png")} for name in "ab"]
    loader = DataLoader(Dataset(files, LoadImaged("image", reader=RasterReader)), batch_size=2)
    batch = next(iter(loader))["image"]
    assert batch.shape == (2, 1, 7, 5)
    assert batch.meta["sr_format"] == ["raster", "raster"]


def complex_integers(path):
    """Write what numpy has no type for, as Sentinel-1 SLC has it."""
    profile = {"driver": "GTiff", "width": 5, "height": 4, "count": 1, "dtype": "complex_int16"}
    with rasterio.open(path, "w", transform=NORTH_UP, **profile) as dataset:
        dataset.write(np.ones((1, 4, 5), np.complex64))
    return path


def broken(tmp_path):
    good = write_raster(tmp_path / "good.tif", pixels((3, 64, 70)))
    nan = pixels((1, 5, 7), "float32")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "folder.tif").mkdir()
    cut = {}
    for suffix in ("png", "jpg", "tif", "bmp"):
        Image.fromarray(pixels((64, 70, 3))).save(tmp_path / f"whole.{suffix}")
        cut[suffix] = tmp_path / f"cut.{suffix}"
        cut[suffix].write_bytes((tmp_path / f"whole.{suffix}").read_bytes()[:-2000])
    return {
        "missing": (tmp_path / "missing.tif", "check the spelling"),
        "empty": (tmp_path / "empty.png", "copy or download it again"),
        "text": (tmp_path / "text.png", "convert it to GeoTIFF or PNG"),
        "folder": (tmp_path / "folder.tif", "name a file in it"),
        "nan": (write_raster(tmp_path / "nan.tif", nan * np.nan), "leave it out"),
        "nodata": (write_raster(tmp_path / "n.tif", pixels() * 0, nodata=0), "leave it out"),
        "complex": (
            write_raster(tmp_path / "c.tif", np.ones((1, 4, 5), np.complex64)),
            "convert them to magnitude",
        ),
        "complex integers": (complex_integers(tmp_path / "ci.tif"), "got complex_int16; convert"),
        "list": ([good, good], "load one at a time"),
        **{f"cut {s}": (p, "copy or download it again") for s, p in cut.items()},
    }


CASES = [
    "missing",
    "empty",
    "text",
    "folder",
    "nan",
    "nodata",
    "complex",
    "complex integers",
    "list",
]


@pytest.mark.parametrize("case", [*CASES, "cut png", "cut jpg", "cut tif", "cut bmp"])
def test_bad_input_is_one_line_with_a_remedy(tmp_path, case):
    path, remedy = broken(tmp_path)[case]
    with pytest.raises(BadImageError, match=remedy) as caught:
        RasterReader().read(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_line_survives_unmodified_load_image(tmp_path):
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(RuntimeError) as caught:
        LoadImage(reader=RasterReader)(tmp_path / "a.png")
    assert "convert it to GeoTIFF" in (user_message(caught.value) or "")


def test_reading_leaves_nothing_beside_the_file(tmp_path):
    path = write_raster(tmp_path / "a.png")
    shutil.copy(path, tmp_path / "b.png")
    load(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("nodata", [None, 0, -np.inf])
def test_infinite_pixels_are_holes_unless_they_are_the_nodata_value(tmp_path, nodata, caplog):
    values = pixels((1, 5, 7), "float32")
    values[0, 1, 1:3] = -np.inf, np.inf
    path = write_raster(tmp_path / "power_db.tif", values, nodata=nodata)
    with RasterSource(path) as source:
        windows = source.read(Window(0, 0, 7, 5)).pixels
    for found in (windows, RasterReader().read(path).pixels):
        assert np.isnan(found[0, 1, 2])
        assert found[0, 1, 1] == -np.inf if nodata == -np.inf else np.isnan(found[0, 1, 1])
    assert "power_db.tif: infinite pixels are taken as holes" in caplog.text
