"""Keeps what a raster says and its format cannot hold: in ``.aux.xml`` beside it, as GDAL does.

GeoTIFF has no place for names of categories, none for color tables beside other bands, of types
other than uint8 and uint16 or with opacity, none for reference systems without EPSG method such as
a rotated pole, and rasterio none for the epoch of coordinates. PNG of GDAL takes neither XMP nor
resolution.
GDAL, Persistent Auxiliary Metadata, https://gdal.org/user/raster_data_model.html; PNG (third
edition), 11.3.3.4 iTXt, 11.3.4.3 pHYs; XMP specification, part 3, 1.1.5.
"""

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from monai_sr.core import atomic_file, gdal_name, ignored_warnings
from monai_sr.formats.meaning import kind_of
from monai_sr.formats.raster.bands import band_colors
from monai_sr.formats.raster.facts import has_same_bands
from monai_sr.formats.raster.keep_list import is_deidentified, kept_crs, kept_wkt
from monai_sr.formats.raster.tables import class_table
from monai_sr.formats.raster.texts import gdal_facts

# .vat.dbf: ArcGIS keeps names of classes there.
_BESIDE = (".aux.xml", ".msk", ".msk.ovr", ".ovr", ".vat.dbf")
_XMP_KEYWORD = b"XML:com.adobe.xmp\0\0\0\0\0"
_IHDR_END = 33
_METERS_PER_INCH = 0.0254
_PART_BYTES = 2**20
_IEND = b"\0\0\0\0IEND\xaeB`\x82"


def files_of_gdal(image: Path) -> list[Path]:
    """Name the files of what belongs to an image: facts, mask, overviews and names of classes."""
    return [image.with_name(f"{image.name}{end}") for end in _BESIDE]


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
    # Not tried where there are none: their names may be longer than names can be.
    for file in filter(os.path.lexists, others if written else (path, *others)):
        file.unlink(missing_ok=True)


def beside_text(
    src: DatasetReader, result: Path, meta: Mapping[str, Any], *, has_values: bool = True
) -> str:
    """Return the ``.aux.xml`` that a finished result needs; empty where its format holds all.

    Args:
        src: source raster.
        result: the result, under whatever name.
        meta: its meta: one that is de-identified names no classes.
        has_values: whether its values mean what those of the source do, as those of a map do not.
    """
    facts = gdal_facts(src)
    root = ElementTree.Element("PAMDataset")
    with (
        ignored_warnings(NotGeoreferencedWarning),
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        rasterio.open(gdal_name(result)) as dst,
    ):
        system, crs = facts.find("SRS"), src.crs
        if is_deidentified(meta) and system is not None:
            system.text, crs = kept_wkt(system.text or ""), kept_crs(crs)
        is_lost = crs is not None and dst.crs != crs
        has_epoch = system is not None and "coordinateEpoch" in system.attrib
        if system is not None and dst.driver == "GTiff" and (is_lost or has_epoch):
            root.append(system)
        # A palette that was expanded has colors for values, and none of them a name.
        is_kept = has_values and has_same_bands(src, dst.count, kind_of(meta))
        for index, band in enumerate(facts.findall("VRTRasterBand") if is_kept else (), start=1):
            named = (band.find("CategoryNames"), class_table(band))
            kept = [*(() if is_deidentified(meta) else named)]
            kept += _lost_colors(src, dst, band) if index == 1 else ()  # GDAL reads no other
            if any(part is not None for part in kept):
                element = ElementTree.SubElement(root, "PAMRasterBand", band=str(index))
                element.extend(part for part in kept if part is not None)
    if not len(root):
        return ""
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _lost_colors(
    src: DatasetReader, dst: DatasetReader, band: ElementTree.Element
) -> list[ElementTree.Element]:
    """Return the first band's color table if the result has not every color and opacity of it."""
    table, meaning = band.find("ColorTable"), band.find("ColorInterp")
    if table is None or meaning is None or band_colors(src)[0] != ColorInterp.palette:
        return []
    stored = {}
    with contextlib.suppress(ValueError):  # it has no table
        stored = dst.colormap(1)
    return [] if src.colormap(1).items() <= stored.items() else [meaning, table]


def add_png_chunks(
    path: Path,
    xmp: str,
    dpi: Sequence[float] | None = None,
    hdr: bytes = b"",
    exif: bytes = b"",
) -> None:
    """Add to a finished PNG file what GDAL does not write.

    Args:
        path: the file.
        xmp: the packet, which becomes the last chunk but one; "" for none.
        dpi: pixels an inch along both axes, which become the second chunk; None for none.
        hdr: whole chunks that come before it.
        exif: what becomes a chunk behind it; empty for none.
    """
    with path.open("r+b") as stream:
        if xmp:
            stream.seek(-len(_IEND), 2)
            stream.write(_chunk(b"iTXt" + _XMP_KEYWORD + xmp.encode()) + _IEND)
        if exif:
            _insert(stream, _chunk(b"eXIf" + exif))
        if dpi is not None:
            sides = (round(each / _METERS_PER_INCH).to_bytes(4, "big") for each in dpi)
            _insert(stream, _chunk(b"pHYs" + b"".join(sides) + b"\1"))
        if hdr:
            _insert(stream, hdr)


def _chunk(body: bytes) -> bytes:
    return (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _insert(stream: BinaryIO, new: bytes) -> None:
    """Put chunks behind the first one; all behind moves, a part at a time."""
    at, carried = _IHDR_END, new
    while carried:
        stream.seek(at)
        block = stream.read(_PART_BYTES)
        joined = carried + block
        stream.seek(at)
        at += stream.write(joined[: len(block)] if block else joined)
        carried = joined[len(block) :] if block else b""
