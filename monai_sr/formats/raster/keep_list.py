"""What a de-identified raster or photo may still say: a keep-list, all else goes.

Numbers and terms that pixels need to be understood stay: place on the map, resolution, wavelength,
units, names of bands and of well-known color profiles. Free text, dates, names, serial numbers,
GPS, comments, EXIF, IPTC and XMP do not, whatever they are called (PS3.15 E.1 takes the same way
for what its table does not name).
"""

import base64
import io
import math
import re
from collections.abc import Mapping
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError

from monai_sr.core import get_logger
from monai_sr.formats.facts import Facts

logger = get_logger(__name__)

_NUMBERS = {
    "TIFFTAG_XRESOLUTION", "TIFFTAG_YRESOLUTION", "CENTRAL_WAVELENGTH_UM", "FWHM_UM", "wavelength",
    "fwhm", "NBITS",
}  # fmt: skip
_TERMS = {
    "AREA_OR_POINT": {"Area", "Point"},
    "TIFFTAG_RESOLUTIONUNIT": {"1 (unitless)", "2 (pixels/inch)", "3 (pixels/cm)"},
    "wavelength_units": {"Nanometers", "Micrometers", "nm", "um", "µm"},
}
_BAND = re.compile(
    r"(?:band|b|channel)?[ _-]?\d{1,3}a?|(?:deep |coastal )?(?:red|green|blue|aerosol)(?: band)?"
    r"|alpha|gr[ae]y|coastal|yellow|cyan|magenta|black|pan(?:chromatic)?|near infrared|[vh]{2}"
    r"|(?:red ?edge|vre|nir|swir|mir|tir|lwir)[ _-]?\d{0,2}|ndvi|ndwi|evi|savi|scl|qa_?pixel"
    r"|qa_?radsat|dem|dsm|dtm|elevation|height|slope|aspect|depth|land_?cover|land_?use",
    re.IGNORECASE,
)
_UNITS = {
    "m", "metre", "meter", "metres", "meters", "ft", "feet", "foot", "us-ft", "us survey foot",
    "km", "cm", "mm", "um", "nm", "k", "kelvin", "degc", "degree_celsius", "celsius", "c", "f",
    "db", "decibel", "1", "%", "percent", "degree", "degrees", "deg", "radian", "radians", "rad",
    "reflectance", "dn", "w/m2", "w m-2", "w/(m^2*sr*um)", "w m-2 sr-1 um-1", "kg m-2", "mm/day",
    "m/s", "m s-1", "pa", "hpa", "ppm", "s", "index", "none", "unitless", "dimensionless",
}  # fmt: skip
# Descriptions of profiles that programs bring along; others are of somebody's screen or camera.
_PROFILES = re.compile(
    r"Adobe RGB \(1998\)|Display P3|ProPhoto RGB|ROMM RGB.*|Rec\.? ?ITU-R BT\.(?:709|2020)-?\d*"
    r"|Apple RGB|ColorMatch RGB|Wide Gamut RGB|Dot Gain \d+ ?%|Gray Gamma \d\.\d|e?ciRGB v[12]"
)
# What computes colors, and the description that was compared; ICC.1:2022, section 9.2.
_COLOR_TAGS = re.compile(
    rb"[rgb]XYZ|[rgbk]TRC|[wb]tpt|chad|chrm|lumi|gamt|desc|[AB]2[AB]\d|D2B\d|B2D\d"
)
# Well-known text, OGC 18-010r11 and 01-009: a name after its keyword, and texts further within.
_WKT_TEXT = re.compile(r'(\w*)([\[,])"((?:[^"]|"")*)"')
_METHODS = {"METHOD", "PROJECTION", "PARAMETER", "CS"}  # nothing can be computed without them
_UNKNOWN = "unknown"  # PROJ, too, says so of what has no name
_DATUMS = {"DATUM", "ENSEMBLE", "MEMBER"}
_ELLIPSOID = re.compile(r'(?:SPHEROID|ELLIPSOID)\["[^"]*",([-+.\deE]+),([-+.\deE]+)')
_DATUM_ALONE = (
    'GEOGCS["",DATUM["{}",SPHEROID["",{},{}]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]]'
)
_WKT_WORDS = re.compile(
    r"epsg|esri|ogc|iau(?:_\d+)?|ignf|proj4|greenwich|unity|metres?|meters?|kilomet(?:re|er)s?"
    r"|(?:us survey |international |clarke's )?f(?:oo|ee)t|foot_us|us survey foot|degrees?|radians?"
    r"|grads?|gon|years?|\d+|(?:geodetic |ellipsoidal |gravity-related )?(?:latitude|longitude|lat"
    r"|lon|long|height|depth|easting|northing|east|north|up|[xyzenh])?(?: ?\([a-z]+\))?",
    re.IGNORECASE,
)
_PROJ_TERM = re.compile(
    r"\+(?:\w+(?:=[-+.\deE]+)?|(?:o_)?proj=\w+|(?:datum|ellps|v?units|axis|sweep|type)=\w+"
    r"|nadgrids=@null)"
)
_SRGB = re.compile(r"sRGB(?: IEC61966-?2[.-]1| built-in|\b.*\bv[24]\b.*)?", re.IGNORECASE)


def is_deidentified(meta: Mapping[str, Any]) -> bool:
    """Tell whether a result must say nothing about a person.

    Args:
        meta: metadata of the package's data contract.
    """
    return Facts(meta).is_deidentified


def kept_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of the keep-list whose values look as they must.

    Args:
        tags: of a raster or of a band.

    Example:
        >>> kept_tags({"AREA_OR_POINT": "Area", "TIFFTAG_ARTIST": "Jane Doe", "fwhm": "Jane"})
        {'AREA_OR_POINT': 'Area'}
    """
    return {
        key: value
        for key, value in tags.items()
        if value in _TERMS.get(key, ()) or (key in _NUMBERS and _is_number(value))
    }


def kept_band(name: str | None) -> str:
    """Return the name of a band if it is a usual one, else nothing.

    Args:
        name: as the source has it.
    """
    return name if name and _BAND.fullmatch(name.strip()) else ""


def kept_unit(unit: str | None) -> str:
    """Return a unit of measure if it is a usual one, else nothing.

    Args:
        unit: as the source has it.
    """
    return unit if unit and unit.strip().lower() in _UNITS else ""


def kept_profile(profile: str, name: object) -> str:
    """Return a color profile that is known by name; of another, whose colors differ, say so.

    Args:
        profile: ICC profile, base64, as GDAL gives it.
        name: of the source, for the message.

    Returns:
        The profile; of sRGB a fresh one, without whatever else it said; "" for none.
    """
    from PIL import ImageCms

    try:
        read = ImageCms.ImageCmsProfile(io.BytesIO(base64.b64decode(profile)))
        title = ImageCms.getProfileDescription(read).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        title = ""
    if _SRGB.fullmatch(title):
        fresh = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return base64.b64encode(fresh.tobytes()).decode()
    if _PROFILES.fullmatch(title):
        return base64.b64encode(_without_text(base64.b64decode(profile))).decode()
    logger.warning(
        "%s: its color profile may name a person's device and is left out; colors may look "
        "different: convert it to sRGB first", name,
    )  # fmt: skip
    return ""


def kept_crs(crs: CRS | None) -> CRS | None:
    """Return a reference system without names that EPSG does not know.

    Args:
        crs: of the source; None for none.
    """
    if crs is None:
        return None
    code = crs.to_epsg()
    if code is not None and crs == (official := CRS.from_epsg(code)):
        return official
    return CRS.from_wkt(kept_wkt(crs.to_wkt()))


def kept_wkt(text: str) -> str:
    """Return the well-known text of a reference system with numbers and methods, without texts.

    Only names of datums that EPSG knows, units, axes and authorities stay.

    Args:
        text: as GDAL writes it, on one line.
    """

    def kept(match: re.Match[str]) -> str:
        keyword, sign, value = match.groups()
        ellipsoid = _ELLIPSOID.search(text, match.end())
        if value.startswith("+"):
            value = " ".join(term for term in value.split() if _PROJ_TERM.fullmatch(term))
        elif keyword in _DATUMS and ellipsoid is not None:
            value = value if _is_datum(value, *ellipsoid.groups()) else _UNKNOWN
        elif keyword not in _METHODS and not _WKT_WORDS.fullmatch(value):
            value = _UNKNOWN
        return f'{keyword}{sign}"{value}"'

    return _WKT_TEXT.sub(kept, text)


def _is_datum(name: str, axis: str, flattening: str) -> bool:
    """Tell whether a name is that of a datum of this ellipsoid, as EPSG has them."""
    try:
        return CRS.from_wkt(_DATUM_ALONE.format(name, axis, flattening)).to_epsg() is not None
    except CRSError:
        return False


def _without_text(profile: bytes) -> bytes:
    """Blank copyright, makers, models, dates and private tags of an ICC profile, in place."""
    content = bytearray(profile)
    for begin, end in ((24, 36), (48, 56), (80, 100)):  # date, maker and model, creator and ID
        content[begin:end] = bytes(end - begin)
    for place in range(132, 132 + 12 * int.from_bytes(content[128:132], "big"), 12):
        begin, size = (int.from_bytes(content[place + n : place + n + 4], "big") for n in (4, 8))
        if not _COLOR_TAGS.fullmatch(content[place : place + 4]) and size > 8:
            content[begin + 8 : begin + size] = bytes(len(content[begin + 8 : begin + size]))
    return bytes(content)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
