"""An input is all that its result depends on: what lies beside it, and what a VRT names."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.formats.identity import (
    check_unchanged,
    dependencies,
    digest,
    input_digest,
    input_record,
)
from tests.image_factory import write_raster

PIXELS = np.arange(200, dtype=np.uint8).reshape(1, 10, 20)
NODATA = (
    '<PAMDataset><PAMRasterBand band="1"><NoDataValue>{}</NoDataValue></PAMRasterBand></PAMDataset>'
)
VRT = (
    '<VRTDataset rasterXSize="20" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1">'
    '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename><SourceBand>1</SourceBand>'
    "</SimpleSource></VRTRasterBand></VRTDataset>"
)


def names(path):
    return [file.name for file in dependencies(path)]


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("a.tif", "a.tif.aux.xml"),
        ("a.tif", "a.tif.ovr"),
        ("a.tif", "a.tif.msk"),
        ("a.tif", "a.tfw"),
        ("a.tif", "A.TFW"),
        ("a.png", "a.pgw"),
        ("a.png", "a.wld"),
        ("a.png", "a.png.aux.xml"),
    ],
)
def test_what_lies_beside_an_image_counts(tmp_path, image, beside):
    file = write_raster(tmp_path / image, PIXELS, transform=None)
    before = input_digest(str(file))
    assert before == digest([file])
    (tmp_path / "b.tfw").write_text("of another image")
    assert input_digest(str(file)) == before
    source = write_raster(tmp_path / "other.tif", PIXELS).read_bytes()
    text = b"1\n0\n0\n-1\n0\n0\n" if beside.lower().endswith(("w", "wld")) else source
    (tmp_path / beside).write_bytes(NODATA.format(7).encode() if "aux" in beside else text)
    assert names(file) == [image, beside]
    first = input_digest(str(file))
    assert first != before
    (tmp_path / beside).write_bytes((tmp_path / beside).read_bytes() + b"\n")
    assert input_digest(str(file)) != first


def test_sources_of_a_vrt_of_a_vrt_count_with_what_lies_beside_them(tmp_path):
    source = write_raster(tmp_path / "a.tif", PIXELS)
    (tmp_path / "inner.vrt").write_text(VRT.format("a.tif"))
    outer = tmp_path / "outer.vrt"
    outer.write_text(VRT.format("inner.vrt"))
    assert names(outer) == ["outer.vrt", "a.tif", "inner.vrt"]
    sums = [input_digest(str(outer))]
    (tmp_path / "a.tif.aux.xml").write_text(NODATA.format(0))
    sums.append(input_digest(str(outer)))
    write_raster(source, PIXELS[:, ::-1])
    sums.append(input_digest(str(outer)))
    assert len(set(sums)) == 3


def test_a_vrt_that_names_itself_ends(tmp_path):
    file = tmp_path / "a.vrt"
    file.write_text(VRT.format("a.vrt"))
    assert names(file) == ["a.vrt"]


def test_the_header_of_envi_counts(tmp_path):
    write_raster(tmp_path / "a.img", PIXELS, driver="ENVI")
    assert "a.hdr" in names(tmp_path / "a.img")


def test_a_file_that_is_gone_or_no_image_has_nothing_else(tmp_path):
    assert names(tmp_path / "gone.tif") == ["gone.tif"]
    (tmp_path / "a.txt").write_text("text")
    assert names(tmp_path / "a.txt") == ["a.txt"]


@pytest.mark.parametrize("change", ["other", "gone", "beside"])
def test_an_input_that_changed_is_refused(tmp_path, change):
    file = write_raster(tmp_path / "a.tif", PIXELS)
    record = input_record(str(file), input_digest(str(file)), "a.tif")
    check_unchanged("")
    check_unchanged(record)
    file.touch()
    check_unchanged(record)
    if change == "gone":
        file.unlink()
    elif change == "beside":
        (tmp_path / "a.tif.aux.xml").write_text(NODATA.format(0))
    else:
        write_raster(file, PIXELS + 1)
    with pytest.raises(BadImageError, match=r"^a\.tif: must stay as it is .* run again"):
        check_unchanged(record)
