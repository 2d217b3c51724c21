"""Writes inputs that try to reach something else: files to read, files to write, a server.

Each is small and harmless by itself; what it reaches for is named by the test.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from tests.image_factory import NORTH_UP, write_raster
from tests.sentinel2_factory import write_product

SIDE = 24
_BAND = '<VRTRasterBand dataType="Byte" band="1"{more}>{inner}</VRTRasterBand>'
_SIMPLE = (
    '<SimpleSource><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource>"
)
_WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}</ServerUrl></Service>'
    "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>64</LowerRightX>"
    "<LowerRightY>-64</LowerRightY><SizeX>64</SizeX><SizeY>64</SizeY><TileLevel>0</TileLevel>"
    "<YOrigin>top</YOrigin></DataWindow><BlockSizeX>64</BlockSizeX><BlockSizeY>64</BlockSizeY>"
    "<BandsCount>1</BandsCount></GDAL_WMS>"
)
_MRF = (
    "<MRF_META><CachedSource><Source>{source}</Source></CachedSource><Raster>"
    '<Size x="24" y="24" c="1"/><PageSize x="24" y="24" c="1"/><Compression>NONE</Compression>'
    "<DataFile>{data}</DataFile><IndexFile>{index}</IndexFile></Raster></MRF_META>"
)
_STACIT = (
    '{{"type":"FeatureCollection","stac_version":"1.0.0","features":[{{"type":"Feature",'
    '"stac_version":"1.0.0","stac_extensions":["https://stac-extensions.github.io/projection/'
    'v1.0.0/schema.json"],"id":"a","collection":"c","geometry":null,"properties":{{"proj:epsg":'
    '32633,"proj:bbox":[500000,4999760,500240,5000000],"proj:shape":[24,24],"proj:transform":'
    '[10,0,500000,0,-10,5000000]}},"assets":{{"B":{{"href":"{url}/a.tif","type":"image/tiff"}}}}}}]}}'
)
_OVERVIEW = (
    '<PAMDataset>{more}<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{name}</MDI>'
    "</Metadata></PAMDataset>"
)


def vrt(inner: str, more: str = "", band: str = "") -> str:
    """Return a VRT of one band."""
    return (
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"{more}>'
        + _BAND.format(more=band, inner=inner)
        + "</VRTDataset>"
    )


def source(name: object, relative: int = 0) -> str:
    """Return the source of a VRT's band."""
    return _SIMPLE.format(name=name, relative=relative)


def image(path: Path) -> Path:
    """Write a small GeoTIFF."""
    values = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(1, SIDE, SIDE)
    return write_raster(path, values, crs="EPSG:32633", transform=NORTH_UP)


def _text(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def _beside(folder: Path, ending: str, text: str | bytes) -> Path:
    path = image(folder / "a.tif")
    (folder / f"a.tif{ending}").write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _linked(folder: Path, secret: Path) -> Path:
    (folder / "b.tif").symlink_to(secret)
    return _text(folder, "a.vrt", vrt(source("b.tif", 1)))


def _nested(folder: Path, secret: Path) -> Path:
    _text(folder, "b.vrt", vrt(source(secret)))
    return _text(folder, "a.vrt", vrt(source("b.vrt", 1)))


def _polyglot(folder: Path, text: str) -> Path:
    """A raw raster whose first bytes are another driver's."""
    (folder / "b.tif").write_bytes(text.encode().ljust(SIDE * SIDE, b" "))
    header = (
        f"ENVI\nsamples = {SIDE}\nlines = {SIDE}\nbands = 1\nheader offset = 0\n"
        "file type = ENVI Standard\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
    )
    _text(folder, "b.hdr", header)
    return _text(folder, "a.vrt", vrt(source("b.tif", 1)))


def _own_tag(folder: Path, name: str) -> Path:
    path = image(folder / "a.tif")
    with rasterio.open(path, "r+") as dst:
        dst.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=name)
    return path


def _overview(folder: Path, name: str) -> Path:
    inner = _own_tag(folder, name)
    inner.rename(folder / "a.tif.ovr")
    return image(folder / "a.tif")


def _product(folder: Path, content: str) -> Path:
    product = write_product(folder)
    next(product.rglob("*_B04_10m.jp2")).write_text(content)
    return product


def _zipped(folder: Path, content: str) -> Path:
    product = write_product(folder)
    band = next(product.rglob("*_B04_10m.jp2"))
    band.with_name(f"{band.name}.ovr").write_text(content)
    packed = folder / f"{product.stem}.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return packed


def _hdf5(folder: Path) -> Path:
    path = folder / "a.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + struct.pack("<88x"))
    return path


def attacks(secret: Path, victim: Path, url: str) -> dict[str, Callable[[Path], Path]]:
    """Return what tries to reach other things, by name.

    Args:
        secret: an image elsewhere that nobody asked to read.
        victim: a file elsewhere that nobody asked to write.
        url: of a server that nobody asked to contact.

    Returns:
        name -> writes it into an empty folder and returns the input to name.
    """
    curl = f"/vsicurl/{url}/a.tif"
    wms = _WMS.format(url=url)
    mrf = _MRF.format(source=secret, data=victim, index=f"{victim}.idx")
    python = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        f"</PixelFunctionLanguage><PixelFunctionCode>open({str(victim)!r}, 'w').write('x')"
        "</PixelFunctionCode>"
    )
    raw = f'<SourceFilename relativeToVRT="0">{secret}</SourceFilename><ImageOffset>0</ImageOffset>'
    attribute = f'<SimpleSource SourceFilename="{secret}"><SourceBand>1</SourceBand></SimpleSource>'
    warped = (
        f'<GDALWarpOptions><SourceDataset relativeToVRT="0">{secret}</SourceDataset>'
        "</GDALWarpOptions>"
    )
    sharpened = (
        "<PansharpeningOptions><PanchroBand><SourceFilename>b.tif</SourceFilename></PanchroBand>"
        "</PansharpeningOptions>"
    )
    doctype = f'<!DOCTYPE VRTDataset [<!ENTITY s "{secret}">]>'
    texts = {
        "mrf.png": mrf,
        "mrf.mrf": mrf,
        "wms.xml": wms,
        "wms.png": wms,
        "stacit.json": _STACIT.format(url=url),
        "stacit.tif": _STACIT.format(url=url),
        "wmts.xml": f"<GDAL_WMTS><GetCapabilitiesUrl>{url}/c.xml</GetCapabilitiesUrl></GDAL_WMTS>",
        "wcs.xml": f"<WCS_GDAL><ServiceURL>{url}/?</ServiceURL><CoverageName>a</CoverageName>"
                   "</WCS_GDAL>",
        "gti.xml": f"<GDALTileIndexDataset><IndexDataset>{curl}</IndexDataset>"
                   "</GDALTileIndexDataset>",
        "raw.vrt": vrt(raw, band=' subClass="VRTRawRasterBand"'),
        "raw.jpg": vrt(raw, band=' subclass="vrtrawrasterband"'),
        "python.vrt": vrt(python, band=' subClass="VRTDerivedRasterBand"'),
        "absolute.vrt": vrt(source(secret)),
        "absolute_relative.vrt": vrt(source(secret, 1)),
        "attribute.vrt": vrt(attribute),
        "lower.vrt": vrt(source(secret)).lower().replace("vrtdataset", "VRTDataset"),
        "curl.vrt": vrt(source(curl)),
        "curl.png": vrt(source(curl)),
        "inline.vrt": vrt(source(vrt(source(secret)).replace("<", "&lt;"))),
        "prefix.vrt": vrt(source(f"vrt://{secret}?bands=1")),
        "driver.vrt": vrt(source(f"GTIFF_DIR:1:{secret}")),
        "mask.vrt": vrt("", more="").replace("</VRTDataset>",
            f"<MaskBand>{_BAND.format(more='', inner=source(secret))}</MaskBand></VRTDataset>"),
        "overview.vrt": vrt(f"<Overview><SourceFilename>{secret}</SourceFilename><SourceBand>1"
                            "</SourceBand></Overview>"),
        "warped.vrt": vrt(warped, more=' subClass="VRTWarpedDataset"'),
        "sharpened.vrt": vrt(sharpened, more=' subClass="VRTPansharpenedDataset"'),
        "doctype.vrt": doctype + vrt(source("&s;")),
        "options.vrt": vrt(source("b.tif", 1).replace("<SourceBand>",
            f"<OpenOptions><OOI key='ROOT_PATH'>{secret}</OOI></OpenOptions><SourceBand>")),
    }  # fmt: skip
    made: dict[str, Callable[[Path], Path]] = {
        name: lambda folder, n=name, t=text: _text(folder, n, t)  # type: ignore[misc]
        for name, text in texts.items()
    }
    named = _OVERVIEW.format(name=curl, more="<SRS>EPSG:32633</SRS>")
    return made | {
        "parent": lambda f: _text(
            f, "a.vrt", vrt(source(Path("..") / ".." / secret.parent.name / secret.name, 1))
        ),
        "link": lambda f: _linked(f, secret),
        "nested": lambda f: _nested(f, secret),
        "polyglot_mrf": lambda f: _polyglot(f, mrf),
        "polyglot_wms": lambda f: _polyglot(f, wms),
        "overviews_vrt": lambda f: _beside(f, ".ovr", vrt(source(secret))),
        "overviews_wms": lambda f: _beside(f, ".OvR", wms),
        "mask_mrf": lambda f: _beside(f, ".msk", mrf),
        "pam_and_place": lambda f: _beside(f, ".aux.xml", named),
        "own_tag": lambda f: _own_tag(f, curl),
        "overview_tag": lambda f: _overview(f, curl),
        "safe_vrt": lambda f: _product(f, vrt(source(curl))),
        "safe_wms": lambda f: _product(f, wms),
        "safe_zip": lambda f: _zipped(f, wms),
        "hdf5": _hdf5,
    }


def harmless(url: str) -> dict[str, Callable[[Path], Path]]:
    """Return what names other things, but can be read without them."""
    pam = _OVERVIEW.format(name=f"/vsicurl/{url}/a.tif", more="")
    local = vrt(source("b.tif", 1))

    def beside(folder: Path) -> Path:
        image(folder / "b.tif")
        return _text(folder, "a.vrt", local)

    def below(folder: Path) -> Path:
        (folder / "tiles").mkdir()
        image(folder / "tiles" / "b.tif")
        return _text(folder, "photo.png", vrt(source("tiles/b.tif", 1)))

    def warped(folder: Path) -> Path:
        image(folder / "b.tif")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(folder / "b.tif") as src:
                terms = ", ".join(map(repr, src.transform.to_gdal()))
            back = ", ".join(map(repr, (~src.transform).to_gdal()))
        sides = "".join(
            f"<{side}GeoTransform>{terms}</{side}GeoTransform>"
            f"<{side}InvGeoTransform>{back}</{side}InvGeoTransform>"
            for side in ("Src", "Dst")
        )
        options = (
            f"<GeoTransform>{terms}</GeoTransform><GDALWarpOptions><ResampleAlg>NearestNeighbour"
            '</ResampleAlg><SourceDataset relativeToVRT="1">b.tif</SourceDataset><Transformer>'
            f"<GenImgProjTransformer>{sides}</GenImgProjTransformer></Transformer><BandList>"
            '<BandMapping src="1" dst="1"/></BandList></GDALWarpOptions>'
        )
        text = vrt("", more=' subClass="VRTWarpedDataset"', band=' subClass="VRTWarpedRasterBand"')
        return _text(folder, "a.vrt", text.replace("</VRTDataset>", f"{options}</VRTDataset>"))

    return {
        "pam": lambda f: _beside(f, ".aux.xml", pam),
        "pam_in_lower_case": lambda f: _beside(f, ".aux.xml", pam.replace("OVER", "over")),
        "pam_in_latin_1": lambda f: _beside(
            f, ".aux.xml", pam.replace("a.", "ü.").encode("latin-1")
        ),
        "vrt": beside,
        "vrt_as_photo": below,
        "warped": warped,
    }
