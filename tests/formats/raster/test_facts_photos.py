"""A photo's result says what the photo says of its colors and of how large its pixels are."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from tifffile import TiffFile, TiffWriter

from monai_sr.core import BadImageError
from monai_sr.formats.raster.reader import RasterReader
from tests.formats.raster.test_facts import opened, upscale
from tests.formats.raster.test_sink import write  # noqa: F401  (a fixture)
from tests.image_factory import pixels, write_raster

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/' creator='someone'/>"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(mode="RGB"):
    return Image.fromarray(pixels((16, 24, 3))).convert(mode)


def linear_png(path):
    """Write a PNG of linear values whose colors are those of Adobe RGB, 300 pixels an inch."""
    said = PngInfo()
    said.add(b"gAMA", struct.pack(">I", 100_000))
    places = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    said.add(b"cHRM", struct.pack(">8I", *places))
    photo().save(path, pnginfo=said, dpi=(300, 150))
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_color_profile_is_kept(tmp_path, name):
    photo().save(tmp_path / name, icc_profile=SRGB)
    for target in ("b.png", "b.tif"):
        upscale(tmp_path / name, tmp_path / target)
        with Image.open(tmp_path / target) as image:
            assert image.info["icc_profile"] == SRGB


@pytest.mark.parametrize("name", ["inks.jpg", "inks.tif", "gray.png"])
def test_a_profile_of_other_colors_is_left_out(tmp_path, caplog, name):
    if name == "gray.png":  # a palette of RGB that holds grays alone
        image, profile = Image.fromarray(pixels((16, 24)) % 4).convert("P"), SRGB
        image.putpalette([level for level in range(0, 256, 85) for _ in range(3)])
    else:
        image, profile = photo("CMYK"), SRGB[:16] + b"CMYK" + SRGB[20:]
    image.save(tmp_path / name, icc_profile=profile)
    for target in ("b.png", "b.tif"):
        caplog.clear()
        upscale(tmp_path / name, tmp_path / target)
        assert "its color profile is for" in caplog.text
        with Image.open(tmp_path / target) as image:
            assert "icc_profile" not in image.info


def test_inks_of_16_bits_stay_inks(tmp_path):
    write_raster(tmp_path / "a.tif", pixels((4, 16, 24), "uint16"), photometric="CMYK")
    expected = upscale(tmp_path / "a.tif", tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert [color.name for color in dst.colorinterp] == ["cyan", "magenta", "yellow", "black"]
        assert (dst.read() == expected).all()
    with TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].photometric.name == "SEPARATED"


@pytest.mark.parametrize("is_in_windows", [False, True])
def test_a_png_keeps_gamma_primaries_and_resolution(tmp_path, write, is_in_windows):  # noqa: F811
    source = linear_png(tmp_path / "a.png")
    if is_in_windows:
        result, _ = write(source, "PNG")
    else:
        upscale(source, result := tmp_path / "b.png")
    with Image.open(source) as before, Image.open(result, formats=["PNG"]) as after:
        after.load()
        assert after.info["gamma"] == before.info["gamma"] == 1.0
        assert after.info["chromaticity"] == pytest.approx(before.info["chromaticity"], abs=1e-6)
        assert after.info["dpi"] == pytest.approx((600, 300), rel=1e-4)


@pytest.mark.parametrize("is_in_windows", [False, True])
def test_a_png_keeps_how_its_numbers_become_light(tmp_path, write, is_in_windows):  # noqa: F811
    """Of PQ in BT.2020 a reader that takes it for sRGB sees grey fog."""
    Image.fromarray(pixels((16, 24, 3))).save(tmp_path / "plain.png", dpi=(300, 300))
    plain = (tmp_path / "plain.png").read_bytes()
    chunk = b"cICP" + bytes([9, 16, 0, 1])
    chunk = b"\0\0\0\4" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    source = tmp_path / "a.png"
    source.write_bytes(plain[:33] + chunk + plain[33:])
    if is_in_windows:
        result, _ = write(source, "PNG")
    else:
        upscale(source, result := tmp_path / "b.png")
    content = result.read_bytes()
    assert content[33 : 33 + len(chunk)] == chunk
    assert content.count(chunk) == 1
    with Image.open(result, formats=["PNG"]) as after:
        after.load()
        assert after.info["dpi"] == pytest.approx((600, 600), rel=1e-4)


@pytest.mark.parametrize("is_thumbnail", [False, True])
def test_raw_data_of_cameras_is_refused(tmp_path, is_thumbnail):
    """GDAL gives the mosaic of a color filter as gray, and of a DNG the thumbnail."""
    with TiffWriter(tmp_path / "a.tif") as tiff:
        if is_thumbnail:
            tiff.write(pixels((16, 16, 3)), photometric="rgb", subifds=1, subfiletype=1)
        tiff.write(pixels((64, 64), "uint16"), photometric="CFA")
    with pytest.raises(BadImageError, match=r"raw data of a camera.*develop it"):
        RasterReader().read(tmp_path / "a.tif")


def test_a_png_of_several_parts_is_whole_behind_its_resolution(tmp_path):
    Image.fromarray(pixels((500, 600, 3))).save(tmp_path / "a.png", dpi=(300, 300))
    expected = upscale(tmp_path / "a.png", tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 2**20
    with Image.open(tmp_path / "b.png") as image:
        assert (np.asarray(image).transpose(2, 0, 1) == expected).all()


def test_resolution_of_a_bmp_grows(tmp_path):
    photo().save(tmp_path / "a.bmp", dpi=(100, 200))
    upscale(tmp_path / "a.bmp", tmp_path / "b.png", 4)
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["dpi"] == pytest.approx((400, 800), rel=1e-3)


def test_resolution_of_a_jpeg_grows_and_turns_with_it(tmp_path):
    exif = Image.Exif()
    exif[274], exif[282], exif[283] = 6, 100.0, 200.0
    exif.get_ifd(0x8769).update({0xA20E: 4000.0, 0xA20F: 3000.0})  # pixels of the sensor a unit
    photo().save(tmp_path / "a.jpg", exif=exif, dpi=(100, 200))
    upscale(tmp_path / "a.jpg", tmp_path / "b.png", 4)
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["dpi"] == pytest.approx((800, 400), rel=1e-4)
        said = image.getexif()
    assert [said[tag] for tag in (282, 283)] == [800, 400]
    assert [said.get_ifd(0x8769)[tag] for tag in (0xA20E, 0xA20F)] == [12000, 16000]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_photo_whose_exif_cannot_be_written_again_is_upright(tmp_path, name):
    turned, resolution = struct.pack("<HHIHH", 274, 3, 1, 6, 0), struct.pack("<HHI", 282, 2, 4)
    entries = struct.pack("<H", 2) + turned + resolution + b"abc\0" + bytes(4)  # text for a number
    photo().save(tmp_path / name, exif=b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries)
    upscale(tmp_path / name, tmp_path / "b.png", 2)
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (32, 48)
        assert not image.getexif()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("is_private", [False, True])
def test_exif_stays_exif_and_becomes_no_text(tmp_path, name, is_private):
    exif = Image.Exif()
    exif[274], exif[315] = 6, "Jane Doe"
    exif.get_ifd(0x8769).update({0xA431: "S123", 0xA002: 24, 0xA003: 16})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 5.0, 1.5)})
    said = PngInfo()
    said.add_itxt("XML:com.adobe.xmp", XMP.decode())
    photo().save(tmp_path / name, exif=exif, xmp=XMP, pnginfo=said)
    upscale(tmp_path / name, tmp_path / "b.png", sr_deidentified=int(is_private))
    content = (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "b.png") as image:
        said, texts = image.getexif(), " ".join(image.text)
    assert "EXIF" not in texts
    assert content.count(b"creator") == (0 if is_private or name == "a.webp" else 1)
    if is_private:
        assert b"Jane" not in content
        assert b"eXIf" not in content
        return
    assert said[315] == "Jane Doe"
    assert 274 not in said
    assert dict(said.get_ifd(0x8769)) == {0xA431: "S123"}
    assert said.get_ifd(0x8825)[2] == (52.0, 5.0, 1.5)


def test_exif_of_a_photo_on_a_map_names_no_place_in_the_source(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9214: (9, 9, 5, 5), 0xA214: (9, 9), 0xA431: "S123"})
    photo().save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jgw").write_text("2\n0\n0\n-2\n1000\n2000\n")
    upscale(tmp_path / "a.jpg", tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        said = [key for key in dst.tags() if key.startswith("EXIF_")]
    assert said == ["EXIF_BodySerialNumber"]


@pytest.mark.parametrize("told", [None, 0.0, 100.0])
def test_a_jpeg_whose_exif_says_no_resolution_gets_none(tmp_path, told):
    exif = Image.Exif()
    exif[274] = 1
    if told is not None:
        exif[282] = exif[283] = told
        exif[296] = 2
    photo().save(tmp_path / "a.jpg", exif=exif)
    upscale(tmp_path / "a.jpg", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        expected = pytest.approx((2 * told, 2 * told), rel=1e-4) if told else None
        assert image.info.get("dpi") == expected


def test_a_thumbnail_in_front_of_its_image_is_refused(tmp_path):
    """GDAL opens what comes first, and calls the other one no page."""
    image = pixels((32, 32, 3))
    for name, order in (("front", (4, 1)), ("behind", (1, 4))):
        with TiffWriter(tmp_path / f"{name}.tif") as tiff:
            for step in order:
                tiff.write(image[::step, ::step], photometric="rgb", subfiletype=int(step > 1))
    with pytest.raises(BadImageError, match="a thumbnail of it in front"):
        RasterReader().read(tmp_path / "front.tif")
    assert RasterReader().read(tmp_path / "behind.tif").pixels.shape == (3, 32, 32)


def test_a_text_whose_keyword_cannot_be_written_is_left_out_alone(tmp_path):
    said = PngInfo()
    said.add(b"tEXt", b"\0empty")
    said.add(b"tEXt", b"\x7f\0control")
    said.add_text("Title", "rock")
    photo().save(tmp_path / "a.png", pnginfo=said)
    upscale(tmp_path / "a.png", tmp_path / "b.png")
    with opened(tmp_path / "b.png") as dst:
        assert dst.tags()["Title"] == "rock"
        assert not {"", "\x7f"} & set(dst.tags())
