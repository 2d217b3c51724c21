"""Enlarged rasters hold exact values, in the right format, whole or not at all."""

from __future__ import annotations

import json
import struct
import warnings

import numpy as np
import pytest
import rasterio
from monai.transforms import LoadImage, SaveImage
from PIL import Image

from monai_sr.core.errors import OutputError
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter, creation_options
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster

UTM = "EPSG:32633"


def upscale(source, target, scale=2):
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, scale)
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


@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "int64",
        "uint64",
        "float32",
        "float64",
    ],
)
@pytest.mark.parametrize("bands", [1, 4, 7])
def test_values_and_dtype_are_exact(tmp_path, dtype, bands):
    source = write_raster(tmp_path / "a.tif", pixels((bands, 5, 7), dtype))
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst, opened(source) as src:
        assert dst.dtypes == src.dtypes
        assert (dst.read()[:, ::2, ::2] == src.read()).all()
        assert dst.shape == (10, 14)


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_partial_bit_depth_is_kept(tmp_path, bits):
    array = pixels((1, 5, 7), "uint16" if bits > 8 else "uint8") & (2**bits - 1)
    source = write_raster(tmp_path / "a.tif", array, nbits=bits)
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert (dst.read()[:, ::2, ::2] == array).all()
        assert dst.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == str(bits)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_png_holds_values_text_and_nothing_beside(tmp_path, dtype, bands):
    source = write_raster(tmp_path / "a.png", pixels((bands, 5, 7), dtype))
    result = upscale(source, tmp_path / "out" / "b.png", 3)
    with opened(tmp_path / "out" / "b.png") as dst:
        assert (dst.read() == result).all()
        assert dst.dtypes[0] == dtype
    with Image.open(tmp_path / "out" / "b.png") as image:
        image.load()
        assert "not for primary diagnosis" in image.text["Description"]
        assert image.text["Software"] == "monai-sr 0.1.0"
        assert json.loads(image.text["SUPER_RESOLUTION"])["scale"] == 3
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.parametrize("name", ["a.jpg", "a.gif", "a.bmp", "a.jp2", "a.webp"])
def test_other_formats_become_png_or_tiff(tmp_path, name):
    options = {"lossless": "YES"} if name.endswith("webp") else {}
    source = write_raster(tmp_path / name, pixels((1 if "gif" in name else 3, 40, 30)), **options)
    for target in ("b.png", "b.tif"):
        result = upscale(source, tmp_path / target)
        with opened(tmp_path / target) as dst:
            assert (dst.read() == result).all()


def test_palette_image_is_written_in_colors(tmp_path):
    Image.fromarray(pixels((9, 8, 3))).quantize(16).save(tmp_path / "a.tif")
    result = upscale(tmp_path / "a.tif", tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert (dst.read() == result).all()
        assert [c.name for c in dst.colorinterp] == ["red", "green", "blue"]


def test_turned_photo_is_written_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels((16, 24, 3))).save(tmp_path / "a.jpg", exif=exif)
    upscale(tmp_path / "a.jpg", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (32, 48)
        assert image.getexif().get(274, 1) == 1
        assert "EXIF_Orientation" not in image.text


def test_large_images_are_tiled(tmp_path):
    source = write_raster(tmp_path / "a.tif", pixels((1, 130, 140)))
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert dst.block_shapes == [(256, 256)]


def test_unmodified_monai_saves_through_the_writer(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((5, 5, 7), "uint16"), crs=UTM, transform=NORTH_UP
    )
    image = LoadImage(reader=RasterReader)(source)
    save = SaveImage(
        tmp_path / "out", output_ext=".tif", resample=False, writer=RasterWriter,
        separate_folder=False, print_log=False,
    )  # fmt: skip
    save(image)
    with opened(source) as src, opened(tmp_path / "out" / "a_trans.tif") as dst:
        assert (src.read() == dst.read()).all()
        assert (src.transform, src.crs, src.dtypes) == (dst.transform, dst.crs, dst.dtypes)


def test_values_of_the_network_are_rounded_and_clipped_to_the_dtype(tmp_path):
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(write_raster(tmp_path / "a.tif")))
    result = np.full(stored.shape, 7.6)
    result[0, 0, 0], result[0, 1, 0] = 256.2, -1.0
    write(tmp_path, result, meta)
    with opened(tmp_path / "b.tif") as dst:
        assert dst.read()[0, 0, :3].tolist() == [255, 0, 8]


def test_outputs_that_cannot_be_right_are_refused_and_nothing_is_left(tmp_path):
    reader = RasterReader()
    source = write_raster(tmp_path / "a.tif", pixels(dtype="int16"))
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, 2)
    with pytest.raises(OutputError, match="scaled_affine"):
        write(tmp_path, result, meta)
    with pytest.raises(OutputError, match="restoring transform"):
        write(tmp_path, result * np.nan, updated)
    with pytest.raises(OutputError, match="choose one of these names"):
        write(tmp_path, result, updated, "b.jpg")
    with pytest.raises(OutputError, match=r"write a \.tif"):
        write(tmp_path, result, updated, "b.png")
    with pytest.raises(OutputError, match="reader and the writer of the same format"):
        write(tmp_path, result, None)
    source.unlink()
    with pytest.raises(OutputError, match="keep the inputs in place"):
        write(tmp_path, result, updated)
    assert list(tmp_path.iterdir()) == []


def test_failure_midway_leaves_nothing(tmp_path, monkeypatch):
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(write_raster(tmp_path / "a.tif")))

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("monai_sr.formats.raster.writer.copy_facts", fail)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", stored, meta)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    ("dtype", "photometric", "expected"),
    [("uint8", "RGB", "RGB"), ("uint8", "MINISBLACK", "MINISBLACK"),
     ("float32", "RGB", "MINISBLACK")],
)  # fmt: skip
def test_three_bands_are_colors_where_the_source_says_so(tmp_path, dtype, photometric, expected):
    path = write_raster(tmp_path / "a.tif", pixels((3, 5, 7), dtype), photometric=photometric)
    with opened(path) as src:
        meta = RasterReader().get_data(RasterReader().read(path))[1]
        options = creation_options(src, meta, (3, 10, 14), np.dtype(dtype), "GTiff")
    assert options["photometric"] == expected


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 4), ("uint8", 8), ("uint16", 16)])
def test_white_at_zero_stays_white(tmp_path, dtype, bits):
    array = pixels((1, 10, 14), dtype) & (2**bits - 1)
    partial = {"nbits": bits} if bits < 8 else {}
    source = write_raster(
        tmp_path / "a.tif", array, transform=NORTH_UP, photometric="MINISWHITE", **partial
    )
    result = upscale(source, tmp_path / "b.tif")
    with Image.open(source) as old, Image.open(tmp_path / "b.tif") as new:
        assert old.tag_v2[262] == new.tag_v2[262] == 0
    with opened(tmp_path / "b.tif") as dst:
        np.testing.assert_array_equal(dst.read(), result)


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 12)])
def test_white_at_zero_of_any_writer_is_no_color_table_on_a_map(tmp_path, dtype, bits):
    ramp = np.linspace(0, 2**bits - 1, 16 * 20).reshape(1, 16, 20).astype(dtype)
    kept = {"nbits": bits} if bits < 16 else {}
    path = write_raster(
        tmp_path / "a.tif",
        ramp,
        crs="EPSG:32633",
        transform=NORTH_UP,
        photometric="MINISWHITE",
        **kept,
    )
    # Of its own files GDAL knows that there is no table; to those of others it adds one.
    path.write_bytes(
        path.read_bytes().replace(struct.pack("<HH", 42112, 2), struct.pack("<HH", 42111, 2))
    )
    with opened(path) as src:
        assert src.colorinterp[0].name == "palette"
    image = RasterReader("auto").read(path)
    assert image.meaning.kind != "label"
    np.testing.assert_array_equal(image.pixels, ramp)
    result = upscale(path, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert dst.dtypes[0] == dtype
        assert dst.tags(ns="IMAGE_STRUCTURE")["MINISWHITE"] == "YES"
        np.testing.assert_array_equal(dst.read(), result)


@pytest.mark.parametrize(("name", "cog"), [("b.tif", True), ("b.png", False)])
def test_where_white_at_zero_cannot_be_said_it_is_announced(tmp_path, name, cog, caplog):
    array = pixels((1, 10, 14))
    source = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, photometric="MINISWHITE")
    reader = RasterReader()
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, 2)
    writer = RasterWriter(cog=cog)
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(tmp_path / name)
    assert "its zeros are white" in caplog.text
    assert "--no-cog" in caplog.text
    with opened(tmp_path / name) as dst:
        np.testing.assert_array_equal(dst.read(), result.transpose(0, 2, 1))
