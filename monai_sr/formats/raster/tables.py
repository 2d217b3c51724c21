"""Reads what GDAL knows of a raster and rasterio does not tell: names of classes, attribute tables.

GDAL raster data model: https://gdal.org/user/raster_data_model.html; GDALRATFieldUsage and
GDALRATTableType, https://gdal.org/api/raster_c_api.html; dBASE III, as ArcGIS writes attribute
tables beside rasters of one band (``.vat.dbf``), which GDAL 3.10 does not read.
"""

from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from rasterio.io import DatasetReader

from monai_sr.formats.raster.fields import cf_tags
from monai_sr.formats.raster.texts import gdal_facts

_LAYER_TYPES = ("LAYER_TYPE", "RepresentationType")  # of Erdas Imagine, of ArcGIS
_FLAGS = frozenset({"flag_values", "flag_masks"})  # CF conventions, 3.5
_PIXEL_COUNT, _NAME, _MIN, _MAX = "1", "2", "3", "4"  # GFU_... of GDAL's attribute tables
_TEXT = "2"  # GFT_String
_DBF_PART, _DBF_MOST, _DBF_TYPE, _DBF_TEXT, _DBF_END = 32, 2**13, 11, ord("C"), 0x0D


def named_bands(src: DatasetReader) -> dict[int, str]:
    """Return for each band whose values are declared to be classes by what they are so.

    Names of categories do; a thematic attribute table that names its rows, unless they are ranges
    of values, also ArcGIS' beside the file; and the layer types of Erdas and ArcGIS, which GDAL
    carries on.

    Args:
        src: an open raster; what only stands for one, as an array does, has no tables.

    Returns:
        Words for the log, by the number of the band from 1.
    """
    found: dict[int, str] = {}
    if not isinstance(src, DatasetReader):
        return found
    for band, said in enumerate(gdal_facts(src).findall("VRTRasterBand"), start=1):
        tags = cf_tags(src, band)
        if said.find("CategoryNames/Category") is not None:
            found[band] = "category names"
        elif _names_rows(said.find("GDALRasterAttributeTable")):
            found[band] = "a table of classes"
        elif any(tags.get(name, "").lower() == "thematic" for name in _LAYER_TYPES):
            found[band] = "a thematic layer"
        elif not _FLAGS.isdisjoint(tags):
            found[band] = "flags of the CF conventions"
    if src.count == 1 and not found and _has_named_vat(Path(src.name)):
        found[1] = "a table of classes"
    return found


def _has_named_vat(path: Path) -> bool:
    """Tell whether ArcGIS' table beside a raster has a column of text."""
    head = b""
    with suppress(OSError), path.with_name(f"{path.name}.vat.dbf").open("rb") as stream:
        head = stream.read(_DBF_MOST)
    columns = (head[at : at + _DBF_PART] for at in range(_DBF_PART, len(head), _DBF_PART))
    for column in columns:
        if len(column) < _DBF_PART or column[0] == _DBF_END:
            return False
        if column[_DBF_TYPE] == _DBF_TEXT:
            return True
    return False


def _names_rows(table: ElementTree.Element | None) -> bool:
    if table is None or table.get("tableType") != "thematic":
        return False
    uses = [column.findtext("Usage") for column in table.findall("FieldDefn")]
    types = [column.findtext("Type") for column in table.findall("FieldDefn")]
    rows = [[cell.text for cell in row.findall("F")] for row in table.findall("Row")]
    if _MIN in uses and _MAX in uses:
        low, high = uses.index(_MIN), uses.index(_MAX)
        if any(row[low] != row[high] for row in rows):
            return False
    return bool(rows) and (_NAME in uses or _TEXT in types)


def class_table(band: ElementTree.Element) -> ElementTree.Element | None:
    """Return the table of what the codes of a band mean, without its counts of pixels.

    Args:
        band: from :func:`monai_sr.formats.raster.texts.gdal_facts`.
    """
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
