"""What may stay of text that the confidentiality table of DICOM PS3.15 does not name.

Text can say anything: where the standard asks for none of it, it goes. Here is what stays, and how
a value must look for that: words of equipment, codes of public schemes with the meaning that those
give, terms of physics. All else is removed, or replaced where an image needs it.
"""

import re
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

FREE_TEXT = frozenset(
    {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "AS", "DA", "DT", "TM"}
)
"""Representations that hold what people write, and dates."""

BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "UN"})

# Coded strings are terms of the standard, but in these groups (patient, trial, visit, request,
# worklists, security, film, results) images need none, and what is there came from people.
_GROUPS_OF_PEOPLE = frozenset(
    {0x0004, 0x0010, 0x0012, 0x0032, 0x0038, 0x0072, 0x0074, 0x0400, 0x2100, 0x2110, 0x4008, 0x4010}
)
_NUMBERED = r"[A-Z]{0,3}\d{1,4}(\.\d)?"
_VERSION = r"\d{1,4}(\.\d{1,5})*[a-z]?|\d{8}"
# Makers and scanners. No word here is a name that people have, but for those of large makers.
_EQUIPMENT_WORDS = """
agfa canon carestream fujifilm fuji corporation ge healthcare general electric hitachi hologic
konica minolta inc lorad medical mindray nikon olympus philips samsung shimadzu siemens healthineers
elekta varian systems toshiba united imaging esaote zeiss meditec topcon engineering sectra
achieva aera aquilion avanto biograph brilliance definition discovery echospeed edge elition espree
excite flash genesis ict ingenia ingenuity intera iqon lightspeed magnetom mct mr mri ct optima plus
prime prisma prodiva revolution sensation signa skyra somatom symphony trio triotim verio vantage
xr xt hdx hdxt
"""
_WORDS = frozenset(_EQUIPMENT_WORDS.split())
_KERNELS = "SOFT|STANDARD|BONE|BONEPLUS|LUNG|DETAIL|EDGE|CHEST|ULTRA|NONE|SHARP|SMOOTH"
_KEPT = {
    "CodingSchemeVersion": _VERSION,
    "SoftwareVersions": _VERSION,
    "ConvolutionKernel": rf"[A-Z][a-z]?\d{{1,3}}[a-z]?|FC\d{{2}}|[A-E]|{_KERNELS}|[1-5]",
    "RescaleType": "HU|HU_MOD|US|OD|PCT|ED|EDW|Z_EFF|MGML|mGy|Bq/ml|BQML|CNTS|SUVbw|GML",
    "ModalityLUTType": "HU|US|OD",
    "LUTExplanation": "HU|NORMAL|HARDER|SOFTER",
    "WindowCenterWidthExplanation": "WINDOW[12]?|NORMAL|HARDER|SOFTER|BONE|LUNG|BRAIN|ABDOMEN",
    "StackID": r"\d{1,4}",
    "FrameLabel": r"\d{1,4}",
    "ImagedNucleus": r"1H|2H|3HE|7LI|13C|19F|23NA|31P|129XE|\d{1,3}[A-Z][A-Z]?",
    "Radionuclide": r"[A-Z][a-z]?-?\d{1,3}m?|\d{1,3}m?-?[A-Z][a-z]?",
    "GridAspectRatio": r"\d+:\d+",
    "DimensionDescriptionLabel": "Stack ID|In-Stack Position Number|Temporal Position Index"
    "|Diffusion b-value|Effective Echo Time|Image Position|Frame|Slice|Phase|ImagePositionPatient",
}
# Of two or more words, each must be of equipment or a number as its models have them.
_EQUIPMENT = frozenset({
    "Manufacturer", "ManufacturerModelName", "SecondaryCaptureDeviceManufacturer",
    "SecondaryCaptureDeviceManufacturerModelName", "DetectorManufacturerName",
    "DetectorManufacturerModelName", "ReceiveCoilManufacturerName", "TransmitCoilManufacturerName",
})  # fmt: skip
# Types 1 and 2 of image modules, outside the table.
NEEDED = frozenset({
    "Manufacturer", "LUTLabel", "ManufacturerModelName", "SoftwareVersions", "RTImageLabel",
    "StackID", "ReceiveCoilName", "LUTExplanation",
    "TransmitCoilName", "ReceiveCoilManufacturerName", "TransmitCoilManufacturerName",
    "MultiCoilElementName", "PulseSequenceName", "RescaleType", "ModalityLUTType", "TextValue",
    "ConvolutionKernel", "ImagedNucleus", "AcquisitionProtocolName", "ReferenceLocationLabel",
})  # fmt: skip
EMPTIED = frozenset({"ContentDescription", "PositionReferenceIndicator", "RadiationMachineName"})
_TERMS_OF_PEOPLE = frozenset({
    "AnatomicalOrientationType", "PatientIdentityRemoved", "BurnedInAnnotation",
    "LongitudinalTemporalInformationModified", "PatientSexNeutered", "PatientSex",
})  # fmt: skip
_DATA = frozenset({
    "PixelData", "FloatPixelData", "DoubleFloatPixelData", "ICCProfile", "LUTData",
    "BlendingLookupTableData", "VerticesOfThePolygonalOutline", "TableOfYBreakPoints",
})  # fmt: skip
_PALETTE = re.compile(r"(Red|Green|Blue|Alpha)PaletteColorLookupTable(Data|Descriptor)$|Segmented")
# UCUM gives a grammar for units in place of a list of them. Annotations in braces are free text,
# and numbers but powers of ten could be dates.
_ATOMS = (
    r"m|g|s|l|L|t|u|A|K|C|F|H|J|N|S|T|V|W|Bq|Ci|Gy|Sv|R|RAD|Hz|Pa|bar|mol|eq|eV|Wb|Ohm|cd|lm|lx|rad|"
    r"deg|sr|min|h|d|wk|mo|a|Cel|%|\[ppm\]|\[ppb\]|\[pH\]|\[iU\]|m\[Hg\]|m\[H2O\]|\[hnsf'U\]"
)
_NAMED = rf"(?:da|[YZEPTGMkhdcmunpfazy])?(?:{_ATOMS})(?:[+-]?\d{{1,2}})?"
_TERM = rf"(?:{_NAMED}|10[*^][+-]?\d{{1,2}}|10{{0,3}})"
_UNIT = re.compile(rf"/?{_TERM}(?:[./]{_TERM})*")
_CODE_WORDS = ("CodeValue", "LongCodeValue", "URNCodeValue")
_NO_CODE = ("ANONYMIZED", "99ANON", "ANONYMIZED")


def is_kept(element: DataElement) -> bool:
    """Tell whether an element outside the table may stay as it is; sequences and codes apart.

    Args:
        element: of the data dictionary, with its value.
    """
    word = dictionary_keyword(element.tag)
    if element.VR in FREE_TEXT:
        return word in _CODE or _is_known(word, element)
    if element.VR in BINARY:
        return word in _DATA or bool(_PALETTE.match(word))
    if element.VR in ("DS", "IS"):  # text, which is no number, is what people write
        return not any(isinstance(v, str) and v for v in _values(element))
    if element.VR == "CS" and element.tag.group in _GROUPS_OF_PEOPLE:
        return word in _TERMS_OF_PEOPLE
    return True


_CODE = frozenset({*_CODE_WORDS, "CodeMeaning", "CodingSchemeDesignator"})


def _is_known(word: str, element: DataElement) -> bool:
    values = _values(element)
    if word in _EQUIPMENT:
        return all(_names_equipment(str(value)) for value in values)
    pattern = _KEPT.get(word)
    return pattern is not None and all(re.fullmatch(pattern, str(value)) for value in values)


def _values(element: DataElement) -> list[Any]:
    value = element.value
    return list(value) if isinstance(value, MultiValue) else [value] * (value is not None)


def _names_equipment(text: str) -> bool:
    parts = re.split(r"[\s,./_+-]+", text.strip())
    return all(p.lower() in _WORDS or re.fullmatch(_NUMBERED, p) or len(p) < 2 for p in parts)


def clean_code(item: Dataset) -> None:
    """Keep a code that a public scheme has, with the meaning it gives; replace others, in place.

    Args:
        item: any item; one without a code stays.
    """
    present = [word for word in _CODE if word in item]
    if not present:
        return
    scheme = str(item.get("CodingSchemeDesignator") or "")
    values = [str(item[word].value) for word in _CODE_WORDS if word in item]
    meaning = _meanings().get((scheme, values[0])) if len(values) == 1 else None
    if meaning is None and scheme == "UCUM" and len(values) == 1 and _UNIT.fullmatch(values[0]):
        meaning = values[0]
    if meaning is not None:
        item.CodeMeaning = meaning[:64]
        return
    for word in present:
        del item[word]
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = _NO_CODE


@cache
def _meanings() -> dict[tuple[str, str], str]:
    """Return (scheme, value) -> meaning of the codes that DICOM uses."""
    # A second or so to import, and of use here alone.
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    tables: Any = concepts
    found = {
        (scheme, code): meaning
        for scheme, words in tables.items()
        for codes in words.values()
        for code, (meaning, _) in codes.items()
    }
    old = {
        (scheme, code): found["SCT", new]
        for code, new in mapping["SRT"].items()
        if ("SCT", new) in found
        for scheme in ("SRT", "SNM3")
    }
    return {**old, **found}
