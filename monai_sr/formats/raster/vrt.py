"""Reads which files a VRT names, and refuses VRTs that do more than arrange pixels of images.

GDAL's VRT: https://gdal.org/drivers/raster/vrt.html. Its parser ignores case and takes attributes
for elements, so all are named here: what is not known might name a file.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from monai_sr.core import BadImageError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MARK = b"<vrtdataset"
_MOST_BYTES = 64 * 2**20
_NAMES_FILE = ("sourcefilename", "sourcedataset")
_ELEMENTS = _words(
    """
    vrtdataset srs geotransform metadata mdi gcplist gcp maskband overviewlist vrtrasterband
    description unittype offset scale nodatavalue hidenodatavalue colorinterp colortable entry
    categorynames category histograms histitem histmin histmax bucketcount includeoutofrange
    approximate histcounts gdalrasterattributetable fielddefn name type usage row f simplesource
    complexsource averagedsource kernelfilteredsource nodatasource sourcefilename sourceband
    sourceproperties srcrect dstrect nodata usemaskband scaleoffset scaleratio lut exponent
    srcmin srcmax dstmin dstmax clamp colortablecomponent kernel size coefs overview blockxsize
    blockysize pixelfunctiontype pixelfunctionlanguage pixelfunctionarguments sourcetransfertype
    skipnoncontributingsources gdalwarpoptions warpmemorylimit resamplealg workingdatatype
    option sourcedataset transformer approxtransformer maxerror basetransformer
    genimgprojtransformer srcgeotransform srcinvgeotransform dstgeotransform dstinvgeotransform
    reprojecttransformer reprojectiontransformer sourcesrs targetsrs bandlist bandmapping
    srcnodatareal srcnodataimag dstnodatareal dstnodataimag srcalphaband dstalphaband initdest
    gcptransformer order reversed
    """
)
_ATTRIBUTES = _words(
    """
    rasterxsize rasterysize datatype band subclass relativetovrt shared domain format key id
    projection pixel line x y z info dataaxistosrsaxismapping coordinateepoch c1 c2 c3 c4 xoff
    yoff xsize ysize blockxsize blockysize normalized index row0min binsize tabletype resampling
    name src dst
    """
)
_CLASSES = frozenset(
    ("vrtsourcedrasterband", "vrtderivedrasterband", "vrtwarpedrasterband", "vrtwarpeddataset")
)


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types: entities may grow without limit, or stand for files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ElementTree.ParseError("a document type")


def is_vrt(header: bytes) -> bool:
    """Tell whether GDAL may take a file for a VRT, by its first bytes."""
    return _MARK in header.lower()


def vrt_sources(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file that a VRT names: as it is written there, and where that is.

    Raises:
        BadImageError: it is no VRT, or holds what might reach files in other ways: raw bands,
            Python, drivers' options, subdatasets.
    """
    # GDAL, too, follows a link to the VRT before it looks for what that names.
    home = os.path.dirname(os.path.realpath(path))
    for element in _walk(_parsed(path)):
        tag = str(element.tag).lower()
        attributes = {str(key).lower(): value for key, value in element.attrib.items()}
        _check(path, tag, attributes, element.text or "")
        if tag in _NAMES_FILE:
            name = element.text or ""
            is_relative = attributes.get("relativetovrt", "0").strip() != "0"
            yield name, Path(os.path.abspath(os.path.join(home, name) if is_relative else name))


def _walk(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield an element and those below it, but for what metadata hold, XMP for instance."""
    yield element
    if str(element.tag).lower() != "metadata":
        for child in element:
            yield from _walk(child)


def _parsed(path: Path) -> ElementTree.Element:
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise BadImageError(
            f"{path}: a VRT must have at most {_MOST_BYTES >> 20} MiB, got more; divide it."
        )
    try:
        # As text: whatever encoding it declares, GDAL reads the bytes as UTF-8.
        text = content.decode("utf-8-sig")
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_Builder()))
        if str(root.tag).lower() != "vrtdataset":
            raise ElementTree.ParseError(f"<{root.tag[:40]}>")
    except (ElementTree.ParseError, ValueError) as error:
        reason = "other bytes than UTF-8" if isinstance(error, UnicodeError) else error
        raise BadImageError(
            f"{path}: must be a well-formed VRT, got {reason}; make it again (gdalbuildvrt)."
        ) from error
    return root


def _check(path: Path, tag: str, attributes: dict[str, str], text: str) -> None:
    got = ""
    if tag not in _ELEMENTS:
        got = f"<{tag[:40]}>"
    elif tag == "pixelfunctionlanguage" and text.strip().lower() not in ("c", "expression"):
        got = "a pixel function of another language"
    elif tag in ("sourcesrs", "targetsrs") and "grids" in text.lower():
        got = "a reference system with grid files"
    elif attributes.get("subclass", "vrtsourcedrasterband").lower() not in _CLASSES:
        got = attributes["subclass"][:40]
    elif tag != "pixelfunctionarguments":
        got = ", ".join(sorted(set(attributes) - _ATTRIBUTES))[:80]
    if got:
        raise BadImageError(
            f"{path}: a VRT must only arrange bands of images, got {got}; write it as GeoTIFF "
            "(gdal_translate), or if you trust it set --linked_files anywhere."
        )
