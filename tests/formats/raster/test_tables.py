"""Tables of a raster tell whether its values are classes, however many and however they lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from monai_sr.formats.meaning import kind_of
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.tables import named_bands
from tests.image_factory import NORTH_UP, pixels, write_raster

NAMES = "<CategoryNames><Category>water</Category><Category>wood</Category></CategoryNames>"


def column(name, kind, usage):
    return f"<FieldDefn><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>"


def table(columns, rows, kind="thematic"):
    lines = ("".join(f"<F>{cell}</F>" for cell in row) for row in rows)
    body = "".join(f'<Row index="{n}">{line}</Row>' for n, line in enumerate(lines))
    return (
        f'<GDALRasterAttributeTable tableType="{kind}">{"".join(columns)}{body}'
        "</GDALRasterAttributeTable>"
    )


VALUE, COUNT = column("Value", 0, 5), column("Count", 0, 1)
CLASSES = (VALUE, column("EVT_NAME", 2, 2)), [(7, "shrub"), (9, "water")]
NOTED = (VALUE, column("Remark", 2, 0)), [(7, "shrub"), (9, "water")]
RANGES = (column("Min", 1, 3), column("Max", 1, 4), column("Zone", 2, 2)), [(0, 99, "low")]


def with_table(path, *bands, array=None):
    """Write noise, whose values tell nothing, with something in ``.aux.xml`` for each band."""
    array = pixels((len(bands), 40, 50), "uint16") if array is None else array
    write_raster(path, array, transform=NORTH_UP, crs="EPSG:32633")
    said = (f'<PAMRasterBand band="{n}">{b}</PAMRasterBand>' for n, b in enumerate(bands, 1))
    text = f"<PAMDataset>{''.join(said)}</PAMDataset>"
    path.with_name(f"{path.name}.aux.xml").write_text(text)
    return path


def meta_of(path):
    return RasterReader("auto").get_data(RasterReader("auto").read(path))[1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NAMES, "category names"),
        (table(*CLASSES), "a table of classes"),
        (table(*NOTED), "a table of classes"),
        ('<Metadata><MDI key="LAYER_TYPE">Thematic</MDI></Metadata>', "a thematic layer"),
        ('<Metadata><MDI key="flag_values">{1,2}</MDI></Metadata>', "flags of the CF conventions"),
        ('<Metadata><MDI key="flag_masks">{1,2}</MDI></Metadata>', "flags of the CF conventions"),
        ('<Metadata><MDI key="LAYER_TYPE">athematic</MDI></Metadata>', None),
        ('<Metadata><MDI key="RepresentationType">THEMATIC</MDI></Metadata>', "a thematic layer"),
        ('<Metadata><MDI key="RepresentationType">ATHEMATIC</MDI></Metadata>', None),
        (table(*CLASSES, kind="athematic"), None),
        (table((VALUE, COUNT), [(7, 12), (9, 13)]), None),
        (table(*RANGES), None),
        (table(CLASSES[0], []), None),
        ("<CategoryNames/>", None),
        ("", None),
    ],
)
def test_names_of_values_make_them_classes(tmp_path, said, expected):
    path = with_table(tmp_path / "a.tif", said)
    with rasterio.open(path) as dataset:
        assert named_bands(dataset).get(1) == expected
    assert kind_of(meta_of(path)) == ("label" if expected else "gray")


def test_an_erdas_layer_says_itself_that_it_is_thematic(tmp_path):
    array = pixels((1, 40, 50), "uint16")
    for kind, expected in (("thematic", "label"), ("athematic", "gray")):
        path = write_raster(tmp_path / f"{kind}.img", array, driver="HFA", transform=NORTH_UP)
        with rasterio.open(path, "r+") as dst:
            dst.update_tags(1, LAYER_TYPE=kind)
        assert kind_of(meta_of(path)) == expected
        rasterio.shutil.copy(path, tmp_path / f"{kind}.tif", driver="GTiff")
        assert kind_of(meta_of(tmp_path / f"{kind}.tif")) == expected


@pytest.mark.parametrize(
    ("columns", "expected"), [("NN", "gray"), ("NNC", "label"), ("NC", "label"), ("", "gray")]
)
def test_a_table_of_arcgis_names_classes_by_a_column_of_text(tmp_path, columns, expected):
    path = write_raster(tmp_path / "a.tif", pixels((1, 40, 50), "uint16"), transform=NORTH_UP)
    fields = [struct.pack("<11sc20x", b"NAME", kind.encode()) for kind in columns]
    size = 32 * (len(fields) + 1) + 1
    head = struct.pack("<4BIHH20x", 3, 126, 11, 29, 1, size, 1)
    (tmp_path / "a.tif.vat.dbf").write_bytes(head + b"".join(fields) + b"\r" + b" C" * 40)
    assert kind_of(meta_of(path)) == expected
    (tmp_path / "a.tif.vat.dbf").write_bytes(b"\x03damaged")
    assert kind_of(meta_of(path)) == "gray"


def test_one_band_of_classes_among_others_stays_codes(tmp_path):
    path = with_table(tmp_path / "a.tif", "", table(*CLASSES), "")
    meta = meta_of(path)
    assert kind_of(meta) == "gray"
    assert meta["sr_code_bands"].tolist() == [1]
    assert "band 2" in meta["sr_kind_reason"]


@pytest.mark.parametrize(("share", "expected"), [(1.0, "label"), (0.5, "gray")])
def test_a_table_makes_no_classes_of_fractions(tmp_path, share, expected):
    array = (pixels((1, 40, 50), "uint8") * share).astype(np.float32)
    assert kind_of(meta_of(with_table(tmp_path / "a.tif", NAMES, array=array))) == expected


def test_names_stand_beside_an_image_or_in_a_vrt_and_nowhere_else(tmp_path):
    path = write_raster(tmp_path / "a.tif", transform=NORTH_UP, tags={"NOTE": NAMES})
    vrt = tmp_path / "b.vrt"
    rasterio.shutil.copy(path, vrt, driver="VRT")
    with rasterio.open(path) as plain, rasterio.open(vrt) as virtual:
        assert not named_bands(plain)
        assert not named_bands(virtual)
    vrt.write_text(vrt.read_text().replace("<SimpleSource>", f"{NAMES}<SimpleSource>", 1))
    with rasterio.open(vrt) as virtual:
        assert named_bands(virtual) == {1: "category names"}
