"""What a raster says beside its pixels stays: wavelengths, epoch, reference system, names, XMP."""

from __future__ import annotations

import logging
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine

from monai_sr.formats.facts import Facts
from monai_sr.formats.raster import writer as raster_writer
from monai_sr.formats.raster.facts import xmp_of
from monai_sr.formats.raster.reader import RasterReader
from tests.formats.raster.test_facts import opened, upscale, write
from tests.image_factory import NORTH_UP, ROTATED_POLE, enlarged, pixels, write_raster

UTM = "EPSG:32633"
XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:Camera="http://pix4d.com/camera/1.0/" '
    'Camera:CentralWavelength="560" tiff:Orientation="6" tiff:ImageWidth = "8" '
    'GPano:FullPanoWidthPixels="8" drone-dji:CalibratedFocalLength="3666.6" '
    'tiff:XResolution="72/1">'
    "<tiff:ImageLength>6</tiff:ImageLength><exif:SubjectArea><rdf:Seq><rdf:li>3</rdf:li></rdf:Seq>"
    "</exif:SubjectArea><Camera:BandName>Grün</Camera:BandName>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
KEPT_XMP = (
    XMP.replace(' tiff:Orientation="6"', "")
    .replace(' tiff:ImageWidth = "8"', "")
    .replace(' GPano:FullPanoWidthPixels="8" drone-dji:CalibratedFocalLength="3666.6"', "")
    .replace(' tiff:XResolution="72/1"', "")
)
KEPT_XMP = KEPT_XMP.partition("<tiff:")[0] + KEPT_XMP.partition("</exif:SubjectArea>")[2]


def described(path):
    """Return what GDAL knows of a file, as the XML of a VRT."""
    target = path.with_suffix(".described.vrt")
    rasterio.shutil.copy(path, target, driver="VRT")
    try:
        return ElementTree.parse(target).getroot()
    finally:
        target.unlink()


def beside(path, text):
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{text}</PAMDataset>")
    return path


def test_domains_of_bands_are_kept_without_statistics(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((3, 5, 7), "uint16"), crs=UTM, transform=NORTH_UP
    )
    with rasterio.open(source, "r+") as dst:
        for band in (1, 2, 3):
            dst.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"0.4{band}", FWHM_UM="0.01")
            dst.update_tags(band, ns="CALIBRATION", GAIN=band, STATISTICS_MAXIMUM="9")
        dst.update_tags(STATISTICS_MEAN="1", ACQUIRED="2021")
        dst.update_tags(ns="MINE", STATISTICS_MEAN="1", KEY="value")
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        for band in (1, 2, 3):
            imagery = {"CENTRAL_WAVELENGTH_UM": f"0.4{band}", "FWHM_UM": "0.01"}
            assert dst.tags(band, ns="IMAGERY") == imagery
            assert dst.tags(band, ns="CALIBRATION") == {"GAIN": str(band)}
        assert dst.tags(ns="MINE") == {"KEY": "value"}
        assert dst.tags()["ACQUIRED"] == "2021"
        assert "STATISTICS_MEAN" not in dst.tags()


def test_statistics_beside_the_source_are_not_those_of_the_result(tmp_path):
    source = write_raster(tmp_path / "a.tif", pixels((1, 5, 7)), crs=UTM, transform=NORTH_UP)
    beside(
        source, '<PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MINIMUM">3</MDI></Metadata>'
        "<Histograms/></PAMRasterBand>",
    )  # fmt: skip
    stale = tmp_path / "b.tif.aux.xml"
    stale.write_text("<PAMDataset/>")  # of an older result
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        assert "STATISTICS_MINIMUM" not in dst.tags(1)
    assert not stale.exists()


@pytest.mark.parametrize(
    ("domain", "tags"),
    [
        ("OVERVIEWS", {"OVERVIEW_FILE": "elsewhere.ovr"}),
        ("overviews", {"OVERVIEW_FILE": "elsewhere.ovr"}),
        ("SUBDATASETS", {"SUBDATASET_1_NAME": "NETCDF:x.nc:v"}),
        ("GEOLOCATION", {"X_DATASET": "x.tif", "Y_DATASET": "y.tif"}),
        ("vrt_sources", {"source_0": "<SimpleSource/>"}),
        ("MINE", {"OVERVIEW_FILE": "elsewhere.ovr"}),
        ("MINE", {"WHERE": "http://127.0.0.1:8765/a.tif"}),
        ("MINE", {"WHERE": "/vsicurl/a.tif"}),
    ],
)
def test_what_leads_to_other_files_is_never_copied(tmp_path, monkeypatch, domain, tags):
    monkeypatch.setenv("MONAI_SR_LINKED_FILES", "anywhere")
    source = write_raster(tmp_path / "a.tif", pixels((1, 5, 7)), crs=UTM, transform=NORTH_UP)
    items = "".join(f'<MDI key="{k}">{v.replace("<", "&lt;")}</MDI>' for k, v in tags.items())
    domains = f'<Metadata domain="{domain}">{items}</Metadata>'
    beside(source, f'{domains}<PAMRasterBand band="1">{domains}</PAMRasterBand>')
    upscale(source, tmp_path / "b.tif")
    content = (tmp_path / "b.tif").read_bytes()
    for key, value in tags.items():
        assert key.encode() not in content
        assert value.encode() not in content


def test_coordinate_epoch_is_kept(tmp_path):
    path = tmp_path / "a.vrt"
    write_raster(tmp_path / "plain.tif", pixels((1, 6, 8)))
    rasterio.shutil.copy(tmp_path / "plain.tif", path, driver="VRT")
    system = (
        '<SRS dataAxisToSRSAxisMapping="2,1" coordinateEpoch="2021.3">EPSG:9000</SRS>'
        "<GeoTransform>3, 0.1, 0, 8, 0, -0.1</GeoTransform>"
    )
    text = path.read_text()
    head = text[: text.index(">") + 1]
    path.write_text(head + system + text[len(head) :])
    rasterio.shutil.copy(path, tmp_path / "epoch.tif", driver="GTiff")
    for name in ("a.vrt", "epoch.tif"):
        upscale(tmp_path / name, tmp_path / "b.tif")
        found = described(tmp_path / "b.tif").find("SRS")
        assert found.get("coordinateEpoch") == "2021.3"
        with opened(tmp_path / "b.tif") as dst:
            assert dst.crs == CRS.from_epsg(9000)
            assert dst.transform == Affine(0.05, 0, 3, 0, -0.05, 8)


@pytest.mark.parametrize("name", [ROTATED_POLE, "epoch"])
def test_a_side_car_of_a_deidentified_result_names_nobody(tmp_path, name):
    own = ROTATED_POLE.replace("Rotated_pole", "Dr Jane Doe")
    write_raster(tmp_path / "plain.tif", pixels((1, 6, 8)))
    rasterio.shutil.copy(tmp_path / "plain.tif", tmp_path / "a.vrt", driver="VRT")
    text = (tmp_path / "a.vrt").read_text()
    head = text[: text.index(">") + 1]
    epoch = ' coordinateEpoch="2021.3"' if name == "epoch" else ""
    system = f"<SRS{epoch}>{own.replace('&', '&amp;')}</SRS>"
    (tmp_path / "a.vrt").write_text(head + system + text[len(head) :])
    stored, meta = RasterReader().get_data(RasterReader().read(tmp_path / "a.vrt"))
    result, updated = enlarged(stored, meta, 2)
    Facts(updated).is_deidentified = 1
    writer = raster_writer.RasterWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated)
    writer.write(tmp_path / "b.tif")
    found = (tmp_path / "b.tif.aux.xml").read_text()
    assert "Jane" not in found
    assert ("2021.3" in found) == bool(epoch)
    with opened(tmp_path / "a.vrt") as src, opened(tmp_path / "b.tif") as dst:
        assert dst.crs == src.crs
        assert "Jane" in src.crs.to_wkt()
        assert "Jane" not in dst.crs.to_wkt()


def test_bands_of_masks_are_no_bands(tmp_path):
    write_raster(tmp_path / "a.tif", pixels((2, 5, 7)))
    write_raster(tmp_path / "mask.tif", (pixels((1, 5, 7)) > 99) * np.uint8(255))

    def band(number, said=""):
        def of(file, index):
            return (
                f'<SimpleSource><SourceFilename relativeToVRT="1">{file}</SourceFilename>'
                f"<SourceBand>{index}</SourceBand></SimpleSource>"
            )

        mask = f'<VRTRasterBand dataType="Byte">{of("mask.tif", 1)}</VRTRasterBand>'
        return (
            f'<VRTRasterBand dataType="Byte" band="{number}">{said}{of("a.tif", number)}'
            f"<MaskBand>{mask}</MaskBand></VRTRasterBand>"
        )

    names = "<CategoryNames><Category>x</Category></CategoryNames>"
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="7" rasterYSize="5">{band(1)}{band(2, names)}</VRTDataset>'
    )
    upscale(tmp_path / "a.vrt", tmp_path / "b.tif")
    root = ElementTree.parse(tmp_path / "b.tif.aux.xml").getroot()
    assert [part.get("band") for part in root] == ["2"]


def test_reference_system_that_only_a_side_car_holds_is_kept(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((1, 6, 8)), crs=CRS.from_wkt(ROTATED_POLE), transform=NORTH_UP
    )
    assert (tmp_path / "a.tif.aux.xml").exists()
    upscale(source, tmp_path / "b.tif")
    with opened(source) as src, opened(tmp_path / "b.tif") as dst:
        assert dst.crs == src.crs
        assert "Rotated_pole" in dst.crs.to_wkt()
        assert dst.bounds == src.bounds


@pytest.mark.parametrize("name", ["b.tif", "b.png"])
def test_names_of_categories_and_meanings_of_codes_are_kept(tmp_path, name):
    source = write_raster(tmp_path / "a.tif", pixels((1, 5, 7)) % 3)
    table = (
        '<GDALRasterAttributeTable tableType="thematic">'
        '<FieldDefn index="0"><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>'
        '<FieldDefn index="1"><Name>Count</Name><Type>0</Type><Usage>1</Usage></FieldDefn>'
        '<FieldDefn index="2"><Name>Class</Name><Type>2</Type><Usage>2</Usage></FieldDefn>'
        '<Row index="0"><F>0</F><F>12</F><F>water</F></Row>'
        '<Row index="1"><F>1</F><F>23</F><F>forest &amp; shrub</F></Row>'
        "</GDALRasterAttributeTable>"
    )
    names = "".join(f"<Category>{n}</Category>" for n in ("water", "forest &amp; shrub", ""))
    beside(
        source, '<PAMRasterBand band="1"><CategoryNames>' + names + "</CategoryNames>"
        f"{table}</PAMRasterBand>",
    )  # fmt: skip
    upscale(source, tmp_path / name)
    band = described(tmp_path / name).find("VRTRasterBand")
    found = [part.text or "" for part in band.find("CategoryNames")]
    assert found == ["water", "forest & shrub", ""]
    kept = band.find("GDALRasterAttributeTable")
    assert [column.findtext("Name") for column in kept.findall("FieldDefn")] == ["Value", "Class"]
    assert [part.text for part in kept.findall("Row/F")] == ["0", "water", "1", "forest & shrub"]


def test_an_expanded_palette_has_no_categories(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((1, 5, 7)) % 2, photometric="palette", transform=NORTH_UP
    )
    with rasterio.open(source, "r+") as dst:
        dst.write_colormap(1, {0: (0, 0, 0, 255), 1: (90, 90, 90, 255)})
    beside(
        source, '<PAMRasterBand band="1"><CategoryNames><Category>a</Category></CategoryNames>'
        "</PAMRasterBand>",
    )  # fmt: skip
    upscale(source, tmp_path / "b.tif")
    with opened(tmp_path / "b.tif") as dst:
        is_palette = dst.colorinterp[0] == rasterio.enums.ColorInterp.palette
    assert (tmp_path / "b.tif.aux.xml").exists() == is_palette


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
def test_colors_of_codes_are_kept_with_their_opacity_in_every_type(tmp_path, dtype, private):
    colors = {0: (10, 20, 30, 255), 1: (1, 100, 1, 0), 2: (200, 100, 1, 128)}
    codes = np.kron([[0, 1], [2, 0]], np.ones((4, 4)))[None].astype(dtype)
    source = write_raster(tmp_path / "a.tif", codes, transform=NORTH_UP)
    entries = "".join(
        '<Entry c1="{}" c2="{}" c3="{}" c4="{}"/>'.format(*color) for color in colors.values()
    )
    beside(
        source, '<PAMRasterBand band="1"><ColorInterp>Palette</ColorInterp>'
        f"<ColorTable>{entries}</ColorTable></PAMRasterBand>",
    )  # fmt: skip
    reader = RasterReader("auto")
    stored, meta = reader.get_data(reader.read(source))
    Facts(meta).is_deidentified = int(private)
    write(tmp_path, *enlarged(stored, meta, 2))
    with opened(tmp_path / "b.tif") as dst:
        assert dst.colorinterp == (rasterio.enums.ColorInterp.palette,)
        assert {code: dst.colormap(1)[code] for code in colors} == colors
        assert np.array_equal(dst.read()[:, ::2, ::2], codes)


@pytest.mark.parametrize("name", ["b.tif", "b.png"])
def test_xmp_is_kept_without_what_counts_pixels(tmp_path, name):
    Image.fromarray(pixels((6, 8, 3))).save(tmp_path / "a.jpg", xmp=XMP.encode())
    upscale(tmp_path / "a.jpg", tmp_path / name)
    with opened(tmp_path / name) as dst:
        assert dst.tags(ns="xml:XMP") == {"xml:XMP": KEPT_XMP}
        assert xmp_of(dst, {}) == KEPT_XMP
    with Image.open(tmp_path / name) as image:
        image.load()  # every chunk has its checksum
        found = image.info["xmp"]
        assert (found if isinstance(found, bytes) else found.encode()) == KEPT_XMP.encode()


def test_geolocation_arrays_are_announced(tmp_path, caplog):
    for name in ("plain", "lon", "lat"):
        write_raster(tmp_path / f"{name}.tif", pixels((1, 5, 7)))
    path = tmp_path / "a.vrt"
    rasterio.shutil.copy(tmp_path / "plain.tif", path, driver="VRT")
    text = path.read_text()
    head = text[: text.index(">") + 1]
    path.write_text(
        f'{head}<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">lon.tif</MDI>'
        f'<MDI key="Y_DATASET">lat.tif</MDI></Metadata>{text[len(head) :]}'
    )
    with caplog.at_level(logging.WARNING):
        upscale(path, tmp_path / "b.png")
    assert "gdalwarp -geoloc" in caplog.text


def test_camera_models_that_cannot_be_read_are_announced(tmp_path, caplog):
    source = write_raster(tmp_path / "a.tif", pixels((1, 5, 7)))
    beside(source, '<Metadata domain="RPC"><MDI key="LINE_OFF">broken</MDI></Metadata>')
    with caplog.at_level(logging.WARNING):
        upscale(source, tmp_path / "b.tif")
    assert "gdalwarp -rpc" in caplog.text


def test_result_and_side_car_appear_together_or_not_at_all(tmp_path, monkeypatch):
    source = write_raster(tmp_path / "a.tif", pixels((1, 6, 8)), crs=CRS.from_wkt(ROTATED_POLE))

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_sr.core.atomic._flush", fail)
    with pytest.raises(raster_writer.OutputError):
        upscale(source, tmp_path / "out" / "b.tif")
    assert not list(tmp_path.glob("out/*"))
    monkeypatch.undo()
    upscale(source, tmp_path / "out" / "b.tif")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b.tif", "b.tif.aux.xml"]
    shutil.rmtree(tmp_path / "out")
