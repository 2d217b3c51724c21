"""Removes what tells who the patient is: the Basic Application Level Confidentiality Profile.

DICOM PS3.15 Annex E; its table E.1-1 comes with the package dicom-anonymizer, in the edition of
2026c. Text and dates that it does not name stay by ``dicom_keep_list`` alone. UIDs and dummy values
are functions of what they replace, so that the files of a study still belong together, and equal
inputs give equal files; with a key nobody else can compute them.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, repeater_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from pydicom.uid import generate_uid

from monai_sr.core import OptionError, PathLike, get_logger, sha256
from monai_sr.core.version import __version__
from monai_sr.formats.dicom.keep_list import (
    BINARY,
    EMPTIED,
    FREE_TEXT,
    NEEDED,
    clean_code,
    is_kept,
)

logger = get_logger(__name__)

_EDITION = "dicomfields_2026c"
_STANDARD_ROOT = "1.2.840.10008."
_CLASS = re.compile("Class|TransferSyntax")  # newer ones than the dictionary's are no identity, too
_SCHEMES = "CodingSchemeIdentificationSequence"  # who answers for local codes, which are replaced
# What an attribute needs that the table leaves open is decided for its strictest use (type 1, then
# 2), so that no object becomes invalid: "X/D" is D, "X/Z" is Z.
_ACTIONS = {
    "D_TAGS": "D",
    "Z_D_TAGS": "D",
    "X_D_TAGS": "D",
    "X_Z_D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "X_Z_U_STAR_TAGS": "U",
}
_DUMMIES: dict[str, Any] = {
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "UR": "http://anonymized.invalid",  # RFC 2606
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("FD", "FL", "SL", "SS", "UL", "US"), 0),
    **dict.fromkeys(("OB", "OW", "UN"), b"\0\0"),
}
_TEXT = "ANONYMIZED"
_SHORTEST_KEY = 16  # 128 bits: nobody finds it by trying
# Modalities whose images often show names: screens, screenshots, scanned films and papers.
_OFTEN_LABELED = frozenset({"CR", "DX", "ES", "IO", "MG", "OT", "PX", "RF", "RG", "SC", "US", "XA"})


def deidentify(dataset: FileDataset, name: PathLike, key: bytes = b"") -> None:
    """Apply the basic profile in place, and say so in the tags (PS3.15 E.1.1, PS3.3 C.7.1.1).

    Private elements, free text, dates and people go; name and ID become a hash of the study's UID.
    Text in the pixels stays: a warning tells where there may be some.

    Args:
        dataset: a dataset with all sequences; pixels may be replaced already.
        name: what the warning calls it.
        key: secret of the hashes of UIDs; without one, who has the old UIDs can compute the new.
    """
    _warn_of_text(dataset, name)
    study = str(dataset.get("StudyInstanceUID") or dataset.get("SOPInstanceUID") or "")
    own_class = str(dataset.get("SOPClassUID") or "")
    work = _Cleaning(own_class, key)
    work.clean(dataset)
    alias = sha256(work.new_uid(study))[:16].upper()
    dataset.PatientName, dataset.PatientID = f"{alias}^", alias
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    dataset.DeidentificationMethod = f"monai-sr {__version__}, DICOM PS3.15 basic profile"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    dataset.DeidentificationMethodCodeSequence = DicomSequence([code])


def read_key(path: PathLike | None, is_asked: bool) -> bytes:
    """Read the secret that keys hashes.

    Args:
        path: the file; None for none.
        is_asked: whether results are de-identified at all.

    Returns:
        Its content, b"" without a file.

    Raises:
        OptionError: the file cannot be read or is too short, or nothing is de-identified.
    """
    if path is None or str(path) == "":
        return b""
    if not is_asked:
        raise OptionError("deidentify_key: is for --deidentify alone, got it without; add that.")
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise OptionError(
            f"deidentify_key: must be a file that can be read, got {path}; check the path."
        ) from error
    if len(key) < _SHORTEST_KEY:
        raise OptionError(
            f"deidentify_key: must hold {_SHORTEST_KEY} bytes or more, got {len(key)}; make one, "
            "openssl rand -hex 32 > FILE."
        )
    return key


@cache
def _table() -> tuple[dict[tuple[int, int], str], tuple[tuple[int, int, int, int], ...]]:
    """Return tag -> action, and the masked tags of repeating groups, which all are removed."""
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    fields = dicom_anonymization_database_selector(_EDITION)
    single = {
        (tag[0], tag[1]): action
        for category, action in _ACTIONS.items()
        for tag in fields[category]
        if len(tag) == 2
    }
    return single, tuple(tag for tag in fields["X_TAGS"] if len(tag) == 4)


def _action(element: DataElement) -> str:
    """Return D (dummy), Z (empty), X (remove), U (new UID) or K (keep, its items cleaned)."""
    tag = element.tag
    if tag.is_private or not (dictionary_has_tag(tag) or repeater_has_tag(tag)):
        return "X"
    single, repeating = _table()
    if any(_is_in(tag, masked) for masked in repeating):
        return "X"
    named = single.get((tag.group, tag.element))
    if named is not None:
        return named
    if element.VR == "UI":
        return "U"
    if not dictionary_has_tag(tag):
        return "X" if element.VR in FREE_TEXT | BINARY else "K"
    if is_kept(element):
        return "X" if dictionary_keyword(tag) == _SCHEMES else "K"
    word = dictionary_keyword(tag)
    return "D" if word in NEEDED else "Z" if word in EMPTIED else "X"


def _is_in(tag: BaseTag, masked: tuple[int, int, int, int]) -> bool:
    group, element, group_mask, element_mask = masked
    return tag.group & group_mask == group and tag.element & element_mask == element


@dataclass(frozen=True)
class _Cleaning:
    """One object's cleaning.

    Args:
        own_class: its SOP class, which may be private and stays.
        key: secret of the hashes, or none.
    """

    own_class: str
    key: bytes

    def clean(self, dataset: Dataset) -> None:
        """Clean a dataset or an item in place."""
        clean_code(dataset)
        for element in list(dataset):
            action = _action(element)
            if action == "X":
                del dataset[element.tag]
            elif element.VR == "SQ":
                self._clean_items(element, action)
            elif action == "Z":
                element.value = None
            elif action == "U":
                element.value = self._new_uids(element)
            elif action == "D":
                element.value = self._dummy(element)

    def _clean_items(self, element: DataElement, action: str) -> None:
        if action == "Z":
            element.value = DicomSequence([])
            return
        for item in element.value:
            self.clean(item)
            if action == "D":
                for inner in item.iterall():
                    if inner.VR != "SQ":
                        inner.value = self._dummy(inner)

    def _dummy(self, element: DataElement) -> Any:
        if element.VR == "UI":
            return self._new_uids(element)
        return _DUMMIES.get(element.VR, _TEXT)

    def _new_uids(self, element: DataElement) -> Any:
        value = element.value
        if not value:
            return value
        is_class = bool(_CLASS.search(dictionary_keyword(element.tag)))
        values = [value] if isinstance(value, str) else list(value)
        new = [
            str(v) if is_class and str(v).startswith(_STANDARD_ROOT) else self.new_uid(str(v))
            for v in values
        ]
        return new[0] if isinstance(value, str) else new

    def new_uid(self, uid: str) -> str:
        """Return the hash of a UID; registered ones, and the object's class, name no patient."""
        if uid in UID_dictionary or uid in ("", self.own_class):
            return uid
        if self.key:
            uid = sha256(uid, self.key)
        return str(generate_uid(entropy_srcs=[uid, "PS3.15 basic profile"]))


def _warn_of_text(dataset: Dataset, name: PathLike) -> None:
    burned = str(dataset.get("BurnedInAnnotation") or "").upper()
    if burned == "YES":
        logger.warning("%s: its pixels hold text (Burned In Annotation), which stays.", name)
    elif burned != "NO" and dataset.get("Modality") in _OFTEN_LABELED:
        logger.warning("%s: its pixels may hold text that names the patient; look at it.", name)
