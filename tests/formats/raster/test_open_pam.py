"""Side-car files of GDAL: what they say of the values of an image."""

from __future__ import annotations

import pytest

from monai_sr.formats.raster.open import has_category_names, is_dispensable

NAMES = "<CategoryNames><Category>water</Category></CategoryNames>"


def test_names_of_classes_stand_beside_an_image_or_in_a_vrt(tmp_path):
    image = tmp_path / "a.tif"
    image.write_bytes(NAMES.encode())  # pixels, whatever they look like
    assert not has_category_names(image)
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{NAMES}</PAMDataset>")
    assert has_category_names(image)
    for name, content in (("b.vrt", NAMES), ("c.VRT", NAMES), ("d.vrt", "<VRTDataset/>")):
        (tmp_path / name).write_text(content)
        assert has_category_names(tmp_path / name) == (content == NAMES)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<PAMDataset><Metadata><MDI key='STATISTICS_MEAN'>7</MDI></Metadata></PAMDataset>", True),
        ("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>", False),
        ("<PAMDataset><PAMRasterBand><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>",
         False),
    ],
)  # fmt: skip
def test_statistics_alone_change_no_meaning(tmp_path, content, expected):
    (tmp_path / "a.tif.aux.xml").write_text(content)
    assert is_dispensable(tmp_path / "a.tif.aux.xml") == expected


def test_what_cannot_be_read_may_say_anything(tmp_path):
    assert not is_dispensable(tmp_path / "none.aux.xml")
