"""What a DICOM object says about the meaning of its values.

DICOM PS3.3 C.8.20 (segmentations), C.8.8.3 (dose), C.8.13.3.1.1 (complex image component), and
C.7.6.1.1.2 (image type, whose third and later values vendors fill); mosaics of Siemens: CSA header
or (0019,100A), of United Imaging: (0065,1050); raw data type of GE: (0043,102F).
"""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from monai_sr.core import BadImageError
from monai_sr.formats.meaning import (
    COMPLEX,
    DOSE,
    FRACTION,
    LABEL,
    MAGNITUDE_TYPES,
    PART_TYPES,
    PHASE,
    PHASE_TYPES,
    Meaning,
    Tally,
    few_colors,
    few_values,
    many_values,
    phase_turn,
)
from monai_sr.formats.wrapping import volume_by_turn

_LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_DOSE_WORDS = frozenset({"DoseGridScaling", "DoseUnits"})
# UCUM: gray with a prefix, also in a time, and what it was weighted by in braces: Gy{RBE}.
_DOSE_UNIT = re.compile(r"[a-zµ]?Gy(?![A-Za-z])")
_CLASS_TYPES = frozenset({"LABEL", "LABELMAP", "SEGMENTATION", "MASK"})
_COMPONENTS = {"PHASE": PHASE, "REAL": COMPLEX, "IMAGINARY": COMPLEX, "COMPLEX": COMPLEX}
_GE_KINDS = {1: PHASE, 2: COMPLEX, 3: COMPLEX}
_COUNTS = frozenset({"CNTS", "CPS", "PROPCNTS", "PROPCPS"})
# Of PET (C.8.9.1.1.3); all others are amounts.
_SIGNED_UNITS = frozenset({"NONE", "STDDEV", "PCNT"})
_MAPPED = tuple(
    f"{kind}RealWorldValue{end}ValueMapped"
    for kind in ("", "DoubleFloat")
    for end in ("First", "Last")
)
_LEAST_TILE = 64  # of a mosaic that does not say how finely it was acquired
_UNMEASURED = frozenset({"", "OT", "SC", "SEG"})


def dicom_meaning(dataset: Dataset) -> Meaning | None:
    """Return what a header declares; None for gray values and colors.

    Args:
        dataset: an opened object.
    """
    sop_class, modality = str(dataset.get("SOPClassUID")), str(dataset.get("Modality") or "")
    segmentation = str(dataset.get("SegmentationType") or "")
    if segmentation == "FRACTIONAL":
        return Meaning(FRACTION, "a fractional segmentation")
    if segmentation == "LABELMAP" or sop_class == _LABELMAP:
        return Meaning(LABEL, "a label map segmentation")
    if segmentation == "BINARY" or dataset.get("BitsAllocated") == 1:
        return Meaning(LABEL, "a mask of one bit a pixel")
    if modality == "RTDOSE" or sop_class == _DOSE:
        return Meaning(DOSE, "RT Dose")
    if not _DOSE_WORDS.isdisjoint(dataset.dir("Dose")) or any(
        map(_DOSE_UNIT.match, _units(dataset))
    ):
        return Meaning(DOSE, "units of dose")
    types = set(_image_type(dataset)[2:])
    if types & _CLASS_TYPES:
        return Meaning(LABEL, f"ImageType {min(types & _CLASS_TYPES)}")
    return _of_mr(dataset, types) if modality == "MR" else None


def may_be_classes(dataset: Dataset) -> bool:
    """Tell whether few values are a sign of classes: what a scanner measured may be few as well.

    Segmentations are often exported as derived images of the modality that they were drawn on, or
    as images that do not say what they are.
    """
    modality = str(dataset.get("Modality") or "").upper()
    return "ORIGINAL" not in _image_type(dataset)[:1] or modality in _UNMEASURED


def meaning_of_values(
    name: object,
    dataset: Dataset,
    array: npt.NDArray[Any],
    nodata: float,
    storable: tuple[float, float],
) -> Meaning | None:
    """Return what gray values say where the header says nothing.

    Shape: array (C, X, Y[, Z]).

    Args:
        name: the image for a warning where that stays open.
        dataset: its header.
        array: stored values.
        nodata: a value that does not count.
        storable: least and greatest value that the file can hold.
    """
    if len(array) > 1:
        frames = np.moveaxis(array, -1, 0) if array.ndim > 3 else [array]
        return few_colors(frames) if may_be_classes(dataset) else None
    found = None
    if may_be_classes(dataset):
        tally = Tally(nodata)
        found = few_values(tally) if tally.add(array[0], is_named=False) else None
        if array.dtype.kind in "iu":
            found = found or many_values(name, array, nodata=nodata)
    return found or volume_by_turn(
        name, array[0], lambda seen: stored_turn(dataset, array, storable, seen), nodata
    )


def stored_turn(
    dataset: Dataset,
    array: npt.NDArray[Any],
    storable: tuple[float, float],
    seen: float = math.nan,
) -> tuple[float, float] | None:
    """Return the stored values of one turn of phase, None where they stay open.

    Args:
        dataset: a header.
        array: stored values.
        storable: least and greatest value that the file can hold.
        seen: turn after which they begin anew, where that was seen.
    """
    slope, intercept = rescaling(dataset)
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    return phase_turn(low, high, slope=slope, intercept=intercept, storable=storable, seen=seen)


def are_counts(dataset: Dataset) -> bool:
    """Tell whether values are counts of a detector in a pixel, whose sum is what was measured.

    Those of nuclear medicine are, unless they say what else (C.8.4), and those of PET whose Units
    (C.8.9.1.1.3) say so.
    """
    modality, units = str(dataset.get("Modality") or ""), str(dataset.get("Units") or "")
    if units or modality != "NM":
        return units in _COUNTS
    return not dataset.get("RealWorldValueMappingSequence")


def natural_range(dataset: Dataset) -> tuple[float, float]:
    """Return the stored values that a header gives a meaning: infinite where it sets no bound.

    Those that real world value mappings are of (C.7.6.16.2.11), and none below zero counts,
    concentrations and magnitudes.

    Args:
        dataset: an opened object of gray values.
    """
    low, high = -math.inf, math.inf
    if ends := mapped_ranges(dataset):
        low, high = min(map(min, ends)), max(map(max, ends))
    if _are_amounts(dataset) and "ModalityLUTSequence" not in dataset:
        rescaled = (dataset, *_items(dataset, "PixelValueTransformationSequence"))
        lines = [
            (float(i.get("RescaleSlope") or 1), float(i.get("RescaleIntercept") or 0))
            for i in rescaled
        ]
        if all(slope > 0 for slope, _ in lines):
            low = max(low, min(-intercept / slope for slope, intercept in lines))
    return low, high


def mapped_ranges(dataset: Dataset) -> list[tuple[float, float]]:
    """Return the stored values that each real world value mapping is of (C.7.6.16.2.11).

    Args:
        dataset: an opened object of gray values.

    Returns:
        Least and greatest of each; nothing where one does not say.
    """
    found = [
        [float(item[word].value) for word in _MAPPED if item.get(word) is not None]
        for item in _mappings(dataset)
    ]
    is_said = all(len(pair) == 2 for pair in found)
    return [(min(pair), max(pair)) for pair in found] if is_said else []


def _mappings(dataset: Dataset) -> list[Dataset]:
    words = "RealWorldValueMappingSequence"
    return [*(dataset.get(words) or []), *_items(dataset, words)]


def _units(dataset: Dataset) -> set[str]:
    """Return the units that real world value mappings state."""
    codes = (item.get("MeasurementUnitsCodeSequence") or [] for item in _mappings(dataset))
    return {str(code.get("CodeValue") or "") for found in codes for code in found}


def _are_amounts(dataset: Dataset) -> bool:
    """Tell whether real values are counts, concentrations or magnitudes: none is below zero."""
    modality, units = str(dataset.get("Modality") or ""), str(dataset.get("Units") or "")
    if modality == "PT" and units:
        return units not in _SIGNED_UNITS
    if modality != "MR":
        return are_counts(dataset)
    components = _components(dataset)
    is_said = components == {"MAGNITUDE"} or bool(set(_image_type(dataset)[2:]) & MAGNITUDE_TYPES)
    return is_said or _raw_type(dataset) == 0


def rescaling(dataset: Dataset) -> tuple[float, float]:
    """Return slope and intercept of the first frame; those of nothing where none are given."""
    for item in (dataset, *_items(dataset, "PixelValueTransformationSequence")):
        if item.get("RescaleSlope"):
            return float(item.RescaleSlope), float(item.get("RescaleIntercept") or 0)
    return 1.0, 0.0


def mosaic_side(dataset: Dataset, name: object) -> int:
    """Return how many slices lie beside each other in a mosaic, 1 for other images.

    Raises:
        BadImageError: it is a mosaic that does not tell, or cannot be cut so.
    """
    is_said, rows, columns = (
        "MOSAIC" in _image_type(dataset),
        int(dataset.Rows),
        int(dataset.Columns),
    )
    # A slice that was cut out of a mosaic may still tell the number, but is not that large.
    most = min(rows, columns) // _acquired(dataset) if dataset.get("Modality") == "MR" else 1
    count = _mosaic_count(dataset) if is_said or most > 1 else 0
    side = math.ceil(math.sqrt(count)) if count else 0
    is_whole = bool(side) and not rows % side and not columns % side
    if not is_said:
        return side if is_whole and side <= most else 1
    if not is_whole:
        raise BadImageError(
            f"{name}: a mosaic must say how many slices of one size it holds, got "
            f"{count or 'no number'} in {columns} x {rows} pixels; convert it to NIfTI (dcm2niix)"
        )
    return side


def _acquired(dataset: Dataset) -> int:
    """Return the lesser number of pixels that a slice was acquired with, at least."""
    given = [int(n) for n in dataset.get("AcquisitionMatrix") or [] if n]
    return min(given, default=_LEAST_TILE)


def _image_type(dataset: Dataset, keyword: str = "ImageType") -> list[str]:
    value = dataset.get(keyword) or []
    values = [value] if isinstance(value, str) else value  # a single value is no list
    return [str(each).strip().upper() for each in values]


def _of_mr(dataset: Dataset, types: set[str]) -> Meaning | None:
    components = _components(dataset)
    kinds = {_COMPONENTS[c] for c in components & set(_COMPONENTS)}
    is_mixed = "MAGNITUDE" in components and bool(kinds)
    if kinds == {PHASE} and not is_mixed:
        return Meaning(PHASE, "ComplexImageComponent PHASE")
    if kinds:
        return Meaning(COMPLEX, f"ComplexImageComponent {min(components & set(_COMPONENTS))}")
    frames = [set(_image_type(item, "FrameType")[2:]) for item in _frame_types(dataset)]
    for known, kind in ((PHASE_TYPES, PHASE), (PART_TYPES, COMPLEX)):
        found = known & types.union(*frames)
        are_it = {bool(known & each) for each in frames if each}
        if found and len(are_it) > 1:
            return Meaning(COMPLEX, f"FrameType {min(found)} of some frames alone")
        if found:
            return Meaning(kind, f"ImageType {min(found)}")
    raw_kind = _GE_KINDS.get(_raw_type(dataset))
    return Meaning(raw_kind, "raw data type (0043,102F)") if raw_kind else None


def _components(dataset: Dataset) -> set[str]:
    items = (dataset, *_frame_types(dataset))
    return {str(item.get("ComplexImageComponent") or "") for item in items}


def _frame_types(dataset: Dataset) -> Iterator[Dataset]:
    return _items(dataset, "MRImageFrameTypeSequence")


def _raw_type(dataset: Dataset) -> int:
    """Return the raw data type of GE, 0 for magnitudes; -1 where there is none."""
    raw = _private(dataset, 0x0043, "GEMS_PARM_01", 0x2F)
    first = raw if isinstance(raw, int) or not raw else raw[0]
    return first if isinstance(first, int) else -1


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(groups) or []:
            yield from group.get(keyword) or []


def _private(dataset: Dataset, group: int, creator: str, offset: int) -> Any:
    try:
        return dataset.private_block(group, creator)[offset].value
    except KeyError:
        return None


def _mosaic_count(dataset: Dataset) -> int:
    number = _private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(number, bytes):
        number = int.from_bytes(number[:2], "little")
    number = number or _private(dataset, 0x0065, "Image Private Header", 0x50)
    if number:
        with suppress(TypeError, ValueError):
            return int(float(number))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its reader experimental
        from nibabel.nicom import csareader
    try:
        csa = csareader.get_csa_header(dataset, "image")
        return int((csareader.get_n_mosaic(csa) if csa else 0) or 0)
    except (csareader.CSAReadError, ValueError, TypeError, KeyError):
        return 0
