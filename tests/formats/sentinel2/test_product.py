"""A Sentinel-2 product opens as it is, with the values and the reflectance that its files hold."""

from __future__ import annotations

import os

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from monai_sr.core.errors import BadImageError
from monai_sr.formats import RasterReader, is_product
from monai_sr.formats.sentinel2.metadata import open_product
from monai_sr.formats.sentinel2.product import class_file, split_part, write_vrt
from tests.sentinel2_factory import band_file, stored, write_product, write_zip

NATIVE = {
    "2A": {10: ("B04", "B03", "B02", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12"),
           60: ("B01", "B09")},
    "1C": {10: ("B04", "B03", "B02", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12"),
           60: ("B01", "B09", "B10")},
}  # fmt: skip


@pytest.fixture
def product(tmp_path):
    return write_product(tmp_path)


def edit(product, before, after):
    """Change the metadata as a damaged or foreign product would have them."""
    (file,) = product.glob("MTD_MSIL*.xml")
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


@pytest.mark.parametrize("level", ["1C", "2A"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_each_resolution_has_its_native_bands_as_stored(tmp_path, level, is_packed):
    folder = write_product(tmp_path, level=level)
    opened = open_product(write_zip(folder) if is_packed else folder)
    for resolution, bands in NATIVE[level].items():
        raster = write_vrt(opened, resolution, tmp_path)
        with rasterio.open(raster) as dataset:
            assert dataset.descriptions == bands
            assert np.array_equal(dataset.read(), stored(folder, bands, resolution))
            assert dataset.nodatavals == (0,) * len(bands)
        with (
            rasterio.open(raster) as dataset,
            rasterio.open(band_file(folder, bands[0], resolution)) as band,
        ):
            assert (dataset.transform, dataset.crs) == (band.transform, band.crs)


def test_color_bands_lead_and_say_so(product, tmp_path):
    raster = write_vrt(open_product(product), 10, tmp_path)
    with rasterio.open(raster) as dataset:
        assert dataset.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    _, meta = RasterReader().get_data(RasterReader().read(raster))
    assert meta["sr_rgb"] == 1
    assert meta["sr_nodata"] == 0


@pytest.mark.parametrize(
    ("level", "baseline", "offset", "zero"),
    [("2A", "05.09", -1000, 1000), ("1C", "04.00", -1000, 1000), ("2A", "02.12", None, 0),
     ("1C", "03.01", None, 0), ("2A", "99.99", -500, 500)],
)  # fmt: skip
def test_scale_and_offset_give_reflectance(tmp_path, level, baseline, offset, zero):
    folder = write_product(tmp_path, level=level, baseline=baseline, offset=offset)
    with rasterio.open(write_vrt(open_product(folder), 20, tmp_path)) as dataset:
        values = dataset.read()
        scales, offsets = (np.reshape(v, (-1, 1, 1)) for v in (dataset.scales, dataset.offsets))
        # ESA: reflectance = (DN + ADD_OFFSET) / QUANTIFICATION_VALUE.
        assert values * scales + offsets == pytest.approx((values.astype(float) - zero) / 10000)


def test_offsets_belong_to_their_bands(product, tmp_path):
    edit(product, '<BOA_ADD_OFFSET band_id="8">-1000<', '<BOA_ADD_OFFSET band_id="8">-300<')
    with rasterio.open(write_vrt(open_product(product), 20, tmp_path)) as dataset:
        found = dict(zip(dataset.descriptions, dataset.offsets, strict=True))
    assert found.pop("B8A") == pytest.approx(-0.03)
    assert set(found.values()) == {-0.1}


def test_classes_belong_to_20_m_of_level_2a(product, tmp_path):
    opened = open_product(product)
    assert [class_file(opened, r) is None for r in (10, 20, 60)] == [True, False, True]
    with rasterio.open(class_file(opened, 20)) as dataset:
        assert np.array_equal(dataset.read(), stored(product, ("SCL",), 20))
    other = open_product(write_product(tmp_path, level="1C"))
    assert class_file(other, 20) is None


def test_products_are_known_by_content_and_by_name(product, tmp_path):
    assert is_product(product)
    assert is_product(write_zip(product))
    renamed = product.rename(tmp_path / "scene")
    assert is_product(renamed)
    packed = write_zip(renamed).rename(tmp_path / "any.zip")
    assert is_product(packed)
    assert not is_product(tmp_path)
    assert not is_product(tmp_path / "none.zip")
    cut = tmp_path / "S2B_MSIL1C_20230101T000000_N0509_R001_T32TQM_20230101T000000.zip"
    cut.write_bytes(b"PK\x03\x04")
    assert is_product(cut)
    assert not is_product(cut.with_name(cut.name.replace("T32TQM", "T32TQN")))  # not there
    text = cut.with_suffix(".SAFE")
    text.write_text("a file, no folder")
    assert not is_product(text)
    (tmp_path / "photos.zip").write_bytes(b"PK\x03\x04")
    assert not is_product(tmp_path / "photos.zip")


def test_parts_are_named_and_split(product):
    parts = open_product(product).parts()
    assert [p.name for p in parts] == [f"{product.name}:{r}m" for r in (10, 20, 60)]
    assert [split_part(p) for p in parts] == [(product, 10), (product, 20), (product, 60)]
    assert split_part(f"{product}.png") is None
    assert split_part("noon_12:10m") is None


BILLION = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("</n1:General_Info>", "", "well-formed XML"),
        ("<n1:Level", f"{BILLION}<n1:Level", "a document type"),
        ("BOA_ADD_OFFSET", "NO_ADD_OFFSET", "must state BOA_ADD_OFFSET from baseline 04.00"),
        ('band_id="12"', 'band_id="13"', "BOA_ADD_OFFSET of B12 as a number, got 'nothing'"),
        ("10000</BOA", "ten</BOA", "BOA_QUANTIFICATION_VALUE as a number, got 'ten'"),
        ("10000</BOA", "0</BOA", "must be positive, got 0"),
        ("<BOA_QUANT", "<X", "well-formed XML"),
        (">NODATA<", ">NONE<", "value of NODATA"),
        ("IMAGE_FILE", "FILE", "must list bands, got none"),
        ("IMG_DATA/R10m/T32TQM", "../../T32TQM", "10m"),
    ],
)
def test_bad_metadata_are_refused_in_one_line(product, tmp_path, before, after, words):
    edit(product, before, after)
    if words == "10m":  # files outside the product are none of its bands
        assert open_product(product).bands(10) == ()
        return
    with pytest.raises(BadImageError, match=words) as caught:
        open_product(product)
    assert str(caught.value).startswith(f"{product}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("baseline", ["new", "04.00"])
def test_new_or_unknown_baseline_without_offsets_is_refused(tmp_path, baseline):
    folder = write_product(tmp_path, baseline=baseline, offset=None)
    words = f"none in baseline '{baseline}'; download the product again"
    with pytest.raises(BadImageError, match=words):
        open_product(folder)


def test_several_tiles_are_refused(tmp_path):
    with pytest.raises(BadImageError, match="one tile, got 2; download products of one tile"):
        open_product(write_product(tmp_path, granules=2))


def test_lack_of_metadata_and_a_cut_zip_are_refused(product):
    packed = write_zip(product)
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(BadImageError, match="whole product, got 'File is not a zip file'"):
        open_product(packed)
    next(product.glob("MTD_MSIL2A.xml")).unlink()
    with pytest.raises(BadImageError, match="must hold MTD_MSIL1C\\.xml or MTD_MSIL2A\\.xml"):
        open_product(product)


def test_absurdly_long_metadata_are_refused(product):
    with (product / "MTD_MSIL2A.xml").open("ab") as stream:
        stream.truncate(17 * 2**20)
    with pytest.raises(BadImageError, match="at most 16 MiB"):
        open_product(product)


def test_a_missing_band_stops_its_resolution_alone(product, tmp_path):
    band_file(product, "B11", 20).unlink()
    opened = open_product(product)
    with pytest.raises(BadImageError, match="got no B11 of 20 m; download the product again"):
        write_vrt(opened, 20, tmp_path)
    assert write_vrt(opened, 10, tmp_path).is_file()


def test_a_band_that_is_no_image_is_refused(product, tmp_path):
    band_file(product, "B11", 20).write_bytes(b"nothing")
    with pytest.raises(BadImageError, match="B11 must be a JPEG 2000 image, got a damaged file"):
        write_vrt(open_product(product), 20, tmp_path)


def test_bands_of_another_grid_are_refused(product, tmp_path):
    band_file(product, "B03", 10).write_bytes(band_file(product, "B03", 20).read_bytes())
    with pytest.raises(BadImageError, match="share one grid of 10 m and be uint16, got 2 grids"):
        write_vrt(open_product(product), 10, tmp_path)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_raster_is_as_old_as_what_it_shows(product, tmp_path, is_packed):
    path = write_zip(product) if is_packed else product
    made = [write_vrt(open_product(path), 10, tmp_path).stat().st_mtime_ns]
    made.append(write_vrt(open_product(path), 10, tmp_path).stat().st_mtime_ns)
    later = made[0] + 10**10
    os.utime(path if is_packed else band_file(product, "B08", 10), ns=(later, later))
    made.append(write_vrt(open_product(path), 10, tmp_path).stat().st_mtime_ns)
    assert made == [made[0], made[0], later]
