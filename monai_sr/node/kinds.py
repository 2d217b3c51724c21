"""Tells images to enlarge from the other objects of a study.

SOP classes: DICOM PS3.4 table B.5-1; own results: the Contributing Equipment Sequence (0018,A001)
that the writer of the package adds, PS3.3 C.12.1.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_sr.formats import read_elements

OWN = "own result"
_TAGS = ["SOPClassUID", "Rows", "Columns", "ImageType", "ContributingEquipmentSequence"]
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS = {
    "4.2": "spectroscopy",
    "9.": "waveform",
    "11.": "presentation state",
    "30": "parametric map",
    "66": "raw data",
    "66.1": "spatial registration",
    "66.2": "spatial fiducials",
    "66.3": "deformable registration",
    "66.4": "segmentation",
    "66.5": "segmentation",
    "66.6": "tractography",
    "66.7": "segmentation",
    "66.8": "segmentation",
    "67": "real world values",
    "88.": "report",
    "104.": "document",
    "481.2": "dose",
    "77.1.1.1": "video",
    "77.1.2.1": "video",
    "77.1.4.1": "video",
}
"""What follows ``_STORAGE``, or begins it where it ends in a dot, -> kind."""
_KEY_OBJECTS = f"{_STORAGE}88.59"
_MAKER = "monai-sr"
_DERIVED = "DERIVED"


def kind_of_object(file: Path) -> str:
    """Return what an object is, "" for an image to enlarge.

    Args:
        file: of the object.

    Returns:
        The kind in words; "" also where the header cannot be read: who enlarges it will say so.
    """
    try:
        header = read_elements(file, stop_before_pixels=True, specific_tags=_TAGS)
        return _kind(header)
    except Exception:  # whatever pydicom meets in hostile bytes
        return ""


def _kind(header: Dataset) -> str:
    sop_class = str(header.get("SOPClassUID") or "")
    if sop_class == _KEY_OBJECTS:
        return "key objects"
    rest = sop_class.removeprefix(_STORAGE) if sop_class.startswith(_STORAGE) else ""
    for end, kind in _KINDS.items():
        if rest == end or (end.endswith(".") and rest.startswith(end)):
            return kind
    is_whole = header.get("Rows") and header.get("Columns")
    if not is_whole and "Image Storage" not in UID(sop_class).name:
        return "no image"  # an image without size is a damaged one: who enlarges it will say so
    return OWN if _is_own(header) else ""


def _is_own(header: Dataset) -> bool:
    """Tell whether the package has made it: enlarged again and again it would never end."""
    types = header.get("ImageType") or []
    first = types if isinstance(types, str) else types[0]
    makers = header.get("ContributingEquipmentSequence") or []
    return first == _DERIVED and any(str(item.get("Manufacturer")) == _MAKER for item in makers)
