"""Keeps what a raster says and its format cannot hold: in ``.aux.xml`` beside it, as GDAL does.

GeoTIFF has no place for names of categories, none for reference systems without EPSG method such as
a rotated pole, and rasterio none for the epoch of coordinates. PNG of GDAL takes no XMP.
GDAL, Persistent Auxiliary Metadata, https://gdal.org/user/raster_data_model.html; PNG (third
edition), 11.3.3.4 iTXt; XMP specification, part 3, 1.1.5.
"""

import contextlib
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from monai_sr.core import atomic_file, gdal_name, ignored_warnings
from monai_sr.formats.raster.keep_list import is_deidentified

_OF_GDAL = (".aux.xml", ".msk", ".msk.ovr", ".ovr")
_PIXEL_COUNT = "1"  # GFU_PixelCount of GDAL's attribute tables
_XMP_KEYWORD = b"XML:com.adobe.xmp\0\0\0\0\0"
_IEND = b"\0\0\0\0IEND\xaeB`\x82"


def files_of_gdal(image: Path) -> list[Path]:
    """Name the files in which GDAL keeps what belongs to an image: facts, mask and overviews."""
    return [image.with_name(f"{image.name}{end}") for end in _OF_GDAL]


@contextlib.contextmanager
def side_car(result: Path) -> Iterator[Callable[[str], None]]:
    """Yield what writes ``.aux.xml`` beside a result; both appear, or neither.

    Older ones, of a result of the same name, go away, and so do a mask and overviews beside it:
    they are of other pixels. They go once the result has its name, so that a failure leaves the
    older one whole.

    Args:
        result: the final name, given to the result inside the block.
    """
    path, *others = files_of_gdal(result)
    written = []

    def write(text: str) -> None:
        if text:
            with atomic_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(path)

    try:
        yield write
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    for file in others if written else (path, *others):
        file.unlink(missing_ok=True)


def beside_text(src: DatasetReader, result: Path, meta: Mapping[str, Any]) -> str:
    """Return the ``.aux.xml`` that a finished result needs; empty where its format holds all.

    Args:
        src: source raster.
        result: the result, under whatever name.
        meta: its meta: one that is de-identified names no classes.
    """
    facts = _facts(src)
    root = ElementTree.Element("PAMDataset")
    with (
        ignored_warnings(NotGeoreferencedWarning),
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        rasterio.open(gdal_name(result)) as dst,
    ):
        system = facts.find("SRS")
        is_lost = src.crs is not None and dst.crs != src.crs
        has_epoch = system is not None and "coordinateEpoch" in system.attrib
        if system is not None and dst.driver == "GTiff" and (is_lost or has_epoch):
            root.append(system)
        was_palette = src.colorinterp[0] == ColorInterp.palette
        is_palette = dst.colorinterp[0] == ColorInterp.palette
        # A palette that was expanded has colors for values, and none of them a name.
        is_kept = src.count == dst.count and not is_deidentified(meta)
        if is_kept and was_palette == is_palette:
            for index, band in enumerate(facts.iter("VRTRasterBand"), start=1):
                _add_band(root, index, band)
    if not len(root):
        return ""
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _facts(src: DatasetReader) -> ElementTree.Element:
    """Return all that GDAL knows of a raster, as a VRT says it; rasterio tells less."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.vrt"
        try:
            with ignored_warnings(NotGeoreferencedWarning):
                rasterio.shutil.copy(src, gdal_name(path), driver="VRT")
            return ElementTree.fromstring(path.read_bytes())
        except (RasterioError, ElementTree.ParseError):
            return ElementTree.Element("VRTDataset")


def _add_band(root: ElementTree.Element, index: int, band: ElementTree.Element) -> None:
    kept = [part for part in (band.find("CategoryNames"), _attributes(band)) if part is not None]
    if kept:
        element = ElementTree.SubElement(root, "PAMRasterBand", band=str(index))
        element.extend(kept)


def _attributes(band: ElementTree.Element) -> ElementTree.Element | None:
    """Return the table of what the codes of a band mean, without its counts of pixels."""
    table = band.find("GDALRasterAttributeTable")
    if table is None or table.get("tableType") != "thematic":
        return None
    columns = table.findall("FieldDefn")
    counts = {n for n, column in enumerate(columns) if column.findtext("Usage") == _PIXEL_COUNT}
    for row in (table, *table.findall("Row")):
        cells = columns if row is table else row.findall("F")
        for number in counts:
            row.remove(cells[number])
    for number, column in enumerate(table.findall("FieldDefn")):
        column.set("index", str(number))
    return table


def add_png_xmp(path: Path, xmp: str) -> None:
    """Add XMP to a finished PNG file, as the last chunk but one.

    Args:
        path: the file.
        xmp: the packet; nothing is done where it is empty.
    """
    if not xmp:
        return
    body = b"iTXt" + _XMP_KEYWORD + xmp.encode()
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    with path.open("r+b") as stream:
        stream.seek(-len(_IEND), 2)
        stream.write(chunk + _IEND)
