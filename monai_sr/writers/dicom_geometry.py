"""Rewrites every DICOM tag that counts in pixels when an image was enlarged.

DICOM PS3.3 10.7.1 (pixel spacing), C.7.6.2.1.1 (position of the first pixel's center), C.7.6.11
(shutters), C.8.5.5 (ultrasound regions), C.7.6.16.2 (functional groups). Outer edges stay in
place, so lengths between landmarks stay what they were. Tags about the detector or the
acquisition (Detector Element Spacing, Reconstruction Diameter, Acquisition Matrix) stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.valuerep import DSfloat

from monai_sr.geometry.dicom_plane import SPACING_KEYWORDS, Plane, group_plane, item_plane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

_SPACINGS = (*SPACING_KEYWORDS, "ObjectPixelSpacingInCenterOfBeam")
_FIRST_EDGES = {"LeftVerticalEdge": 0, "UpperHorizontalEdge": 1}
_LAST_EDGES = {"RightVerticalEdge": 0, "LowerHorizontalEdge": 1}
_REGION_POINTS = {
    "DopplerSampleVolumeXPosition": 0,
    "DopplerSampleVolumeYPosition": 1,
    "TMLinePositionX0": 0,
    "TMLinePositionY0": 1,
    "TMLinePositionX1": 0,
    "TMLinePositionY1": 1,
}


def rescale_geometry(dataset: Dataset, scale: tuple[float, float]) -> None:
    """Adapt spacing, positions, shutters and regions in place to an enlarged pixel grid.

    Args:
        dataset: the source's dataset, with its tags as they were.
        scale: enlargement of (columns, rows).
    """
    _move_positions(dataset, scale)
    for item in (dataset, *_group_items(dataset)):
        for keyword in _SPACINGS:
            _divide(item, keyword, (scale[1], scale[0]))
        for name in ("Shutter", "Collimator"):
            _rescale_aperture(item, name, scale)
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        _rescale_region(region, scale)
    for mask in dataset.get("MaskSubtractionSequence") or []:
        _divide(mask, "MaskSubPixelShift", (1 / scale[1], 1 / scale[0]))


def format_ds(value: float) -> DSfloat:
    """Format a number for a Decimal String: at most 16 characters, all digits that fit."""
    return DSfloat(value, auto_format=True)


def _move_positions(dataset: Dataset, scale: tuple[float, float]) -> None:
    """Compute all new positions from the old tags before any of them changes."""
    moves: list[tuple[Dataset, str, Plane]] = []
    plane = item_plane(dataset, dataset)
    if plane is not None:
        moves.append((dataset, "ImagePositionPatient", plane))
    for detector in dataset.get("DetectorInformationSequence") or []:
        plane = item_plane(detector, dataset)
        if plane is not None:
            moves.append((detector, "ImagePositionPatient", plane))
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    pairs = [(frame, shared) for frame in frames] + [(item, frames[:1]) for item in shared]
    for own, rest in pairs:
        for space in ("", "Volume"):
            positions = own.get(f"PlanePosition{space}Sequence")
            plane = group_plane([own, *rest, dataset], space) if positions else None
            if plane is not None:
                moves.append((positions[0], f"ImagePosition{space or 'Patient'}", plane))
    for item, keyword, plane in moves:
        _assign(item, keyword, [float(v) for v in plane.scaled_position(scale)])


def _group_items(dataset: Dataset) -> Iterator[Dataset]:
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in dataset.get(keyword) or []:
            yield from _nested(item)


def _nested(item: Dataset) -> Iterator[Dataset]:
    yield item
    for element in item:
        if element.VR == "SQ":
            for inner in element.value:
                yield from _nested(inner)


def _assign(item: Dataset, keyword: str, values: list[float]) -> None:
    is_decimal = item[keyword].VR == "DS"
    item[keyword].value = [format_ds(v) for v in values] if is_decimal else values


def _divide(item: Dataset, keyword: str, divisors: tuple[float, float]) -> None:
    values = item.get(keyword)
    if values is None:
        return
    if isinstance(values, str) or np.size(values) != len(divisors):
        # No pair says what it belongs to; kept, it would now be wrong.
        del item[keyword]
    else:
        _assign(item, keyword, [float(v) / d for v, d in zip(values, divisors, strict=True)])


def _rescale_aperture(item: Dataset, name: str, scale: tuple[float, float]) -> None:
    """Enlarge a shutter or collimator; its coordinates count from 1 and include both edges."""
    for suffix, axis in _FIRST_EDGES.items():
        if item.get(f"{name}{suffix}") is not None:
            item[f"{name}{suffix}"].value = (
                round((item[f"{name}{suffix}"].value - 1) * scale[axis]) + 1
            )
    for suffix, axis in _LAST_EDGES.items():
        if item.get(f"{name}{suffix}") is not None:
            item[f"{name}{suffix}"].value = round(item[f"{name}{suffix}"].value * scale[axis])
    for keyword in (f"CenterOfCircular{name}", f"VerticesOfThePolygonal{name}"):
        points = item.get(keyword)
        if points is not None:  # row, column, row, column, ...
            item[keyword].value = [
                round((int(v) - 0.5) * scale[1 - i % 2] + 0.5) for i, v in enumerate(points)
            ]
    radius = item.get(f"RadiusOfCircular{name}")
    if radius is not None:
        item[f"RadiusOfCircular{name}"].value = round(int(radius) * scale[0])


def _rescale_region(region: Dataset, scale: tuple[float, float]) -> None:
    """Enlarge one ultrasound region; its coordinates count from 0, the reference is a center."""
    for axis, (letter, factor) in enumerate(zip("XY", scale, strict=True)):
        low, high = f"RegionLocationMin{letter}0", f"RegionLocationMax{letter}1"
        if low in region and high in region:
            region[low].value = round(region[low].value * factor)
            region[high].value = round((region[high].value + 1) * factor) - 1
        delta = float(region.get(f"PhysicalDelta{letter}") or 0)
        reference = region.get(f"ReferencePixel{letter}0")
        if reference is not None:
            moved = round(reference * factor)
            # The pixel moves to whole coordinates; the value it stands for takes up the rest.
            rest = ((moved + 0.5) / factor - 0.5 - reference) * delta
            value = float(region.get(f"ReferencePixelPhysicalValue{letter}") or 0)
            setattr(region, f"ReferencePixel{letter}0", moved)
            setattr(region, f"ReferencePixelPhysicalValue{letter}", value + rest)
        if delta:
            setattr(region, f"PhysicalDelta{letter}", delta / factor)
        for keyword, point_axis in _REGION_POINTS.items():
            if point_axis == axis and region.get(keyword) is not None:
                region[keyword].value = round((region[keyword].value + 0.5) * factor - 0.5)
