"""DICOM as a format: single files, and series of which each file is a slice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import MediaStorageDirectoryStorage

from monai_sr.core import BadImageError
from monai_sr.formats.dicom.files import DAMAGE_ERRORS, is_dicom, quiet_pydicom
from monai_sr.formats.dicom.map import check_map_size
from monai_sr.formats.dicom.pixel_module import check_dicom_size
from monai_sr.formats.dicom.series import read_header
from monai_sr.formats.format import MRI, NATURAL, UNKNOWN, XRAY, Format, Head, Subject

_SIDE_LIMIT = (2**16 - 1, "cut the image into parts")  # (0028,0010) Rows, (0028,0011) Columns: US
_MODALITIES = {
    XRAY: ("CR", "DX", "RG", "MG", "PX", "IO", "RF", "XA", "RTIMAGE", "BMD", "CT"),
    MRI: ("MR",),
    NATURAL: ("XC", "ES", "GM", "SM", "OP", "DMS", "EPS"),
}
"""What (0008,0060) Modality, PS3.3 C.7.3.1.1.1, shows. CT is nearest to X-rays."""
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


class Dicom(Format):
    """DICOM files and series."""

    name = "dicom"
    title = "DICOM"
    suffixes = (".dcm", ".dicom", ".ima")
    reader_name = "monai_sr.formats.dicom.reader:DicomReader"
    writer_name = "monai_sr.formats.dicom.writer:DicomWriter"
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
        header = read_header(path)
        if "Rows" not in header:
            return UNKNOWN
        modality = str(header.get("Modality", "") or "").strip().upper()
        if header.get("SamplesPerPixel", 1) == 3:
            return Subject(NATURAL, "it is a DICOM image in color")
        is_known = modality.isalnum()
        known = f"it is DICOM of the modality {modality}" if is_known else "it is gray DICOM"
        return Subject(_DOMAIN_OF.get(modality, XRAY), known)

    def takes_kept(self, path: Path) -> bool:
        """All files are read whole."""
        return True

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Write a file, or for a series a folder."""
        return "" if path.is_dir() else ".dcm"

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
