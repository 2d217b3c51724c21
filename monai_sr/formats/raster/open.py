"""Opens rasters: every one that this package reads passes here, so that none reaches further.

GDAL chooses a driver by content, and some drivers open what a file names: VRT, MRF (which even
writes), WMS, STACIT, tile indexes, and overviews beside an image. An image that came by mail must
not make a machine read, write or contact anything but the image and what lies beside it. So the
drivers are named, and what is opened along with a file is looked at before GDAL sees it.
GDAL, security considerations: https://gdal.org/user/security.html.
"""

import os
import re
import shutil
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from monai_sr.core import (
    BadImageError,
    OptionError,
    PathLike,
    get_logger,
    head,
    is_private,
    linked_image,
    without_secrets,
)
from monai_sr.formats.raster.far import Far, far_of, http_options
from monai_sr.formats.raster.texts import AnyText
from monai_sr.formats.raster.vrt import is_vrt, vrt_sources

logger = get_logger(__name__)

LINKED_FILES = "MONAI_SR_LINKED_FILES"
"""Environment variable: whether an input may name files outside its folder. It reaches workers."""

JPEG_2000 = ("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2Grok", "JPEG2000")
"""GDAL's drivers for JPEG 2000, whichever are built in."""

# Medical images that nothing here reads: in a GeoTIFF they would lose their voxel sizes.
_MEDICAL = (".mha", ".mhd", ".mgz", ".mgh", ".mnc")
# Known by their first bytes, whatever a name says: GDAL cannot take one for another format.
_BY_MAGIC = (
    "GTiff", "PNG", "JPEG", "BMP", *JPEG_2000, "WEBP", "GIF", "BIGGIF", "HFA", "netCDF",
)  # fmt: skip
DRIVERS = (*_BY_MAGIC, "ENVI", "EHdr", "PNM", "AAIGrid", "USGSDEM", "DTED", "SRTMHGT", "NITF")
"""Drivers that read a file, what lies beside it under its own name, and nothing else."""

_MAGICS = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"\0\0\0\x0cjP",
    b"\xff\x4f\xff\x51", b"RIFF", b"GIF8", b"EHFA_HEADER_TAG", b"CDF",
)  # fmt: skip
_BESIDE_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"EHFA_HEADER_TAG")
# HDF5 may keep its values in any file of the machine (external storage, links, virtual datasets).
_CLASSIC_NETCDF = b"CDF"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MADE = "made_by_monai_sr"
_DEEPEST = 4
_SOURCE_SUFFIXES = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".jp2", ".j2k", ".webp", ".gif", ".img",
    ".nc", ".vrt",
)  # fmt: skip
_BESIDE = re.compile(r"\.(ovr|msk|aux|rrd|r\d)$", re.IGNORECASE)
_OVERVIEW_FILE = "OVERVIEW_FILE"
_REMEDY = "if you trust it, set --linked_files anywhere"
# What pixels mean and where they lie; the rest are statistics and names.
_WEIGHTY = (
    "<srs", "<geotransform", "<gcplist", "<nodatavalue", "<scale", "<offset", "<unittype",
    "<colorinterp", "<colortable", "<maskband", "rpc", "geolocation", "<category",
    "<gdalrasterattributetable", "layer_type", ">thematic",
)  # fmt: skip


def may_link() -> bool:
    """Tell whether inputs may name files anywhere, by the user's leave.

    Raises:
        OptionError: the environment variable has another value.
    """
    value = os.environ.get(LINKED_FILES, "folder")
    if value not in ("folder", "anywhere"):
        raise OptionError(f"linked_files: must be folder or anywhere, got {value!r}; correct it.")
    return value == "anywhere"


def gdal_options(path: PathLike) -> dict[str, str]:
    """Return GDAL's configuration while a raster is read: nothing runs, nothing waits forever.

    Args:
        path: the raster, or the stand-in of one on a network.
    """
    far = far_of(path)
    if far is not None:
        return far.options()
    if may_link():
        return http_options()
    return {"GDAL_VRT_ENABLE_PYTHON": "NO", "CPL_VSIL_CURL_ALLOWED_FILENAME": "/none"}


def no_image(path: PathLike) -> BadImageError:
    """Say that GDAL does not open a file, and what to convert it to."""
    is_medical = str(path).lower().endswith(_MEDICAL)
    return BadImageError(
        f"{path}: must be an image that GDAL opens, got an unknown or damaged file; "
        f"convert it to {'NIfTI' if is_medical else 'GeoTIFF or PNG'}."
    )


def open_raster(path: PathLike, drivers: Sequence[str] = DRIVERS, **options: Any) -> DatasetReader:
    """Open a raster for reading.

    Args:
        path: the file, ``/vsizip/`` and a file in a Sentinel-2 product, or the stand-in of a TIFF
            on a network, see :mod:`monai_sr.formats.raster.far`.
        drivers: those that may open it; a VRT is judged by what it names.
        **options: of GDAL's driver; ``driver`` chooses among those above.

    Returns:
        The open dataset of rasterio.

    Raises:
        BadImageError: it names files elsewhere, what lies beside it is no image, or its numbers are
            complex, as of radar before detection.
        RasterioIOError: none of the drivers opens it.
    """
    asked = options.pop("driver", None)
    if asked is not None:
        wanted = {asked} if isinstance(asked, str) else set(asked)
        drivers = [name for name in (*drivers, "VRT") if name in wanted]
    far = far_of(path)
    if far is not None:
        dataset = _opened_far(far, options)
    else:
        dataset = _opened(Path(path), drivers, 0, options)
    if found := next((dtype for dtype in dataset.dtypes if "complex" in dtype), None):
        dataset.close()
        raise BadImageError(
            f"{path}: pixels must be real numbers, got {found}; convert them to magnitude."
        )
    return dataset


def _opened(
    path: Path, drivers: Sequence[str], depth: int, options: dict[str, Any]
) -> DatasetReader:
    header = _header(path)
    trusts = may_link()
    if is_vrt(header):
        if not trusts and not _is_made_here(path):
            _check_sources(path, depth)
        drivers = ["VRT"]
    elif header.startswith(_HDF5) and not trusts:
        _refuse(path, "must not be HDF5, which may keep its values in other files", "HDF5",
                "convert it to GeoTIFF or classic netCDF; or, ")  # fmt: skip
    elif not header.startswith(_CLASSIC_NETCDF) and not trusts:
        drivers = [name for name in drivers if name != "netCDF"]
    if not trusts:
        _check_beside(path, depth)
    with rasterio.Env(**gdal_options(path)):
        dataset = _dataset(path, drivers, options)
        try:
            if not trusts and _named_overviews(dataset):
                return _without_pam(path, dataset, drivers, depth, options)
            if not trusts and dataset.driver == "HFA":
                _check_dependents(path, dataset)
        except BaseException:
            dataset.close()
            raise
    return dataset


def _opened_far(far: Far, options: dict[str, Any]) -> DatasetReader:
    """Open a TIFF where it lies: nothing beside it is looked for, and no other driver asked."""
    try:
        with rasterio.Env(**far.options()):
            return AnyText(far.gdal, driver="GTiff", **options)
    except RasterioIOError as error:
        raise RasterioIOError(without_secrets(str(error))) from None


def _dataset(path: Path, drivers: Sequence[str], options: dict[str, Any]) -> DatasetReader:
    name, links = linked_image(path)
    try:
        dataset = AnyText(name, driver=list(drivers), **options)
    except BaseException:
        if links:
            shutil.rmtree(links, ignore_errors=True)
        raise
    if links:
        weakref.finalize(dataset, shutil.rmtree, links, ignore_errors=True)
    return dataset


def made_folder(private: Path, name: str) -> Path:
    """Return where a VRT of this package's own making goes, which may name files anywhere.

    Args:
        private: from :func:`monai_sr.core.private_folder.make_private_folder`.
        name: of the folder.
    """
    folder = private / _MADE / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_made_here(path: Path) -> bool:
    # Links to the inputs, whose names a user wants hidden, lie in private folders, too.
    real = Path(os.path.realpath(path))
    return real.parent.parent.name == _MADE and is_private(real.parent)


def _header(path: Path) -> bytes:
    try:
        return head(path)
    except OSError:  # inside a zip, or the driver will say what is wrong
        return b""


def _check_sources(path: Path, depth: int) -> None:
    """Open what a VRT names, so that GDAL meets nothing there that it may not open here."""
    if depth >= _DEEPEST:
        _refuse(path, f"VRTs must be nested at most {_DEEPEST} deep", "more")
    home = Path(os.path.realpath(path)).parent
    for name, source in vrt_sources(path):
        real = Path(os.path.realpath(source))
        if ":" in os.path.splitdrive(name)[1] or not real.is_relative_to(home):
            _refuse(path, "must name files of its own folder only", repr(name))
        if not real.is_file():
            _refuse(path, "must name files that exist", repr(name))
        header = _header(real)
        is_known = header.startswith(_MAGICS) or is_vrt(header)
        if not is_known or real.suffix.lower() not in _SOURCE_SUFFIXES:
            _refuse(path, f"must name images in {', '.join(_SOURCE_SUFFIXES)}", repr(name))
        try:
            # Under the name by which GDAL will look for what lies beside it.
            _opened(source, _BY_MAGIC, depth + 1, {}).close()
        except RasterioIOError:
            _refuse(path, "must name images that GDAL opens", repr(name))


def _check_beside(path: Path, depth: int) -> None:
    """Refuse overviews and masks beside a file that are no TIFF: GDAL opens them by content."""
    try:
        folder = path.parent
        names = _beside(os.fspath(folder), folder.stat().st_mtime_ns)
    except OSError:  # inside a zip
        return
    whole, stem = path.name.lower(), path.stem.lower()
    for name in names:
        base = name[: name.rindex(".")].lower()
        is_ours = base in (whole, stem) or base.startswith(whole + ".")
        if not is_ours or name == path.name:
            continue
        header = _header(folder / name)
        if header and (not header.startswith(_BESIDE_MAGICS) or is_vrt(header)):
            _refuse(folder / name, "beside an image must be TIFF or HFA, as GDAL writes it",
                    "another file", "remove it; or, ")  # fmt: skip
        if header and depth < _DEEPEST:
            with suppress(RasterioIOError):
                _opened(folder / name, ("GTiff", "HFA"), depth + 1, {}).close()


@lru_cache(maxsize=16)
def _beside(folder: str, _mtime_ns: int) -> tuple[str, ...]:
    """Return the names in a folder that GDAL may take for parts of an image, in any case."""
    with os.scandir(folder or ".") as entries:
        return tuple(e.name for e in entries if _BESIDE.search(e.name))


def _named_overviews(dataset: DatasetReader) -> str:
    """Return the file in which GDAL would look for overviews, "" for none, as it asks itself.

    It ignores case, and takes names that are no UTF-8.
    """
    try:
        return str(dataset.get_tag_item(_OVERVIEW_FILE, "OVERVIEWS") or "")
    except UnicodeDecodeError:
        return "a name that is not UTF-8"


def _without_pam(
    path: Path, dataset: DatasetReader, drivers: Sequence[str], depth: int, options: dict[str, Any]
) -> DatasetReader:
    """Open a file again without its .aux.xml, which names overviews elsewhere."""
    named = _named_overviews(dataset)
    dataset.close()
    pam = path.with_name(f"{path.name}.aux.xml")
    # GDAL opens the sources of a VRT itself.
    if depth or not is_dispensable(pam):
        _refuse(path, "must name no overviews in other files", repr(named),
                "drop OVERVIEW_FILE from its metadata; or, ")  # fmt: skip
    with rasterio.Env(GDAL_PAM_ENABLED="NO"):
        dataset = _dataset(path, drivers, options)
        if _named_overviews(dataset):
            dataset.close()
            _refuse(path, "must name no overviews in other files", repr(named))
    return dataset


def warn_of_overviews(path: Path) -> None:
    """Say that the .aux.xml of a file that could be opened is left out, where that is so."""
    pam = path.with_name(f"{path.name}.aux.xml")
    with suppress(OSError):
        text = pam.read_text(encoding="utf-8", errors="replace")
        if _OVERVIEW_FILE in text.upper():
            logger.warning("%s: names overviews in another file and is left out", pam)


def _check_dependents(path: Path, dataset: DatasetReader) -> None:
    """Refuse an Erdas file whose values lie in another folder."""
    home = os.path.abspath(path.parent)
    for file in dataset.files:
        if os.path.dirname(os.path.abspath(file)) != home:
            _refuse(path, "must name files of its own folder only", repr(os.path.basename(file)))


def _refuse(path: Path, must: str, got: str, remedy: str = "") -> NoReturn:
    raise BadImageError(f"{path}: {must}, got {got}; {remedy}{_REMEDY}.")


def is_dispensable(pam: Path) -> bool:
    """Tell whether an image means the same without this file."""
    try:
        text = pam.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return not any(word in text for word in _WEIGHTY)
