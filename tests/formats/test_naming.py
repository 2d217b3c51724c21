"""Outputs get the right extension, never share a name, and fit their format."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset

from monai_sr.core.errors import BadImageError, OutputError
from monai_sr.formats.naming import (
    check_output_size,
    output_suffix,
    plan_outputs,
    report_path,
    spacing_unit,
    uncertainty_path,
)
from monai_sr.formats.raster.reader import RasterReader
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster


def plan(sources, root="in"):
    files = [Path(root) / name for name in sources]
    result = plan_outputs(files, Path(root), Path("out"), 4, lambda p: p.suffix)
    return [path.as_posix() for path in result]


@pytest.mark.parametrize(
    ("name", "facts", "suffix"),
    [
        ("a.nii", (), ".nii"),
        ("a.b.nii.gz", (), ".nii.gz"),
        ("a.dcm", (), ".dcm"),
        ("a.TIFF", (), ".tif"),
        ("a.png", ("uint8", 3, False), ".png"),
        ("a.png", ("uint16", 3, True), ".tif"),
        ("a.bmp", ("uint8", 3, False), ".png"),
        ("a.jpg", ("uint8", 3, False), ".png"),
        ("a.jp2", ("uint16", 4, True), ".tif"),
        ("a.jp2", ("int16", 1, False), ".tif"),
        ("a.vrt", ("uint8", 5, False), ".tif"),
    ],
)
def test_extension_follows_the_stated_rule(name, facts, suffix):
    assert output_suffix(Path(name), *facts) == suffix


def test_extension_comes_from_the_header_where_facts_are_not_given(tmp_path):
    assert output_suffix(write_raster(tmp_path / "a.jpg")) == ".png"
    world = write_raster(tmp_path / "b.bmp", transform=NORTH_UP, worldfile="YES")
    assert output_suffix(world) == ".tif"
    assert output_suffix(write_raster(tmp_path / "c.tif")) == ".tif"
    palette = write_raster(tmp_path / "d.gif")
    assert output_suffix(palette) == ".png"
    reader = RasterReader()
    assert output_suffix(reader.get_data(reader.read(palette))[1]) == ".png"


def masked(path):
    write_raster(path, pixels((3, 5, 7)))
    write_raster(path.with_name(f"{path.name}.msk"), 255 * (pixels((1, 5, 7)) > 99), driver="GTiff",
                 tags={"INTERNAL_MASK_FLAGS_1": "2", "INTERNAL_MASK_FLAGS_2": "2",
                       "INTERNAL_MASK_FLAGS_3": "2"})  # fmt: skip
    return path


def named(path):
    with rasterio.open(write_raster(path), "r+") as dst:
        dst.set_band_description(1, "NDVI")
    return path


def scaled(path):
    with rasterio.open(write_raster(path), "r+") as dst:
        dst.scales, dst.offsets = (0.1,), (3,)
    return path


def with_wavelength(path):
    imagery = '<Metadata domain="IMAGERY"><MDI key="CENTRAL_WAVELENGTH_UM">0.56</MDI></Metadata>'
    band = f'<PAMDataset><PAMRasterBand band="1">{imagery}</PAMRasterBand></PAMDataset>'
    write_raster(path).with_name(f"{path.name}.aux.xml").write_text(band)
    return path


def with_nodata(path):
    bands = "".join(
        f'<PAMRasterBand band="{i}"><NoDataValue>{i}</NoDataValue></PAMRasterBand>' for i in (1, 2)
    )
    made = write_raster(path, pixels((3, 5, 7)))
    made.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    return path


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_transparent_color_stays_in_a_png(tmp_path):
    image = Image.fromarray(pixels((5, 7, 3)))
    image.save(tmp_path / "a.png", transparency=image.getpixel((2, 3)))
    assert output_suffix(tmp_path / "a.png") == ".png"


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("make", [with_nodata, masked, named, scaled, with_wavelength])
@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_what_png_cannot_say_makes_a_geotiff(tmp_path, make, name):
    assert output_suffix(make(tmp_path / name)) == ".tif"


def test_dicom_is_known_by_content_and_series_by_folder(tmp_path):
    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "1.2.840")
    assert output_suffix(tmp_path / "1.2.840") == ".dcm"
    assert output_suffix(tmp_path) == ""


def test_dicom_without_preamble_and_extension_is_dicom(tmp_path):
    made = dicom_factory.dataset(dicom_factory.stored((6, 9)))
    made.file_meta, made.preamble = FileMetaDataset(), None
    made.save_as(tmp_path / "IM0001", implicit_vr=True, little_endian=True)
    assert output_suffix(tmp_path / "IM0001") == ".dcm"


def test_names_tell_the_unit_of_a_spacing(tmp_path):
    files = [write_raster(tmp_path / "a.tif", crs="EPSG:32633", transform=NORTH_UP),
             write_raster(tmp_path / "b.png"), tmp_path / "c.nii"]  # fmt: skip
    plan = plan_outputs(files, tmp_path, Path("o"), 4, lambda p: p.suffix, 10.5, spacing_unit)
    assert [p.name for p in plan] == ["a_10.5m.tif", "b_10.5.png", "c_10.5mm.nii"]


def test_portable_map_becomes_png(tmp_path):
    Image.fromarray(pixels((5, 7, 3))).save(tmp_path / "a.ppm")
    assert output_suffix(tmp_path / "a.ppm") == ".png"


def test_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(BadImageError, match="convert it to GeoTIFF or PNG"):
        output_suffix(tmp_path / "notes.jpg")


def test_folders_below_the_root_are_repeated():
    assert plan(["a.png", "x/a.png"]) == ["out/a_x4.png", "out/x/a_x4.png"]


def test_one_file_as_root_lies_directly_in_the_output_folder():
    result = plan_outputs([Path("in/a.nii.gz")], Path("in/a.nii.gz"), Path("o"), 2, lambda _: ".x")
    assert result == [Path("o/a_x2.x")]


def test_names_of_numbers_have_no_extension():
    result = plan_outputs([Path("in/1.2.840")], Path("in"), Path("o"), 2, lambda _: ".dcm")
    assert result == [Path("o/1.2.840_x2.dcm")]


def test_equal_stems_never_share_a_result():
    names = ["a.png", "a.jpg", "a_png.bmp", "A.bmp", "b.png"]
    sources = [Path("in") / name for name in names]

    def named(order):
        result = plan_outputs(order, Path("in"), Path("out"), 4, lambda _: ".png")
        return dict(zip(order, result, strict=True))

    expected = named(sources)
    assert len({str(path).casefold() for path in expected.values()}) == len(names)
    assert expected[Path("in/b.png")] == Path("out/b_x4.png")
    assert expected[Path("in/a.jpg")] == Path("out/a_jpg_x4.png")
    for order in itertools.permutations(sources):
        assert named(order) == expected


def test_names_that_differ_in_case_alone_get_eight_digits_of_their_hash():
    digests = [hashlib.sha256(name).hexdigest()[:8] for name in (b"a.png", b"A.png")]
    expected = [f"out/a_png_{digests[0]}_x4.png", f"out/A_png_{digests[1]}_x4.png"]
    assert plan(["a.png", "A.png"]) == expected


@pytest.mark.parametrize("letter", ["n", "ä", "語"])
def test_names_that_systems_would_not_take_are_cut_and_stay_apart(tmp_path, letter):
    count = 248 // len(letter.encode())
    sources = [tmp_path / f"{letter * count}{last}.nii.gz" for last in ("", "b", "bc")]
    sources = [s for s in sources if len(os.fsencode(s.name)) <= 255]
    assert sources
    results = plan_outputs(sources, tmp_path, tmp_path / "out", 4, lambda _: ".nii.gz")
    (tmp_path / "out").mkdir()
    for result in results:
        assert result.name.endswith("_x4.nii.gz")
        for name in (result, uncertainty_path(result), report_path(result)):
            name.with_name(f"{name.name}.aux.xml").touch(exist_ok=False)
    short = tmp_path / f"{'a' * 180}.png"
    assert plan_outputs([short], tmp_path, tmp_path, 4, lambda _: ".png")[0].stem[:180] == "a" * 180


def test_result_never_takes_the_name_of_an_input():
    sources = [Path("d/a.png"), Path("d/a_x4.png")]
    result = plan_outputs(sources, Path("d"), Path("d"), 4, lambda p: p.suffix)
    assert not set(result) & set(sources)


@pytest.mark.parametrize(
    ("suffix", "shape", "remedy"),
    [
        (".png", (3, 1_000_001, 4), "write a .tif"),
        (".tif", (1, 4, 2**31), "cut the image"),
        (".nii.gz", (1, 40_000, 4, 3), "NIfTI-2"),
        (".dcm", (1, 4, 65_536), "cut the image"),
        ("", (1, 65_536, 4, 9), "cut the image"),
    ],
)
def test_size_beyond_the_format_is_refused_before_inference(suffix, shape, remedy):
    with pytest.raises(OutputError, match=remedy):
        check_output_size(suffix, shape)


def test_size_within_the_format_passes(tmp_path):
    check_output_size(".dcm", (1, 65_535, 65_535, 100_000))
    check_output_size(".tif", (1, 100_000, 70_000))
    two = write_nifti(tmp_path / "two.nii", version=2)
    check_output_size(".nii", (1, 40_000, 5, 3), two)
    one = write_nifti(tmp_path / "one.nii", pixels((4, 5, 3), np.uint8))
    with pytest.raises(OutputError, match="NIfTI-2"):
        check_output_size(".nii", (1, 40_000, 5, 3), one)
