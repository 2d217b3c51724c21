"""Rasters as a format: photos, scenes and whatever else GDAL opens."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from monai_sr.core import BadImageError, PathLike, ignored_warnings, once_in_folder
from monai_sr.formats.format import NATURAL, SATELLITE, Format, Head, Subject, head_of
from monai_sr.formats.raster.bands import band_colors
from monai_sr.formats.raster.facts import is_kept_domain
from monai_sr.formats.raster.glance import raster_facts
from monai_sr.formats.raster.open import no_image, open_raster
from monai_sr.formats.raster.source import RasterSource
from monai_sr.formats.raster.texts import domains_of
from monai_sr.formats.raster.vrt import is_vrt, vrt_sources
from monai_sr.geometry import is_georeferenced, unit_name

SIDECARS = (
    ".aux.xml", ".aux", ".ovr", ".msk", ".rrd", ".prj", ".wld", ".tfw", ".tifw", ".tiffw", ".pgw",
    ".pngw", ".jgw", ".jpgw", ".jpegw", ".gfw", ".bpw", ".j2w", ".jp2w", ".vat.dbf",
)  # fmt: skip
"""Ends of names of files that belong to an image beside them and are no images of their own."""

PNG_DTYPES = ("uint8", "uint16")
_PNG_CHANNELS = 4
_INVALID_COLOR = {MaskFlags.per_dataset, MaskFlags.nodata}  # NODATA_VALUES of RFC 15
_PHOTO_BANDS = (1, 3, 4)
_TIFF_SUFFIXES = (".tif", ".tiff")
# libpng's user limit (PNG_USER_WIDTH_MAX); GDAL's raster sizes are 32-bit.
_PNG_LIMIT = (1_000_000, "write a .tif")
_TIFF_LIMIT = (2**31 - 1, "cut the image into parts")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# With those of images that nothing here opens: their reader says so.
_MAGICS = (
    _PNG, _JPEG, b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"EHFA_HEADER_TAG", b"NITF0", b"8BPS\0\x01",
)  # fmt: skip
_WEBP = (b"RIFF", b"WEBP")  # at 0 and at 8
_BRANDS = (b"ftyphei", b"ftypavi", b"ftypmif1")  # at 4
# At 14 the size of the second header, after four bytes that are zero at 6.
_BMP_SIZES = (12, 40, 52, 56, 64, 108, 124)


class Raster(Format):
    """Files that GDAL opens."""

    name = "raster"
    title = "a raster"
    suffixes = (
        ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".jp2", ".j2k", ".webp", ".gif", ".vrt",
        ".img", ".ppm", ".pgm", ".pnm", ".asc", ".dem", ".ntf",
    )  # fmt: skip
    reader_name = "monai_sr.formats.raster.reader:RasterReader"
    writer_name = "monai_sr.formats.raster.writer:RasterWriter"
    saved_as = ("tif", "tiff")
    map_name = "monai_sr.formats.raster.writer:write_map"
    side_limits = {".png": _PNG_LIMIT, ".tif": _TIFF_LIMIT, ".tiff": _TIFF_LIMIT}  # noqa: RUF012
    grows_in_depth = False
    lengths_in_mm = False
    has_bands = True
    has_place = True
    is_streamed = True

    def claims(self, head: Head) -> bool:
        """Look for the magic of the usual kinds; GDAL knows more."""
        data = head.data
        return (
            data.startswith(_MAGICS)
            or (data[:4], data[8:12]) == _WEBP
            or data[4:].startswith(_BRANDS)
            or _is_bmp(data)
            or is_vrt(data)
        )

    def subject(self, path: Path) -> Subject:
        """Tell photos from scenes by reference system, bands and type."""
        facts = raster_facts(path)
        if facts.has_place:
            return Subject(SATELLITE, "it has a place on the Earth")
        if facts.count not in _PHOTO_BANDS or facts.nodata is not None:
            return Subject(SATELLITE, f"it has {facts.count} bands, or a nodata value")
        if facts.dtype not in PNG_DTYPES:
            return Subject(SATELLITE, f"its values are {facts.dtype}")
        if facts.count == 1:
            return Subject(
                NATURAL, "it is a gray image of unknown origin; for an X-ray say "
                "--bundle xray_sr",
            )  # fmt: skip
        return Subject(NATURAL, "it is a photo")

    def has_alpha(self, path: Path) -> bool:
        """Look for alpha; a band that is called so but holds data is none."""
        with RasterSource(path) as raster:
            return raster.alpha >= 0

    def companions(self, path: Path) -> list[Path]:
        """Return side-cars, what GDAL names, and the sources of a VRT."""
        if path.name.lower().endswith(SIDECARS) or not path.is_file():
            return []
        # A VRT names files of other folders, which may come and go.
        return list(_look_beside(path) if is_vrt(head_of(path).data) else _beside(path))

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Choose PNG for what it can hold, except that TIFF stays TIFF."""
        if path.name.lower().endswith(_TIFF_SUFFIXES):
            return ".tif"
        if dtype is None or channels is None or georeferenced is None:
            facts = _header_facts(path)
            dtype = facts[0] if dtype is None else dtype
            channels = facts[1] if channels is None else channels
            georeferenced = facts[2] if georeferenced is None else georeferenced
        fits = dtype in PNG_DTYPES and 1 <= channels <= _PNG_CHANNELS and not georeferenced
        return ".png" if fits else ".tif"

    def spacing_unit(self, path: Path) -> str:
        """Return that of the geotransform, without spaces: "m", "degree", "USsurveyfoot"."""
        try:
            with ignored_warnings(NotGeoreferencedWarning), open_raster(path) as dataset:
                return re.sub(r"\W", "", unit_name(dataset))
        except (RasterioError, CPLE_BaseError, BadImageError):
            return ""  # its reader will say what is wrong


def is_plain_photo(path: PathLike) -> bool:
    """Tell whether a file is PNG, JPEG or BMP by its content."""
    data = head_of(path).data
    return data.startswith((_PNG, _JPEG)) or _is_bmp(data)


def opens(path: PathLike) -> bool:
    """Tell whether GDAL opens a file."""
    try:
        with ignored_warnings(NotGeoreferencedWarning):
            open_raster(path).close()
    except (BadImageError, RasterioError, CPLE_BaseError):
        return False
    return True


def _is_bmp(data: bytes) -> bool:
    is_bmp = data[:2] == b"BM" and not any(data[6:10]) and data[15:18] == b"\0\0\0"
    return is_bmp and data[14] in _BMP_SIZES


@once_in_folder
def _beside(path: PathLike) -> Sequence[Path]:
    return _look_beside(Path(path))


def _look_beside(path: Path) -> list[Path]:
    """Return the files beside a raster that belong to it, and those that it names."""
    name = path.name.lower()
    try:
        beside = [path.with_name(entry) for entry in os.listdir(path.parent)]
    except OSError:
        beside = []
    found = [file for file in beside if _is_sidecar(file.name.lower(), name)]
    with ignored_warnings(NotGeoreferencedWarning):
        try:
            with open_raster(path) as dataset:  # refuses what names files elsewhere
                found += [_on_disk(name) for name in dataset.files]
            if is_vrt(head_of(path).data):
                found += [source for _, source in vrt_sources(path)]
        except (BadImageError, OSError, RasterioError, CPLE_BaseError):
            pass  # its reader will say what is wrong
    return found


def _is_sidecar(name: str, image: str) -> bool:
    """Tell whether a name is that of an image, or of its stem, with an end that GDAL looks for."""
    end = next((end for end in SIDECARS if name.endswith(end)), None)
    return end is not None and name.removesuffix(end) in (image, image.rpartition(".")[0])


def _on_disk(name: str) -> Path:
    """Return the file behind a name of GDAL's such as /vsizip/a.zip/b.jp2."""
    # GDAL gives UTF-8, whatever encoding Python has for names.
    name = os.fsdecode(name.encode("utf-8", "surrogateescape"))
    path = Path(name)
    if name.startswith("/vsi"):
        inside = Path(name.split("/", 2)[-1])
        places: Iterable[Path] = (
            place for p in (inside, Path("/") / inside) for place in (p, *p.parents)
        )
        path = next((place for place in places if place.is_file()), path)
    return path


@once_in_folder
def _header_facts(path: PathLike) -> tuple[str, int, bool]:
    """Read dtype, channels (palette expanded) and georeference from the header."""
    try:
        with ignored_warnings(NotGeoreferencedWarning), open_raster(path) as dataset:
            if not dataset.count:
                return "", 0, False
            has_palette = band_colors(dataset)[0] == ColorInterp.palette
            dtype = "uint8" if has_palette else np.result_type(*dataset.dtypes).name
            return dtype, dataset.count, is_georeferenced(dataset) or _exceeds_png(dataset)
    except (RasterioError, CPLE_BaseError) as error:
        raise no_image(path) from error


def _exceeds_png(dataset: DatasetReader) -> bool:
    """Tell whether a raster says of its bands what PNG has no place for."""
    flags = dataset.mask_flag_enums
    # A PNG's transparent color, and alpha, PNG can hold; other masks it cannot.
    has_mask = not all(flags) or set(flags[0]) == {MaskFlags.per_dataset}
    has_mask |= dataset.driver != "PNG" and set(flags[0]) == _INVALID_COLOR
    colors = [color for color in dataset.colorinterp if color != ColorInterp.alpha]
    is_no_picture = len(colors) > 1 and ColorInterp.palette in colors
    # The second or fourth channel of a PNG is alpha.
    is_no_picture |= dataset.count in (2, 4) and dataset.colorinterp[-1] == ColorInterp.undefined
    has_nodata = dataset.count > 1 and any(value is not None for value in dataset.nodatavals)
    has_nodata = has_nodata and "NODATA_VALUES" not in dataset.tags()
    has_physics = any(dataset.offsets) or any(scale != 1 for scale in dataset.scales)
    has_names = any(dataset.descriptions) or any(dataset.units)
    domains = {name for band in dataset.indexes for name in domains_of(dataset, band)}
    has_domains = any(map(is_kept_domain, domains))
    return has_mask or is_no_picture or has_nodata or has_physics or has_names or has_domains
