"""Marks a DICOM object as derived: new identity, origin, processing equipment, warning.

DICOM PS3.3 C.7.6.1.1.2 (image type; changed pixels need a new SOP instance), C.12.4.1
(derivation and source images), C.12.1 (contributing equipment); PS3.16 CID 7202, 7203, 7005.
Dates stay the source's, so that equal inputs and parameters give equal files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from monai_sr.core import canonical, sha256
from monai_sr.formats.dicom.attributes import PRESENTED
from monai_sr.formats.dicom.bounds import is_irreversible
from monai_sr.formats.dicom.files import format_ds, sequences
from monai_sr.formats.stored import disclaimer

_MAX_DESCRIPTION = 1024  # Short Text, PS3.5 6.2
_MAX_COMMENT = 10240  # Long Text
_MAX_LABEL = 64  # Long String
_OF_ONE_FILE = ("range", "found")  # of provenance, where a file is no slice of a volume
_ORIGINAL_ONLY = (
    "BulkMotionCompensationTechnique",
    "CoverageOfKSpace",
    "EchoPlanarPulseSequence",
    "EchoPulseSequence",
    "GeometryOfKSpaceTraversal",
    "MRAcquisitionType",
    "MultiPlanarExcitation",
    "MultipleSpinEcho",
    "NumberOfKSpaceTrajectories",
    "OversamplingPhase",
    "PhaseContrast",
    "PulseSequenceName",
    "RectilinearPhaseEncodeReordering",
    "SaturationRecovery",
    "SegmentedKSpaceTraversal",
    "SpectrallySelectedSuppression",
    "SteadyStatePulseSequence",
    "TimeOfFlightContrast",
)
_LOSSY = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}

_MAYBE_LOSSY = {JPEG2000: "ISO_15444_1", HTJ2K: "ISO_15444_15"}


@dataclass(frozen=True)
class MadeSlice:
    """Tell of a slice that a result has beyond those of its source.

    Args:
        factor: how many times as many slices there are.
        number: of this one.
    """

    factor: float
    number: int


def mark_derived(
    dataset: FileDataset,
    provenance: Mapping[str, Any],
    scale: tuple[float, float],
    volume: str = "",
    note: str = "",
    made: MadeSlice | None = None,
) -> None:
    """Turn the source's dataset, with the new pixels in it, into a derived object in place.

    Args:
        dataset: opened source whose pixel data were replaced; still has the source's UIDs.
        provenance: software, version, bundle, weights_sha256, scale, consistency, range, found.
        scale: enlargement of (columns, rows).
        volume: what names the series that the result is a slice of, such as its first object; ""
            for a file of its own, whose intensity range and measures must not split its series.
        note: what a reader of this file would miss, see ``rescale_geometry``.
        made: of a slice between those of the source, whose Source Image Sequence already names
            what it was made of.
    """
    size = _size(scale, made)
    description = _describe(provenance, size, note, made)
    sources = _own_source(dataset) if made is None else list(dataset.get("SourceImageSequence", []))
    for item in sources:
        item.PurposeOfReferenceCodeSequence = _code(
            "121322", "Source image for image processing operation"
        )
    _set_types(dataset)
    _drop_original_only(dataset)
    _describe_derivation(dataset, sources, description)
    _append(dataset, "ContributingEquipmentSequence", _equipment(provenance))
    comments = [str(dataset.get("ImageComments") or ""), disclaimer(provenance)]
    dataset.ImageComments = "; ".join(filter(None, comments))[-_MAX_COMMENT:]
    way = "enlarged" if provenance.get("resampling") else "super-resolution"  # SR is a report
    describe_series(dataset, dataset.get("SeriesDescription"), f"{way}{size}")
    _renew_uids(dataset, provenance, volume, "" if made is None else str(made.number))


def describe_series(dataset: Dataset, before: Any, words: str) -> None:
    """Describe a series as another one with words behind, which stay whole (LO, 64 characters).

    A backslash, which no LO may hold, parts a description in two: it becomes a slash.

    Args:
        dataset: gets the description.
        before: that of the other series, as pydicom gives it, or None.
        words: what is said of this one.
    """
    parts = [before or ""] if isinstance(before, str | None) else before
    text = "/".join(map(str, parts))[: _MAX_LABEL - len(words) - 2]
    dataset.SeriesDescription = ", ".join(filter(None, (text, words)))


def keep_lossy_history(dataset: FileDataset, decoded_bytes: int) -> None:
    """Declare earlier lossy compression that only the compressed pixels tell of (C.7.6.1.1.5).

    Args:
        dataset: opened source, still with its compressed pixel data.
        decoded_bytes: size of the pixels after decoding.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    method = _LOSSY.get(syntax)
    if syntax in _MAYBE_LOSSY and is_irreversible(dataset):
        method = _MAYBE_LOSSY[syntax]
    if method is None or str(dataset.get("LossyImageCompression") or "") == "01":
        return
    dataset.LossyImageCompression = "01"
    ratio = round(decoded_bytes / len(dataset.PixelData), 2)
    dataset.LossyImageCompressionRatio = format_ds(ratio)
    dataset.LossyImageCompressionMethod = method


def _set_types(dataset: Dataset) -> None:
    """Set Image Type and Frame Type; enhanced objects know PRIMARY alone as second value."""
    name = UID(str(dataset.get("SOPClassUID") or "")).name
    is_enhanced = "Enhanced" in name or "SharedFunctionalGroupsSequence" in dataset
    for item in (dataset, *_frame_types(dataset)):
        keyword = "ImageType" if item is dataset else "FrameType"
        value = item.get(keyword) or []
        rest = [value] if isinstance(value, str) else [str(v) for v in value]
        second = rest[1:2] if is_enhanced and rest[1:2] else ["SECONDARY"]
        setattr(item, keyword, ["DERIVED", *second, *rest[2:]])


def _drop_original_only(dataset: Dataset) -> None:
    """Leave the acquisition facts of an enhanced MR to its source, as validators want it.

    PS3.3 C.8.13.4 allows them in derived images today; the editions that validators know do not.
    """
    if "Enhanced MR" in UID(str(dataset.get("SOPClassUID") or "")).name:
        for keyword in _ORIGINAL_ONLY:
            if keyword in dataset:
                del dataset[keyword]


def _code(value: str, meaning: str) -> DicomSequence:
    """Return a code of DICOM's own, PS3.16 D."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return DicomSequence([item])


def _own_source(dataset: FileDataset) -> list[Dataset]:
    if not dataset.get("SOPInstanceUID"):
        return []
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.get("SOPClassUID") or SecondaryCaptureImageStorage
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    item.SpatialLocationsPreserved = "YES"
    return [item]


def _size(scale: tuple[float, float], made: MadeSlice | None) -> str:
    """Return how much larger the image is: " x4", " x4, slices x5", ", slices x5"."""
    if made is None:
        return f" x{max(scale):g}"
    plane = "" if max(scale) == min(scale) == 1 else f" x{max(scale):g}"
    return f"{plane}, slices x{made.factor:.4g}"


def _describe(
    provenance: Mapping[str, Any], size: str, note: str, made_slice: MadeSlice | None
) -> str:
    """Write one readable line of all that the result depends on."""
    tool = f"{provenance.get('software', 'monai-sr')} {provenance.get('version', '')}".strip()
    made = "Enlargement" if provenance.get("resampling") else "Super-resolution"
    parts = [f"{made}{size} by {tool}"]
    if made_slice is not None:
        parts.append(_describe_slices(provenance))
    for key, words in (
        ("resampling", "codes by"),
        ("bundle", "bundle"),
        ("system", "system"),
        ("weights", "weights"),
        ("weights_sha256", "weights SHA-256"),
        ("perception", "share of the perceptual weights, which invent detail,"),
        ("perceptual_sha256", "perceptual weights SHA-256"),
        ("consistency", "consistency steps"),
        ("precision", "precision"),
        ("self_ensemble", "views averaged"),
        ("overshoot", "overshoot"),
        ("bounds", "bounds"),
        ("nodata", "nodata"),
        ("kind", "kind"),
        ("found", "found"),
        ("range", "intensity range"),
    ):
        if provenance.get(key) not in (None, ""):
            parts.append(f"{words} {provenance[key]}")
    return ", ".join(filter(None, [*parts, note])) + f". {disclaimer(provenance)}."


def _frame_types(dataset: Dataset) -> list[Dataset]:
    """Find the items that hold a Frame Type in the functional groups of an enhanced object."""
    groups = [
        *(dataset.get("SharedFunctionalGroupsSequence") or []),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or []),
    ]
    found = [element.value for group in groups for element in sequences(group)]
    return [item for items in found for item in items if "FrameType" in item]


def _describe_slices(provenance: Mapping[str, Any]) -> str:
    """Say how slices came between others; "" of codes, whose way is said for all axes."""
    facts = provenance.get("slices")
    if not facts:
        return "" if provenance.get("resampling") else "slices by bicubic interpolation"
    profile = facts["profile"]
    way = f"slices by splines under profile {profile['kind']} of thickness {profile['thickness']:g}"
    if not facts.get("weights_sha256"):
        return way
    tuned = facts.get("tuned_minutes")
    learned = f", tuned on the series for {tuned:g} minutes" if tuned else ""
    return f"{way} and a network of SHA-256 {facts['weights_sha256']}{learned}"


def _describe_derivation(dataset: Dataset, sources: list[Dataset], description: str) -> None:
    """State code, text and source: in functional groups of enhanced objects, else on top."""
    shared = dataset.get("SharedFunctionalGroupsSequence")
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if not shared and not frames:
        _fill_derivation(dataset, sources, description)
        return
    # A functional group is either shared or per frame, never both (C.7.6.16.1.1).
    has_own = any("DerivationImageSequence" in frame for frame in frames)
    for source in sources:
        _append(dataset, "SourceImageEvidenceSequence", _evidence(dataset, source))
    for group in frames if has_own or not shared else shared:
        item = Dataset()
        _fill_derivation(item, sources, description)
        _append(group, "DerivationImageSequence", item)


def _evidence(dataset: Dataset, source: Dataset) -> Dataset:
    """Name the source by study and series, too (C.7.6.16.1, macro of PS3.3 table 10-3b)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = source.ReferencedSOPClassUID
    instance.ReferencedSOPInstanceUID = source.ReferencedSOPInstanceUID
    series.ReferencedSOPSequence = DicomSequence([instance])
    series.SeriesInstanceUID = dataset.SeriesInstanceUID
    study.ReferencedSeriesSequence = DicomSequence([series])
    study.StudyInstanceUID = dataset.get("StudyInstanceUID")
    return study


def _fill_derivation(item: Dataset, sources: list[Dataset], description: str) -> None:
    texts = [description, str(item.get("DerivationDescription") or "")]
    item.DerivationDescription = "; before: ".join(filter(None, texts))[:_MAX_DESCRIPTION]
    _append(item, "DerivationCodeSequence", _code("113085", "Spatial resampling")[0])
    if sources:
        item.SourceImageSequence = DicomSequence(sources)


def _equipment(provenance: Mapping[str, Any]) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = _code("109102", "Processing Equipment")
    item.Manufacturer = str(provenance.get("software") or "monai-sr")[:_MAX_LABEL]
    item.ManufacturerModelName = str(provenance.get("bundle") or "monai-sr")[:_MAX_LABEL]
    versions = [provenance.get("version"), provenance.get("weights_sha256")]
    item.SoftwareVersions = [str(v)[:_MAX_LABEL] for v in versions if v] or ["unknown"]
    item.ContributionDescription = disclaimer(provenance)
    return item


def _append(dataset: Dataset, keyword: str, item: Dataset) -> None:
    items = list(dataset.get(keyword) or [])
    setattr(dataset, keyword, DicomSequence([*items, item]))


def _take_over_presentations(dataset: Dataset, source: str) -> None:
    """Let enlarged annotations and displayed areas of the source name the result."""
    for keyword in PRESENTED:
        for item in dataset.get(keyword) or []:
            for reference in item.get("ReferencedImageSequence") or []:
                if source and reference.get("ReferencedSOPInstanceUID") == source:
                    reference.ReferencedSOPInstanceUID = dataset.SOPInstanceUID


def _renew_uids(
    dataset: FileDataset, provenance: Mapping[str, Any], volume: str, number: str
) -> None:
    """Derive UIDs from source, parameters and pixels: one UID always means the same image.

    Slices made of one of the source, which may be of the same pixels, differ by their number.
    """
    parameters = canonical(provenance)
    common = {k: v for k, v in provenance.items() if volume or k not in _OF_ONE_FILE}
    keyword = next(
        k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset
    )
    pixels = sha256(dataset[keyword].value)
    instance = str(dataset.get("SOPInstanceUID") or "")
    series = str(dataset.get("SeriesInstanceUID") or instance or pixels)
    dataset.SeriesInstanceUID = generate_uid(
        entropy_srcs=[series, volume, canonical(common), "series"]
    )
    what = [instance, parameters, pixels, *filter(None, [number]), "instance"]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=what)
    _take_over_presentations(dataset, instance)
    if not dataset.get("SOPClassUID"):
        dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
