"""Tells files that claim to be images from those that do not: READMEs, JSON, PDF, reports in DICOM.

In a folder the first must be readable, the second are passed over. Content decides, then the name:
a picture without a suffix is one, and so is what is called .jpg and holds something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import MediaStorageDirectoryStorage
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from monai_sr.core.contents import head
from monai_sr.core.errors import BadImageError
from monai_sr.core.shared import ignored_warnings
from monai_sr.formats.dicom.files import DAMAGE_ERRORS, is_dicom, quiet_pydicom
from monai_sr.formats.dicom.series import read_header
from monai_sr.formats.nifti.reader import NiftiReader
from monai_sr.formats.raster.open import open_raster
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.vrt import is_vrt

if TYPE_CHECKING:
    from monai_sr.core.types import PathLike

# Images that we do not read: to pass over them without a word would lose them.
_OTHER_SUFFIXES = (
    ".dcm", ".dicom", ".ima", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".heic", ".heif",
    ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".tga", ".exr",
)  # fmt: skip
_MAGICS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0",
    b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"EHFA_HEADER_TAG", b"NITF0", b"8BPS\0\x01",
)  # fmt: skip
_WEBP = (b"RIFF", b"WEBP")  # at 0 and at 8
_BRANDS = (b"ftyphei", b"ftypavi", b"ftypmif1")  # at 4
# At 14 the size of the second header, after four bytes that are zero at 6.
_BMP_SIZES = (12, 40, 52, 56, 64, 108, 124)
# Storage classes with pixels that are not called images (PS3.4 B.5), and the two newest ones.
_WITH_PIXELS = frozenset(
    (
        "Enhanced US Volume Storage", "Parametric Map Storage", "Segmentation Storage",
        "Label Map Segmentation Storage", "Height Map Segmentation Storage", "RT Dose Storage",
        "Ophthalmic Thickness Map Storage", "Corneal Topography Map Storage",
        "Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage",
        "DICOS 2D AIT Storage", "DICOS 3D AIT Storage",
    )
)  # fmt: skip


def claims_image(path: PathLike) -> bool:
    """Tell whether a file is an image, or says so by its content or its name.

    Args:
        path: a file.
    """
    path = Path(path)
    if is_dicom(path):
        return _claims_pixels(path)
    has_name = RasterReader().verify_suffix(path) or path.name.lower().endswith(_OTHER_SUFFIXES)
    if has_name or NiftiReader().verify_suffix(path):
        return True
    try:
        first = head(path)
    except OSError:
        return True  # its reader will say that it cannot be read
    return bool(first) and (_has_magic(first) or _opens(path))


def is_dicomdir(path: PathLike) -> bool:
    """Tell whether a file is the directory of a DICOM medium, whatever its name."""
    path = Path(path)
    header = _header(path) if path.is_file() and is_dicom(path) else None
    return header is not None and _sop_class(header) == MediaStorageDirectoryStorage


def _has_magic(first: bytes) -> bool:
    is_bmp = first[:2] == b"BM" and not any(first[6:10]) and first[15:18] == b"\0\0\0"
    return (
        first.startswith(_MAGICS)
        or (first[:4], first[8:12]) == _WEBP
        or first[4:].startswith(_BRANDS)
        or (is_bmp and first[14] in _BMP_SIZES)
        or is_vrt(first)
    )


def _opens(path: Path) -> bool:
    try:
        with ignored_warnings(NotGeoreferencedWarning):
            open_raster(path).close()
    except (BadImageError, RasterioError, CPLE_BaseError):
        return False
    return True


def _claims_pixels(path: Path) -> bool:
    header = _header(path)
    if header is None:
        return True  # damaged: its reader will say so
    uid = _sop_class(header)
    if uid in UID_dictionary:
        name = UID_dictionary[uid][0]
        return "Image Storage" in name or name in _WITH_PIXELS
    return not uid or "Rows" in header


def _header(path: Path) -> Any:
    try:
        with quiet_pydicom():
            header = read_header(path)
            _sop_class(header)  # elements decode when they are touched
            return header
    except (OSError, BadImageError, *DAMAGE_ERRORS):
        return None


def _sop_class(header: Any) -> str:
    found = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""
    return str(found)
