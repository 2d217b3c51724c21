"""Text that is not UTF-8 is read, told without its words, and stops nothing."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rasterio.crs import CRS

from monai_sr.formats.raster.open import open_raster
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.writer import RasterWriter
from tests.image_factory import NORTH_UP, enlarged, pixels, write_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
BAND = "<PAMDataset><PAMRasterBand band='1'>{}</PAMRasterBand></PAMDataset>"
TAG = "<Metadata><MDI key='place'>Börde</MDI></Metadata>"
SAID = f"<Description>Höhe</Description><UnitType>µm</UnitType>{TAG}"


def result_of(source, target):
    reader = RasterReader("auto")
    large, meta = enlarged(*reader.get_data(reader.read(source)), 2)
    writer = RasterWriter()
    writer.set_data_array(large)
    writer.set_metadata(meta)
    writer.write(target)
    return target


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_units_and_tags_are_kept_in_any_text(tmp_path, encoding, caplog, capfd):
    place = {"transform": NORTH_UP, "crs": "EPSG:32633"}
    source = write_raster(tmp_path / "a.tif", pixels(dtype="uint16"), **place)
    source.with_name("a.tif.aux.xml").write_bytes(BAND.format(SAID).encode(encoding))
    with rasterio.open(result_of(source, tmp_path / "b.tif")) as dst:
        assert (dst.descriptions, dst.units) == (("Höhe",), ("µm",))
        assert dst.tags(1)["place"] == "Börde"
    said = caplog.text + "".join(capfd.readouterr())
    assert ("code page 1252" in said) == (encoding == "latin-1")
    assert "rde" not in said


def test_text_of_png_is_latin_1(tmp_path, caplog):
    info = PngInfo()
    info.add_text("Title", "Zürich – Süd".encode("cp1252").decode("latin-1"))
    info.add_text("Author", "Jane")
    Image.fromarray(pixels((8, 9))).save(tmp_path / "a.png", pnginfo=info)
    with Image.open(result_of(tmp_path / "a.png", tmp_path / "b.png")) as result:
        assert result.text["Title"] == "Zürich – Süd"
        assert result.text["Author"] == "Jane"
    assert "decode" not in caplog.text.lower()


def test_a_reference_system_is_known_by_a_name_in_any_text(tmp_path):
    text = CRS.from_epsg(31468).to_wkt(version="WKT1_GDAL")
    text = text.replace("DHDN / 3-degree Gauss-Kruger zone 4", "GauS-KrUger 4")
    text = text.replace('AUTHORITY["EPSG","31468"]', 'AUTHORITY["mine","4"]')
    source = write_raster(tmp_path / "a.tif", crs=CRS.from_wkt(text), transform=NORTH_UP)
    with rasterio.open(source) as src:
        expected = src.crs.to_dict()
    said = source.read_bytes()
    assert said.count(b"GauS-KrU") == 1
    source.write_bytes(said.replace(b"GauS-KrU", "Gauß-Krü".encode("latin-1")))
    with rasterio.open(result_of(source, tmp_path / "b.tif")) as dst:
        assert "Gauß-Krüger 4" in dst.crs.to_wkt()
        assert dst.crs.to_dict() == expected


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_classes_are_told_by_names_in_any_text(tmp_path, encoding):
    names = "".join(f"<Category>Böden {n}</Category>" for n in range(200))
    values = np.random.default_rng(0).integers(0, 200, (1, 40, 50), np.uint8)
    source = write_raster(tmp_path / "a.tif", values, transform=NORTH_UP)
    beside = BAND.format(f"<CategoryNames>{names}</CategoryNames>").encode(encoding)
    source.with_name("a.tif.aux.xml").write_bytes(beside)
    assert RasterReader("auto").read(source).meaning.reason == "category names"
    target = result_of(source, tmp_path / "b.tif")
    assert "Böden 199" in target.with_name("b.tif.aux.xml").read_text("utf-8")


def test_what_is_not_utf_8_is_said_of_no_other_raster(tmp_path):
    with open_raster(write_raster(tmp_path / "a.tif", tags={"place": "Börde"})) as dataset:
        assert dataset.tags()["place"] == "Börde"
        assert not dataset.has_guessed
