"""Reads what the metadata of a Sentinel-2 product say: files, quantification, offsets, nodata.

Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), compact SAFE since December 2016.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from monai_sr.core import BadImageError, PathLike

# Native bands alone: products of level 2A hold coarser copies, too. Red, green and blue lead, as in
# GDAL's driver, so that the network sees a color image.
BANDS = {
    10: ("B04", "B03", "B02", "B08"),
    20: ("B05", "B06", "B07", "B8A", "B11", "B12"),
    60: ("B01", "B09", "B10"),
}
"""Bands of each resolution in meters, in the order of the result."""

METADATA = re.compile(r"MTD_MSIL(1C|2A)\.xml", re.IGNORECASE)
"""Name of the file at the root of a product."""

AGAIN = "download the product again"
"""What mends a damaged product."""

# band_id of the metadata is the place in this list.
_BAND_IDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
_OFFSETS = {"1C": "RADIO_ADD_OFFSET", "2A": "BOA_ADD_OFFSET"}
_QUANTIFICATIONS = {"1C": "QUANTIFICATION_VALUE", "2A": "BOA_QUANTIFICATION_VALUE"}
_FIRST_WITH_OFFSET = (4, 0)
_IMAGE = re.compile(r"_(B\d[\dA]|SCL)(?:_(\d\d)m)?$")
_TAGS = (
    "PRODUCT_URI", "PRODUCT_TYPE", "PROCESSING_BASELINE", "SPACECRAFT_NAME",
    "DATATAKE_SENSING_START", "GENERATION_TIME",
)  # fmt: skip
# Real metadata have 50 kB.
_METADATA_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Product:
    """What the metadata of a product say.

    Attributes:
        path: folder or zip, as given.
        level: "1C" or "2A".
        images: (band, resolution) -> file, as GDAL opens it.
        quantification: stored values of a reflectance of 1.
        offsets: by band, in stored values: reflectance = (stored + offset) / quantification.
        nodata: stored value of pixels that were not seen.
        tags: facts for the result.
    """

    path: Path
    level: str
    images: dict[tuple[str, int], str]
    quantification: float
    offsets: dict[str, float]
    nodata: float
    tags: dict[str, str]

    def bands(self, resolution: int) -> tuple[str, ...]:
        """Return the native bands of a resolution that the metadata list."""
        return tuple(b for b in BANDS[resolution] if (b, resolution) in self.images)

    def parts(self) -> list[Path]:
        """Return the names of its rasters: the product's with ``:10m``, ``:20m``, ``:60m``."""
        return [Path(f"{self.path}:{r}m") for r in BANDS if self.bands(r)]


def open_product(path: PathLike) -> Product:
    """Read the metadata of a product.

    Args:
        path: ``.SAFE`` folder, or ``.zip`` that holds one.

    Raises:
        BadImageError: damaged, of several tiles, or with metadata that state no reflectance.
    """
    path = Path(path)
    try:
        level, text, prefix, names = _load_zip(path) if path.is_file() else _load_folder(path)
        root = _parse(path, text)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise BadImageError(f"{path}: must be a whole product, got '{error}'; {AGAIN}.") from error
    granules = root.findall(".//{*}Granule_List//{*}Granule")
    if len(granules) != 1:
        raise BadImageError(
            f"{path}: must hold one tile, got {len(granules)}; download products of one tile, as "
            "they are offered since December 2016."
        )
    images = {}
    for element in granules[0].iterfind("{*}IMAGE_FILE"):
        file = f"{(element.text or '').strip()}.jp2"
        found = _IMAGE.search(file.removesuffix(".jp2"))
        if found is None or ".." in file.split("/"):
            continue
        resolution = int(found[2] or next((r for r, b in BANDS.items() if found[1] in b), 0))
        images[found[1], resolution] = f"{prefix}/{file}" if file in names else ""
    if not any(b in _BAND_IDS for b, _ in images):
        raise BadImageError(f"{path}: metadata must list bands, got none; {AGAIN}.")
    return Product(
        path=path,
        level=level,
        images=images,
        quantification=_quantification(path, root, level),
        offsets=_offsets(path, root, level),
        nodata=_nodata(path, root),
        tags={tag: fact for tag in _TAGS if (fact := root.findtext(f".//{{*}}{tag}"))},
    )


def _load_folder(path: Path) -> tuple[str, bytes, str, frozenset[str]]:
    """Return level, metadata, prefix of the files for GDAL, and names of the files below it."""
    name = _metadata_name(path, [child.name for child in path.iterdir()])
    with (path / name).open("rb") as stream:
        text = stream.read(_METADATA_BYTES + 1)
    names = frozenset(file.relative_to(path).as_posix() for file in path.rglob("*.jp2"))
    return name[8:10].upper(), text, str(path.absolute()), names


def _load_zip(path: Path) -> tuple[str, bytes, str, frozenset[str]]:
    with zipfile.ZipFile(path) as archive:
        # Of two products in one file the first counts; masks lie deeper.
        listed = [n for n in archive.namelist() if n.count("/") <= 1]
        name = _metadata_name(path, listed)
        with archive.open(name) as stream:
            text = stream.read(_METADATA_BYTES + 1)
        inside = name.rpartition("/")[0]
        start = f"{inside}/" if inside else ""
        names = frozenset(n.removeprefix(start) for n in archive.namelist() if n.startswith(start))
    # GDAL would open them whatever they are.
    beside = next((n for n in names if n.lower().endswith((".ovr", ".msk"))), None)
    if beside is not None:
        raise BadImageError(
            f"{path}: images in a zip must come without overviews and masks of their own, got "
            f"{beside!r}; remove it, or {AGAIN}."
        )
    prefix = f"/vsizip/{{{path.absolute()}}}/{inside}".rstrip("/")
    return name.rpartition("/")[2][8:10].upper(), text, prefix, names


def _metadata_name(path: Path, names: list[str]) -> str:
    found = [n for n in names if METADATA.fullmatch(n.rpartition("/")[2])]
    if not found:
        raise BadImageError(
            f"{path}: must hold MTD_MSIL1C.xml or MTD_MSIL2A.xml, got neither; use a Sentinel-2 "
            f"product of level 1C or 2A of December 2016 or later, or {AGAIN}."
        )
    return found[0]


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types: metadata have none, and entities may grow without limit."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ElementTree.ParseError("a document type")


def _parse(path: Path, text: bytes) -> ElementTree.Element:
    if len(text) > _METADATA_BYTES:
        raise BadImageError(
            f"{path}: metadata must have at most {_METADATA_BYTES >> 20} MiB, got more; {AGAIN}."
        )
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=_Builder()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadImageError(
            f"{path}: metadata must be well-formed XML, got '{error}'; {AGAIN}."
        ) from error


def _number(path: Path, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise BadImageError(
            f"{path}: metadata must state {name} as a number, got {text or 'nothing'!r}; {AGAIN}."
        )
    return value


def _quantification(path: Path, root: ElementTree.Element, level: str) -> float:
    name = _QUANTIFICATIONS[level]
    value = _number(path, name, root.findtext(f".//{{*}}{name}"))
    if value <= 0:
        raise BadImageError(f"{path}: {name} must be positive, got {value:g}; {AGAIN}.")
    return value


def _offsets(path: Path, root: ElementTree.Element, level: str) -> dict[str, float]:
    """Return the stated offset of each band; 0 before baseline 04.00, which stated none."""
    name = _OFFSETS[level]
    stated = {e.get("band_id"): e.text for e in root.iterfind(f".//{{*}}{name}")}
    if not stated:
        baseline = root.findtext(".//{*}PROCESSING_BASELINE") or ""
        match = re.fullmatch(r"(\d+)\.(\d+)", baseline.strip())
        if match is None or (int(match[1]), int(match[2])) >= _FIRST_WITH_OFFSET:
            raise BadImageError(
                f"{path}: metadata must state {name} from baseline 04.00, got none in baseline "
                f"{baseline or 'unknown'!r}; {AGAIN}."
            )
        return dict.fromkeys(_BAND_IDS, 0.0)
    return {
        band: _number(path, f"{name} of {band}", stated.get(str(index)))
        for index, band in enumerate(_BAND_IDS)
    }


def _nodata(path: Path, root: ElementTree.Element) -> float:
    for special in root.iterfind(".//{*}Special_Values"):
        if special.findtext("{*}SPECIAL_VALUE_TEXT") == "NODATA":
            return _number(path, "NODATA", special.findtext("{*}SPECIAL_VALUE_INDEX"))
    raise BadImageError(f"{path}: metadata must state the value of NODATA, got none; {AGAIN}.")
