"""Makes a series of more slices than its source has: where each lies, and what its file says.

A new slice is a copy of the nearest slice's file with pixels, place and number of its own (DICOM
PS3.3 C.7.6.2.1). What was measured of that slice stays: windows, times, triggers, doses. What says
where it lay, or counts slices, is made anew or left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from pydicom.uid import SecondaryCaptureImageStorage

from monai_sr.core import BadImageError, get_logger
from monai_sr.formats.dicom.files import format_ds, open_dicom, refuse_damage
from monai_sr.geometry import Stack, StackError, covering_samples, even_stack, frame_planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import FileDataset

    from monai_sr.core import PathLike

logger = get_logger(__name__)

_SHARED = (
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "RealWorldValueMappingSequence",
    "BitsStored",
)  # fmt: skip
"""What slices must share to be mixed: the meaning of stored values (C.11.1, C.7.6.16.2.11)."""

_PLACES = (
    "DataCollectionCenterPatient", "ReconstructionTargetCenterPatient", "TablePosition",
    "TableTopVerticalPosition", "TableTopLongitudinalPosition", "TableTopLateralPosition",
    "IsocenterPosition", "ImagePosition", "Location",
)  # fmt: skip
"""Places of one slice in patient or gantry (C.8.2.1, C.8.15.3): dropped where they differ."""

_COUNTS = ("InStackPositionNumber", "ImagesInAcquisition")
"""Numbers among the old slices (C.7.6.16.2.2, C.7.6.1): dropped."""

_CREATORS = range(0x10, 0x100)  # elements of a group that reserve its private blocks (PS3.5 7.8.1)
_OFF = 0.05  # of the distance: a slice location further away counts from elsewhere
_REACH = 2  # distances within which a cubic spline weighs slices most
_SAME = 1e-6
_SAME_THICKNESS = 0.02


class MoreSlices:
    """The slices of a result that has more than its source.

    Args:
        name: the image, for messages.
        files: of the source, in slice order.
        count: slices of the result.

    Attributes:
        nearest: for each slice the one of the source whose extent covers its center.
        factor: how many times as many there are.

    Raises:
        BadImageError: the source is no even stack of single-frame files, or its slices do not
            share what mixing them needs.
    """

    def __init__(self, name: PathLike, files: Sequence[str], count: int) -> None:
        self._headers = _headers(name, files)
        self._stack = _stack(name, self._headers)
        self._thin = self._stack.resampled(count)
        self.count = count
        self.nearest = [int(i) for i in covering_samples(len(files), count)]
        self.factor = count / len(files)
        with refuse_damage(f"{name}: slice location must be a number; repair the header."):
            self._location = _location(self._headers, self._stack.distance_mm)
        self._dropped = _varying(self._headers)
        numbers = [header.get("InstanceNumber") for header in self._headers]
        is_known = all(isinstance(number, int) for number in numbers)
        self._is_backwards = is_known and int(numbers[0]) > int(numbers[-1])

    def number(self, index: int) -> int:
        """Return the instance number of a slice, from 1; the order is the source's."""
        return self.count - index if self._is_backwards else index + 1

    def adapt(self, dataset: Dataset, index: int, scale: tuple[float, float]) -> None:
        """Turn a copy of the nearest slice, enlarged in plane, into the slice of a number in place.

        Its Source Image Sequence names the slices that it was made of, with nothing else yet.

        Args:
            dataset: with geometry rescaled.
            index: of the slice, from 0.
            scale: enlargement of (columns, rows).
        """
        for tag in self._dropped:
            if tag in dataset:
                del dataset[tag]
        plane = self._thin.plane(index)
        dataset.ImagePositionPatient = [format_ds(float(v)) for v in plane.scaled_position(scale)]
        distance = format_ds(self._thin.distance_mm)
        dataset.SliceThickness = dataset.SpacingBetweenSlices = distance
        dataset.InstanceNumber = self.number(index)
        if "NumberOfSlices" in dataset:  # PET, C.8.9.1, and the place among them, C.8.9.4
            dataset.NumberOfSlices = self.count
        if "ImageIndex" in dataset:
            dataset.ImageIndex = self.number(index)
        center = self._center(index)
        if self._location is not None:
            first, step = self._location
            dataset.SliceLocation = format_ds(first + step * center)
        dataset.SourceImageSequence = DicomSequence(self._sources(center))

    def _center(self, index: int) -> float:
        """Return where a slice lies, in distances of the source's slices from its first."""
        return (index + 0.5) / self.factor - 0.5

    def _sources(self, center: float) -> list[Dataset]:
        """Refer to the slices around a place (C.12.4.1.1); at most one lies in the same plane."""
        items = []
        for i, header in enumerate(self._headers):
            if abs(i - center) < _REACH and header.get("SOPInstanceUID"):
                item = Dataset()
                item.ReferencedSOPClassUID = (
                    header.get("SOPClassUID") or SecondaryCaptureImageStorage
                )
                item.ReferencedSOPInstanceUID = header.SOPInstanceUID
                item.SpatialLocationsPreserved = "YES" if abs(i - center) < _SAME else "NO"
                items.append(item)
        return items


def check_more_slices(name: PathLike, files: Sequence[str]) -> None:
    """Refuse, before inference, a series between whose slices none can be made.

    Args:
        name: the image, for messages.
        files: its files, in slice order.

    Raises:
        BadImageError: see :class:`MoreSlices`.
    """
    headers = _headers(name, files)
    stack = _stack(name, headers)
    with refuse_damage(f"{name}: slice thickness must be a number; repair the header."):
        thickness = float(headers[0].get("SliceThickness") or stack.distance_mm)
    share = thickness / stack.distance_mm
    if abs(share - 1) > _SAME_THICKNESS:
        logger.warning(
            "%s: slices are %.3g mm thick and lie %.3g mm apart; they are taken as thick as that, "
            "see the profile in docs/how-to/thick-slices.md",
            name, thickness, stack.distance_mm,
        )  # fmt: skip


def _headers(name: PathLike, files: Sequence[str]) -> list[FileDataset]:
    if len(files) < 2:
        raise BadImageError(
            f"{name}: must be a series of single-frame files to get more slices, got one file; "
            "write None for the slice axis, or convert it to NIfTI."
        )
    return [open_dicom(file, stop_before_pixels=True) for file in files]


def _stack(name: PathLike, headers: Sequence[FileDataset]) -> Stack:
    remedy = "write None for the slice axis, or convert it to NIfTI"
    with refuse_damage(f"{name}: tags of its slices must be valid; repair the header."):
        planes = [plane for header in headers for plane in frame_planes(header)]
        for keyword in _SHARED:
            if any(header.get(keyword) != headers[0].get(keyword) for header in headers):
                raise BadImageError(
                    f"{name}: slices must share their {keyword} to get others between them, got "
                    f"several; {remedy}, rescaled."
                )
    located = [plane for plane in planes if plane is not None]
    if len(located) < len(planes):
        raise BadImageError(
            f"{name}: slices must have a position to get others between them, got "
            f"{len(planes) - len(located)} without; {remedy}."
        )
    try:
        return even_stack(located)
    except StackError as error:
        raise BadImageError(
            f"{name}: to get others between them slices must {error}; {remedy}."
        ) from error


def _location(headers: Sequence[FileDataset], distance: float) -> tuple[float, float] | None:
    """Return the slice location (C.7.6.2.1.2) of the first slice and its step.

    It counts from anywhere, up or down; None where it is no place along the normal.
    """
    values = [header.get("SliceLocation") for header in headers]
    if any(value is None for value in values):
        return None
    found = np.array([float(value) for value in values])
    step = float(found[-1] - found[0]) / (len(found) - 1)
    even = found[0] + step * np.arange(len(found))
    off = max(float(np.abs(found - even).max()), abs(abs(step) - distance))
    return (float(found[0]), step) if off <= _OFF * distance else None


def _varying(headers: Sequence[FileDataset]) -> set[BaseTag]:
    """Return what is left out: private elements and places that differ, and counts of slices.

    Nobody knows what private elements mean between slices; series-wide ones stay.
    """
    tags = {tag for header in headers for tag in header.keys()}  # noqa: SIM118 - elements else
    named = {BaseTag(t) for word in _PLACES if (t := tag_for_keyword(word)) is not None}
    asked = {t for t in tags if t in named or (t.is_private and t.element not in _CREATORS)}
    found = {t for t in asked if any(_raw(h, t) != _raw(headers[0], t) for h in headers)}
    found |= {BaseTag(t) for word in _COUNTS if (t := tag_for_keyword(word)) is not None}
    # Without a step of its own a slice location would be the nearest slice's.
    return found | {BaseTag(0x00201041)}


def _raw(header: FileDataset, tag: BaseTag) -> Any:
    """Return what is stored of an element, as bytes where it was not decoded yet."""
    element = header.get_item(tag)
    return None if element is None else element.value
