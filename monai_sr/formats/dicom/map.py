"""Writes the uncertainty of a DICOM result as a parametric map, through highdicom.

DICOM PS3.3 A.75 (parametric map), C.7.6.16.2.11 (real world value mapping). A map must have a frame
of reference: for results without a place in the patient (projections, ultrasound) it gets one of
its own, which no other object shares, with the frames one behind the other.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, generate_uid

from monai_sr.core import OutputError, PathLike, atomic_file, ignored_warnings, import_extra
from monai_sr.core.version import __version__
from monai_sr.formats.dicom.derived import describe_series
from monai_sr.formats.dicom.files import format_ds, open_dicom, quiet_pydicom, refuse_damage
from monai_sr.formats.dicom.pixel_module import check_size
from monai_sr.formats.dicom.quantities import in_frames
from monai_sr.formats.facts import Facts
from monai_sr.formats.stored import map_meaning, provenance_of
from monai_sr.geometry import (
    Plane,
    frame_planes,
    is_parallel,
    is_same_spacing,
    pixel_spacing,
    position_gaps,
    slice_distance,
)

_PADDING = -1.0  # half widths are never negative
_PATIENT = (
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "PatientID",
    "PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName",
    "PositionReferenceIndicator",
)  # fmt: skip
# Copied as they are: highdicom takes no "REMOVED" of an anonymizer, nor an empty first set.
_COPIED = (
    *_PATIENT, "StudyDescription", "PatientAge", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "SpecificCharacterSet",
)  # fmt: skip


def check_map_size(name: PathLike, shape: Sequence[int]) -> None:
    """Refuse, before inference, a map that cannot be written.

    Args:
        name: the image, for the message.
        shape: (C, X, Y[, Z]) of the result; all slices go into one file.

    Raises:
        MissingDependencyError: highdicom is not installed.
        OutputError: the pixels of the map are too many for one file, or pydicom gives decimals,
            which highdicom does not compute with.
    """
    import_extra("highdicom", extra="dicom")
    if config.use_DS_decimal:
        raise OutputError(
            f"{name}: a map of uncertainty needs numbers as floats, which "
            "pydicom.config.DS_decimal has turned off; call DS_decimal(False) first, or write NIfTI"
        )
    _, columns, rows, frames = (*shape, 1)[:4]
    check_size(name, (frames, rows, columns, 1), np.dtype(np.float32).itemsize)


def write_parametric_map(
    result: Path, target: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]
) -> None:
    """Write one multi-frame map for a DICOM file or a folder of slices.

    Args:
        result: the written result.
        target: name of the map.
        half_width: (C, X, Y[, Z]) in stored units; of colors the greatest is written.
        meta: metadata of the result.

    Raises:
        BadImageError: tags that it needs are no numbers.
        OutputError: the file cannot be written.
    """
    invalid = (
        f"{target}: tags of the source must be valid for a map of its result, got an invalid one; "
        "repair them, or leave out --uncertainty."
    )
    # Highdicom's remarks on names quote them.
    with refuse_damage(invalid), ignored_warnings(module=r"highdicom"):
        made = _made(result, half_width, meta)
    with quiet_pydicom(), atomic_file(target) as temporary:
        made.save_as(temporary)


def _made(result: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]) -> Any:
    files = sorted(result.iterdir()) if result.is_dir() else [result]
    headers = [open_dicom(file, stop_before_pixels=True) for file in files]
    frames = in_frames(half_width, Facts(meta)).max(axis=-1)
    slopes = np.concatenate([_slopes(header) for header in headers])
    values = np.ascontiguousarray(frames * slopes[:, None, None], dtype=np.float32)
    planes = [plane for header in headers for plane in frame_planes(header)]
    located = [plane for plane in planes if plane is not None]
    frame_of_reference = headers[0].get("FrameOfReferenceUID")
    is_located = len(located) == len(planes) and bool(frame_of_reference)
    # Of frames that are no stack (one position at several times, several directions) it is built
    # as if they were, and their places are put back.
    is_stack = is_located and _is_stack(located)
    if not is_located:
        own = [str(headers[0].SOPInstanceUID), "frame of reference"]
        frame_of_reference = generate_uid(entropy_srcs=own)
    spacing = located[0].spacing_mm if is_located else pixel_spacing(headers[0]) or (1.0, 1.0)
    drawn = _alike(located) if is_stack else _stacked(spacing, len(planes))
    sources = _carriers(headers, drawn, frame_of_reference)
    made = _build(headers, values, sources, meta)
    if is_located and not is_stack:
        _put_back(made, located)
    return made


def _slopes(header: FileDataset) -> npt.NDArray[np.float64]:
    """Return the rescale slope of every frame; a modality LUT leaves stored units."""
    count = max(int(header.get("NumberOfFrames") or 1), 1)
    groups = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    slopes = np.full(count, abs(float(header.get("RescaleSlope") or 1)))
    for i in range(count):
        for group in [*groups[i : i + 1], *shared[:1]]:
            if group.get("PixelValueTransformationSequence"):
                item = group.PixelValueTransformationSequence[0]
                slopes[i] = abs(float(item.get("RescaleSlope") or 1))
                break
    return slopes


def _are_hounsfield(header: Dataset) -> bool:
    """Tell whether rescaled values are HU, as those of CT are unless it says else (C.8.2.1)."""
    holders = [header]
    for group in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in header.get(group) or []:
            holders += item.get("PixelValueTransformationSequence") or []
    types = {str(holder.get("RescaleType") or "HU").strip() for holder in holders}
    is_rescaled = not header.get("ModalityLUTSequence")
    return header.get("Modality") == "CT" and is_rescaled and types == {"HU"}


def _is_stack(planes: Sequence[Plane]) -> bool:
    """Tell whether frames are parallel, of one pixel spacing, and have a position each."""
    first = planes[0]
    is_one_way = all(
        is_parallel(first, plane) and is_same_spacing(first.spacing_mm, plane.spacing_mm)
        for plane in planes
    )
    return is_one_way and position_gaps(planes).size == len(planes) - 1


def _alike(planes: Sequence[Plane]) -> list[Plane]:
    """Give all frames the directions of the first: highdicom knows no rounding."""
    across, down = planes[0].across, planes[0].down
    return [Plane(p.position, across, down, planes[0].spacing_mm) for p in planes]


def _put_back(made: Dataset, planes: Sequence[Plane]) -> None:
    """Give frames that form no stack their places, and count them by acquisition number instead."""
    shared = made.SharedFunctionalGroupsSequence[0]
    thickness = shared.PixelMeasuresSequence[0].SliceThickness
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword in shared:
            del shared[keyword]
    frames = made.PerFrameFunctionalGroupsSequence
    for i, (frame, plane) in enumerate(zip(frames, planes, strict=True), 1):
        position, orientation, measures = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [format_ds(v) for v in plane.spacing_mm]
        measures.SliceThickness = thickness
        frame.PixelMeasuresSequence = DicomSequence([measures])
        position.ImagePositionPatient = [format_ds(float(v)) for v in plane.position]
        cosines = (*plane.across, *plane.down)
        orientation.ImageOrientationPatient = [format_ds(float(v)) for v in cosines]
        frame.PlanePositionSequence = DicomSequence([position])
        frame.PlaneOrientationSequence = DicomSequence([orientation])
        content = frame.FrameContentSequence[0]
        content.FrameAcquisitionNumber, content.DimensionIndexValues = i, [i]
    index = made.DimensionIndexSequence[0]
    index.DimensionIndexPointer = tag_for_keyword("FrameAcquisitionNumber")
    index.FunctionalGroupPointer = tag_for_keyword("FrameContentSequence")
    index.DimensionDescriptionLabel = "Frame"
    made.DimensionIndexSequence = DicomSequence([index])


def _stacked(spacing: tuple[float, float], count: int) -> list[Plane]:
    axes = np.eye(3)
    # Downwards: highdicom sorts frames against the normal, and they keep their order so.
    return [Plane(-axes[2] * i, axes[0], axes[1], spacing) for i in range(count)]


def _build(
    headers: Sequence[FileDataset],
    values: npt.NDArray[np.float32],
    sources: Sequence[Dataset],
    meta: Mapping[str, Any],
) -> Any:
    hd = import_extra("highdicom", extra="dicom")
    # Its tables of every code of the standard are slow to import.
    from pydicom.sr.coding import Code

    first = headers[0]
    # A series is of one frame of reference (PS3.3 A.1.2.5).
    series = [str(first.SeriesInstanceUID), "map"]
    if sources[0].FrameOfReferenceUID != first.get("FrameOfReferenceUID"):
        series.append(str(sources[0].FrameOfReferenceUID))
    provenance = provenance_of(meta)
    invalid = ~np.isfinite(values)
    is_ct = all(_are_hounsfield(header) for header in headers)
    unit = Code("[hnsf'U]", "UCUM", "Hounsfield unit") if is_ct else Code("1", "UCUM", "no units")
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="HALF_90",
        lut_explanation="Half width of the 90 % interval",
        unit=unit,
        value_range=(0.0, float(np.finfo(np.float32).max)),
        slope=1.0,
        intercept=0.0,
    )
    top = max(float(values.max(initial=0.0, where=~invalid)), 1e-6)
    window = hd.VOILUTTransformation(
        window_center=top / 2, window_width=top, voi_lut_function="LINEAR_EXACT"
    )
    made = hd.pm.ParametricMap(
        sources,
        np.where(invalid, np.float32(_PADDING), values),
        series_instance_uid=generate_uid(entropy_srcs=series),
        series_number=_whole(first, "SeriesNumber", 0) + 1,
        sop_instance_uid=generate_uid(entropy_srcs=[str(first.SOPInstanceUID), "map"]),
        instance_number=max(_whole(first, "InstanceNumber", 1), 1) if len(headers) == 1 else 1,
        manufacturer=str(provenance.get("software", "monai-sr")),
        manufacturer_model_name=str(provenance.get("bundle", "monai-sr")),
        software_versions=str(provenance.get("version", __version__)),
        device_serial_number=str(provenance.get("weights_sha256", "unknown"))[:64],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_label="UNCERTAINTY",
        content_description="Half width of the 90 % interval of a super-resolution",
    )
    describe_series(made, first.get("SeriesDescription"), "uncertainty")
    made.ImageComments = map_meaning(meta)
    made.Laterality = None
    if invalid.any():
        made.FloatPixelPaddingValue = _PADDING
    _restore_references(made, headers, sources)
    _repeatable(made, first)
    for keyword in _COPIED:
        if keyword in first:
            made[keyword] = first.get_item(keyword)
    return made


def _whole(header: Dataset, keyword: str, default: int) -> int:
    """Return a number of a header that is not negative; another where it states none."""
    number = header.get(keyword)
    return int(number) if isinstance(number, int) and number >= 0 else default


def _carriers(
    headers: Sequence[FileDataset], planes: Sequence[Plane], frame_of_reference: str
) -> list[Dataset]:
    """Describe every frame as a slice of its own, which is what highdicom takes in all cases."""
    numbers = [h for h in headers for _ in range(max(int(h.get("NumberOfFrames") or 1), 1))]
    carriers = []
    for i, (header, plane) in enumerate(zip(numbers, planes, strict=True)):
        carrier = Dataset()
        for keyword in _PATIENT:
            setattr(carrier, keyword, None)
        carrier.StudyInstanceUID = header.get("StudyInstanceUID") or ""
        carrier.file_meta = header.file_meta
        carrier.SOPClassUID = CTImageStorage
        carrier.SOPInstanceUID = generate_uid(entropy_srcs=[str(header.SOPInstanceUID), str(i)])
        carrier.SeriesInstanceUID = header.SeriesInstanceUID
        carrier.Modality = header.get("Modality")
        carrier.Rows, carrier.Columns = header.Rows, header.Columns
        carrier.FrameOfReferenceUID = frame_of_reference
        carrier.ImagePositionPatient = [float(v) for v in plane.position]
        carrier.ImageOrientationPatient = [float(v) for v in (*plane.across, *plane.down)]
        carrier.PixelSpacing = list(plane.spacing_mm)
        carrier.SliceThickness = slice_distance(header)
        carriers.append(carrier)
    return carriers


def _restore_references(
    made: Dataset, headers: Sequence[FileDataset], sources: Sequence[Dataset]
) -> None:
    """Name the results themselves, in place of the slices that stood for their frames."""
    owners = [h for h in headers for _ in range(max(int(h.get("NumberOfFrames") or 1), 1))]
    real = {str(s.SOPInstanceUID): h for s, h in zip(sources, owners, strict=True)}
    frames: dict[str, int] = {}
    for source, owner in zip(sources, owners, strict=True):
        if int(owner.get("NumberOfFrames") or 1) > 1:
            frames[str(source.SOPInstanceUID)] = 1 + sum(
                o is owner for o in owners[: sources.index(source)]
            )
    for element in list(made.iterall()):
        if element.VR != "SQ":
            continue
        named: set[str] = set()
        kept = []
        for item in element.value:
            uid = str(item.get("ReferencedSOPInstanceUID") or "")
            if uid not in real:
                kept.append(item)
                continue
            owner = real[uid]
            item.ReferencedSOPClassUID = owner.SOPClassUID
            item.ReferencedSOPInstanceUID = owner.SOPInstanceUID
            if element.keyword == "SourceImageSequence" and uid in frames:
                item.ReferencedFrameNumber = frames[uid]
            elif str(owner.SOPInstanceUID) in named:
                continue  # lists of instances name each once
            named.add(str(owner.SOPInstanceUID))
            kept.append(item)
        element.value = DicomSequence(kept)


def _repeatable(made: Dataset, first: Dataset) -> None:
    """Take the result's dates and a UID computed from its own: equal inputs give equal files."""
    organization = generate_uid(entropy_srcs=[str(made.SOPInstanceUID), "dimensions"])
    date = str(first.get("ContentDate") or first.get("StudyDate") or "19000101")
    time = str(first.get("ContentTime") or first.get("StudyTime") or "000000")
    for element in made.iterall():
        if element.keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
            element.value = date
        elif element.keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
            element.value = time
        elif element.keyword == "DimensionOrganizationUID":
            element.value = organization
        elif element.keyword == "ContributionDateTime":
            element.value = date + time
