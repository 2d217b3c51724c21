"""Writes small Sentinel-2 products in the structure of real ones: metadata, granule, JPEG 2000.

Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD (compact SAFE, PSD 14).
"""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

RESOLUTIONS = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10,
    "B8A": 20, "B09": 60, "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip
"""Native resolution in meters of each band, in the order of ``bandId``."""

SIZE_M = (360, 480)
EAST_M, NORTH_M = 600_000.0, 5_100_000.0
SENSED = "20230821T101601"
TILE = "T32TQM"

_COARSER = {"R10m": ("B02", "B03", "B04", "B08")}
_COARSER["R20m"] = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")
_COARSER["R60m"] = (*_COARSER["R20m"][:8], "B09", "B11", "B12")


def write_product(
    folder: Path,
    *,
    level: str = "2A",
    baseline: str = "05.09",
    offset: int | None = -1000,
    quantification: str = "10000",
    granules: int = 1,
) -> Path:
    """Write ``<name>.SAFE`` into ``folder``; a strip of 60 m in the west is NODATA.

    Args:
        folder: where it goes.
        level: "2A" or "1C".
        baseline: of processing, such as "05.09".
        offset: of every band; None states none, as before baseline 04.00.
        quantification: as the metadata state it.
        granules: tiles that the metadata list.
    """
    name = f"S2A_MSIL{level}_{SENSED}_N{baseline.replace('.', '')}_R065_{TILE}_20230821T161201.SAFE"
    product = folder / name
    granule = f"GRANULE/L{level}_{TILE}_A042633_{SENSED}"
    images = []
    if level == "2A":
        for place, bands in _COARSER.items():
            resolution = int(place[1:-1])
            extra = ("TCI", "AOT", "WVP", *(() if resolution == 10 else ("SCL",)))
            images += [
                (
                    f"{granule}/IMG_DATA/{place}/{TILE}_{SENSED}_{band}_{resolution}m",
                    band,
                    resolution,
                )
                for band in (*bands, *extra)
            ]
    else:
        images += [
            (f"{granule}/IMG_DATA/{TILE}_{SENSED}_{band}", band, RESOLUTIONS.get(band, 10))
            for band in (*RESOLUTIONS, "TCI")
        ]
    for path, band, resolution in images:
        _write_jp2(product / f"{path}.jp2", band, resolution)
    (product / granule / "QI_DATA").mkdir()
    _write_jp2(product / granule / "QI_DATA" / "MSK_CLDPRB_20m.jp2", "SCL", 20)
    (product / granule / "MTD_TL.xml").write_text(_TILE_METADATA.format(level=level))
    (product / "manifest.safe").write_text("<xfdu/>\n")
    (product / f"MTD_MSIL{level}.xml").write_text(
        _metadata(name, level, baseline, offset, quantification, [i[0] for i in images], granules)
    )
    return product


def write_zip(product: Path) -> Path:
    """Pack a product as it is offered for download: ``<name>.zip`` with the folder inside."""
    target = product.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, file.relative_to(product.parent))
    return target


def band_file(product: Path, band: str, resolution: int) -> Path:
    """Return the JPEG 2000 file of a band at a resolution."""
    found = [
        f for f in product.rglob(f"*_{band}*.jp2")
        if f.stem.endswith((f"_{resolution}m", band)) and "IMG_DATA" in f.parts
    ]  # fmt: skip
    assert len(found) == 1, found
    return found[0]


def stored(product: Path, bands: tuple[str, ...], resolution: int) -> np.ndarray:
    """Read bands by rasterio from their own files: (C, H, W)."""
    planes = []
    for band in bands:
        with rasterio.open(band_file(product, band, resolution)) as dataset:
            planes.append(dataset.read(1))
    return np.stack(planes)


def _write_jp2(path: Path, band: str, resolution: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_jp2(band, resolution))


@cache
def _jp2(band: str, resolution: int) -> bytes:
    """Encode a band without loss, the same in every product."""
    height, width = (side // resolution for side in SIZE_M)
    rng = np.random.default_rng(sum(map(ord, band)) + resolution)
    if band == "TCI":
        array = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    elif band == "SCL":
        array = rng.integers(0, 12, (1, height, width), dtype=np.uint8)
    else:
        array = rng.integers(1001, 9000, (1, height, width), dtype=np.uint16)
        array[..., : max(1, 60 // resolution)] = 0
    with rasterio.MemoryFile(ext=".jp2") as memory:
        with memory.open(
            driver="JP2OpenJPEG", height=height, width=width, count=len(array), dtype=array.dtype,
            crs="EPSG:32632", QUALITY=100, REVERSIBLE="YES", YCBCR420="NO",
            transform=Affine(resolution, 0, EAST_M, 0, -resolution, NORTH_M),
        ) as dst:  # fmt: skip
            dst.write(array)
        return bytes(memory.getbuffer())


def _metadata(name, level, baseline, offset, quantification, images, granules):
    files = "".join(f"<IMAGE_FILE>{image}</IMAGE_FILE>\n" for image in images)
    granule = (
        f'<Granule datastripIdentifier="DS" granuleIdentifier="TL" imageFormat="JPEG2000">\n'
        f"{files}</Granule>\n"
    )
    kind = {"2A": "BOA", "1C": ""}[level]
    value = f'<{kind}{"_" if kind else ""}QUANTIFICATION_VALUE unit="none">{quantification}'
    value += f"</{kind}{'_' if kind else ''}QUANTIFICATION_VALUE>"
    if level == "2A":
        value = (
            f"<QUANTIFICATION_VALUES_LIST>{value}"
            '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
            '<WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>'
            "</QUANTIFICATION_VALUES_LIST>"
        )
    added = ""
    if offset is not None:
        tag, home = {
            "2A": ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST"),
            "1C": ("RADIO_ADD_OFFSET", "Radiometric_Offset_List"),
        }[level]
        each = "".join(f'<{tag} band_id="{i}">{offset}</{tag}>' for i in range(len(RESOLUTIONS)))
        added = f"<{home}>{each}</{home}>"
    return _PRODUCT_METADATA.format(
        name=name, level=level, baseline=baseline, granules=granule * granules, value=value,
        added=added,
    )  # fmt: skip


_PRODUCT_METADATA = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd">
<n1:General_Info>
<Product_Info>
<PRODUCT_START_TIME>2023-08-21T10:16:01.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{name}</PRODUCT_URI>
<PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
<PRODUCT_TYPE>S2MSI{level}</PRODUCT_TYPE>
<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<GENERATION_TIME>2023-08-21T16:12:01.000000Z</GENERATION_TIME>
<Datatake datatakeIdentifier="GS2A_20230821T101601_042633_N{baseline}">
<SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<DATATAKE_SENSING_START>2023-08-21T10:16:01.024Z</DATATAKE_SENSING_START>
</Datatake>
<Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
<Product_Organisation><Granule_List>
{granules}</Granule_List></Product_Organisation>
</Product_Info>
<Product_Image_Characteristics>
<Special_Values>
<SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
</Special_Values>
<Special_Values>
<SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
</Special_Values>
{value}
{added}
</Product_Image_Characteristics>
</n1:General_Info>
</n1:Level-{level}_User_Product>
"""  # noqa: E501 - as in real products

_TILE_METADATA = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level}_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Geocoding metadataLevel="Brief">
<HORIZONTAL_CS_NAME>WGS84 / UTM zone 32N</HORIZONTAL_CS_NAME>
<HORIZONTAL_CS_CODE>EPSG:32632</HORIZONTAL_CS_CODE>
<Size resolution="10"><NROWS>36</NROWS><NCOLS>48</NCOLS></Size>
<Size resolution="20"><NROWS>18</NROWS><NCOLS>24</NCOLS></Size>
<Size resolution="60"><NROWS>6</NROWS><NCOLS>8</NCOLS></Size>
<Geoposition resolution="10"><ULX>600000</ULX><ULY>5100000</ULY><XDIM>10</XDIM><YDIM>-10</YDIM></Geoposition>
<Geoposition resolution="20"><ULX>600000</ULX><ULY>5100000</ULY><XDIM>20</XDIM><YDIM>-20</YDIM></Geoposition>
<Geoposition resolution="60"><ULX>600000</ULX><ULY>5100000</ULY><XDIM>60</XDIM><YDIM>-60</YDIM></Geoposition>
</Tile_Geocoding></n1:Geometric_Info>
</n1:Level-{level}_Tile_ID>
"""  # noqa: E501 - as in real products
