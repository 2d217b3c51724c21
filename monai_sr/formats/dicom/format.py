"""DICOM as a format: single files, and series of which each file is a slice."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.multival import MultiValue
from pydicom.uid import MediaStorageDirectoryStorage

from monai_sr.core import BadImageError, get_logger, sha256
from monai_sr.formats.dicom.files import (
    DAMAGE_ERRORS,
    is_dicom,
    open_dicom,
    quiet_pydicom,
    refuse_damage,
)
from monai_sr.formats.dicom.map import check_map_size
from monai_sr.formats.dicom.more_slices import check_more_slices
from monai_sr.formats.dicom.pixel_module import check_dicom_size
from monai_sr.formats.dicom.series import read_header
from monai_sr.formats.facts import Facts
from monai_sr.formats.format import CT, MRI, NATURAL, UNKNOWN, XRAY, Format, Head, Subject

_SIDE_LIMIT = (2**16 - 1, "cut the image into parts")  # (0028,0010) Rows, (0028,0011) Columns: US
_MODALITIES = {
    XRAY: ("CR", "DX", "RG", "MG", "PX", "IO", "RF", "XA", "RTIMAGE", "BMD"),
    CT: ("CT",),
    MRI: ("MR",),
    NATURAL: ("XC", "ES", "GM", "SM", "OP", "DMS", "EPS"),
}
"""What (0008,0060) Modality, PS3.3 C.7.3.1.1.1, shows."""
_DOMAIN_OF = {code: domain for domain, codes in _MODALITIES.items() for code in codes}
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
logger = get_logger(__name__)


class Dicom(Format):
    """DICOM files and series."""

    name = "dicom"
    title = "DICOM"
    suffixes = (".dcm", ".dicom", ".ima")
    reader_name = "monai_sr.formats.dicom.reader:DicomReader"
    writer_name = "monai_sr.formats.dicom.writer:DicomWriter"
    saved_as = ("dcm",)
    map_name = "monai_sr.formats.dicom.map:write_parametric_map"
    side_limits = {".dcm": _SIDE_LIMIT, "": _SIDE_LIMIT}  # noqa: RUF012
    counts_depth = False
    has_series = True
    slices_are_files = True
    grows_in_depth = False
    has_window = True

    def claims(self, head: Head) -> bool:
        """Look for the mark, or the first elements; a folder may hold a series."""
        return head.is_folder or is_dicom(head.path)

    def holds_image(self, path: Path) -> bool:
        """Tell whether the storage class has pixels; what is damaged counts, for its reader."""
        header = _header(path)
        if header is None:
            return True
        uid = _sop_class(header)
        if uid in UID_dictionary:
            name = UID_dictionary[uid][0]
            return "Image Storage" in name or name in _WITH_PIXELS
        return not uid or "Rows" in header

    def subject(self, path: Path) -> Subject:
        """Go by the modality; gray images of others are nearest to X-rays."""
        with refuse_damage(f"{path}: tags must be valid; repair the header."):
            header = read_header(path)
            if "Rows" not in header:
                return UNKNOWN
            modality = str(header.get("Modality", "") or "").strip().upper()
            if header.get("SamplesPerPixel", 1) == 3:
                return Subject(NATURAL, "it is a DICOM image in color")
            is_known = modality.isalnum()
            known = f"it is DICOM of the modality {modality}" if is_known else "it is gray DICOM"
            return Subject(_DOMAIN_OF.get(modality, XRAY), known)

    def person(self, path: Path) -> str:
        """Go by Patient ID, which leaves this place as a hash alone."""
        try:
            with quiet_pydicom():
                number = str(read_header(path).get("PatientID") or "").strip()
        except (OSError, BadImageError, *DAMAGE_ERRORS):  # it is named when it is read
            return ""
        return sha256(number) if number else ""

    def takes_kept(self, path: Path) -> bool:
        """All files are read whole."""
        return True

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Write a file, or for a series a folder."""
        return "" if path.is_dir() else ".dcm"

    def check_more_slices(self, source: str, meta: Mapping[str, Any]) -> None:
        """Refuse what is no even stack of single-frame files."""
        check_more_slices(source, Facts(meta).files)

    def check_result(
        self, source: str, meta: Mapping[str, Any], shape: Sequence[int], *, has_map: bool
    ) -> None:
        """Refuse pixel data that are too large for a file."""
        check_dicom_size(source, meta, shape)
        if has_map:
            check_map_size(source, shape)


def is_dicomdir(path: Path) -> bool:
    """Tell whether a file is the directory of a DICOM medium, whatever its name."""
    header = _header(path) if is_dicom(path) else None
    return header is not None and _sop_class(header) == MediaStorageDirectoryStorage


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


def listed_files(path: Path) -> set[Path]:
    """Return the files that a DICOMDIR lists and that lie in its folder or below.

    Args:
        path: the DICOMDIR.

    Raises:
        BadImageError: it is damaged, names files elsewhere, or none that is there.
    """
    header = open_dicom(path)
    found: set[Path] = set()
    missing = 0
    with refuse_damage(f"{path}: records of a DICOMDIR must be valid; name its folder instead."):
        for parts in _file_ids(path, header):
            file = _find(path.parent, parts)
            missing += file is None
            found |= set() if file is None else {file}
    if missing:
        logger.warning("%s: lists %d files that are not there", path, missing)
    if not found:
        raise BadImageError(
            f"{path}: must list files that are there, got none; copy the folders beside it, too."
        )
    return found


def _file_ids(path: Path, header: object) -> Iterator[list[str]]:
    for record in getattr(header, "DirectoryRecordSequence", None) or []:
        value = record.get("ReferencedFileID")
        if not value:
            continue
        parts = [str(part) for part in value] if isinstance(value, MultiValue) else [str(value)]
        if any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts):
            raise BadImageError(
                f"{path}: must list files of its own folder only, got another place; name the "
                "files themselves."
            )
        yield parts


def _find(folder: Path, parts: list[str]) -> Path | None:
    """Return a file below a folder; media that were copied may have changed case."""
    place = folder
    for part in parts:
        if not (place / part).exists():
            try:
                names = os.listdir(place)
            except OSError:
                return None
            part = next((name for name in names if name.casefold() == part.casefold()), part)
        place = place / part
    return place if place.is_file() else None
