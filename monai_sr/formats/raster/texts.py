"""Reads text of rasters that is not UTF-8, which rasterio drops, tells the log or refuses.

Texts of PNG are Latin-1 (third edition, 11.3.3.2), programs of Windows write the page of their
country: its western one, which has all letters of Latin-1, is what is guessed.
"""

from __future__ import annotations

import logging
import tempfile
from contextvars import ContextVar
from pathlib import Path
from xml.etree import ElementTree

import rasterio.shutil
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from monai_sr.core import gdal_name, get_logger, ignored_warnings

logger = get_logger(__name__)

_GUESSED, _LAST = "cp1252", "latin-1"
_undecoded: ContextVar[list[bytes] | None] = ContextVar("undecoded", default=None)


def _take_undecoded(record: logging.LogRecord) -> bool:
    """Keep what rasterio cannot decode out of the log: it may be a person's name."""
    is_it = str(record.msg).startswith("Failed to decode metadata item")
    heard = _undecoded.get()
    if is_it and heard is not None:
        heard += [each for each in record.args or () if isinstance(each, bytes)]
    return not is_it


logging.getLogger("rasterio._base").addFilter(_take_undecoded)


class AnyText(DatasetReader):  # type: ignore[misc]
    """A dataset of rasterio whose tags, names of bands, units and system may be in any text.

    Attributes:
        has_guessed: whether one of those that were asked for is not UTF-8.
    """

    has_guessed = False

    def tags(self, bidx: int = 0, ns: str | None = None) -> dict[str, str]:
        """Return the tags of a domain, of the file or of a band."""
        heard: list[bytes] = []
        token = _undecoded.set(heard)
        try:
            found: dict[str, str] = super().tags(bidx, ns=ns)
        finally:
            _undecoded.reset(token)
        self.has_guessed |= bool(heard)
        pairs = (decoded(item).partition("=") for item in heard)
        return {**found, **{name: value for name, _, value in pairs}}

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """Name of each band, None where it has none."""
        return self._of_bands("descriptions", "Description")

    @property
    def units(self) -> tuple[str | None, ...]:
        """Unit of each band, None where it has none."""
        return self._of_bands("units", "UnitType")

    def read_crs(self) -> CRS | None:
        """Return the reference system, None for none; rasterio asks on opening."""
        try:
            return super().read_crs()
        except UnicodeDecodeError:
            self.has_guessed = True
            text = gdal_facts(self).findtext("SRS")
            return CRS.from_wkt(text) if text else None

    def _of_bands(self, what: str, element: str) -> tuple[str | None, ...]:
        try:
            return tuple(getattr(super(), what))
        except UnicodeDecodeError:
            self.has_guessed = True
            bands = gdal_facts(self).findall("VRTRasterBand")
            return tuple(band.findtext(element) for band in bands)


def decoded(text: bytes) -> str:
    """Return a text that is UTF-8, or else guessed to be of a western Windows.

    Args:
        text: of a file.

    Example:
        >>> decoded("Größe".encode()) == decoded("Größe".encode("latin-1"))
        True
    """
    for encoding in ("utf-8", _GUESSED):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode(_LAST)


def domains_of(dataset: DatasetReader, band: int = 0) -> list[str]:
    """Return the domains of metadata; none where a name is not UTF-8, see :func:`warn_of_text`."""
    try:
        return list(dataset.tag_namespaces(band))
    except UnicodeDecodeError:
        return []


def warn_of_text(path: Path, dataset: DatasetReader) -> None:
    """Say which text of a raster is left out, and which is guessed, for it is not UTF-8.

    Args:
        path: the file.
        dataset: the same, open.
    """
    bands = (0, *dataset.indexes)
    try:
        for band in bands:
            dataset.tag_namespaces(band)
    except UnicodeDecodeError:
        logger.warning("%s: metadata that are not UTF-8 are left out", path)
    for band in bands:
        dataset.tags(band)
    _ = dataset.descriptions, dataset.units
    if dataset.has_guessed:
        logger.warning(
            "%s: text that is not UTF-8 is read as that of a western Windows (code page 1252)", path
        )


def gdal_facts(src: DatasetReader) -> ElementTree.Element:
    """Return all that GDAL knows of a raster, as a VRT says it; of an unknown one nothing.

    Args:
        src: an open raster.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.vrt"
        try:
            with ignored_warnings(NotGeoreferencedWarning):
                rasterio.shutil.copy(src, gdal_name(path), driver="VRT")
            # Each line by itself: what is UTF-8 beside other text stays so.
            lines = path.read_bytes().split(b"\n")
            return ElementTree.fromstring("\n".join(map(decoded, lines)))
        except (RasterioError, ElementTree.ParseError):
            return ElementTree.Element("VRTDataset")
