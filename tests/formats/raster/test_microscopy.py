"""Programs of microscopy find in a result the description of its own grid."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import tifffile

from monai_sr.formats.raster.microscopy import described
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter
from monai_sr.formats.stored import DISCLAIMER
from tests.image_factory import enlarged, pixels

SAID = f"{DISCLAIMER}."
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def written(source, target, scale=2):
    reader = RasterReader()
    array, meta = reader.get_data(reader.read(source))
    writer = RasterWriter()
    larger, meta = enlarged(array, meta, scale)
    writer.set_data_array(larger)
    writer.set_metadata(meta)
    writer.write(target)
    return tifffile.TiffFile(target)


def test_ome_has_the_sizes_of_the_result(tmp_path):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels((30, 40)), metadata={"axes": "YX", **sizes})
    with written(tmp_path / "a.ome.tif", tmp_path / "b.tif") as result:
        assert result.is_ome
        assert result.series[0].shape == (60, 80)
        found = ElementTree.fromstring(result.ome_metadata).find(f".//{OME}Pixels").attrib
        assert DISCLAIMER in result.ome_metadata
        assert "UUID" not in result.ome_metadata
    assert (found["SizeX"], found["SizeY"]) == ("80", "60")
    assert (found["PhysicalSizeX"], found["PhysicalSizeY"]) == ("0.25", "0.125")
    again = described(result.ome_metadata, SAID, (2, 2), (160, 120))
    assert again.count(DISCLAIMER) == 1
    assert 'SizeX="160"' in again


def test_imagej_knows_its_unit(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", pixels((30, 40)), imagej=True, resolution=(2, 2),
        metadata={"unit": "um"},
    )  # fmt: skip
    with written(tmp_path / "a.tif", tmp_path / "b.tif") as result:
        assert result.imagej_metadata["unit"] == "um"
        assert result.pages[0].tags["XResolution"].value == (4, 1)
        assert DISCLAIMER in result.pages[0].description


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", SAID),
        ("scene 5", f"{SAID} scene 5"),
        (f"{SAID} scene 5", f"{SAID} scene 5"),
        ('<OME><TiffData><UUID FileName="b.tif">urn</UUID></TiffData></OME>', SAID),
        ('<OME><ROI ID="1"><Rectangle X="9"/></ROI></OME>', f"<!-- {SAID} --><OME></OME>"),
        ('<OME><P PhysicalSizeX="wide"/></OME>', f"<!-- {SAID} --><OME><P /></OME>"),
    ],
)
def test_other_descriptions(before, expected):
    assert described(before, SAID, (2, 2), (8, 8)) == expected


def test_types_are_those_of_the_source(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.float32(pixels((30, 40))))
    with written(tmp_path / "a.ome.tif", tmp_path / "b.tif") as result:
        assert result.series[0].dtype == np.float32
