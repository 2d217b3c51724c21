"""Side-car files of GDAL: what they say of the values of an image."""

from __future__ import annotations

import pytest

from monai_sr.formats.raster.open import is_dispensable


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<PAMDataset><Metadata><MDI key='STATISTICS_MEAN'>7</MDI></Metadata></PAMDataset>", True),
        ("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>", False),
        ("<PAMDataset><PAMRasterBand><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>",
         False),
        ("<PAMDataset><PAMRasterBand><CategoryNames/></PAMRasterBand></PAMDataset>", False),
        ("<PAMRasterBand><GDALRasterAttributeTable tableType='thematic'/></PAMRasterBand>", False),
        ("<PAMRasterBand><Metadata><MDI key='LAYER_TYPE'>thematic</MDI></Metadata>", False),
    ],
)  # fmt: skip
def test_statistics_alone_change_no_meaning(tmp_path, content, expected):
    (tmp_path / "a.tif.aux.xml").write_text(content)
    assert is_dispensable(tmp_path / "a.tif.aux.xml") == expected


def test_what_cannot_be_read_may_say_anything(tmp_path):
    assert not is_dispensable(tmp_path / "none.aux.xml")
