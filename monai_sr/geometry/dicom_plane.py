"""Finds where the pixels of DICOM frames lie in the patient, in millimeters.

DICOM PS3.3 C.7.6.2.1.1 (image plane), C.7.6.16.2 (functional groups of multi-frame objects),
10.7.1.3 (which pixel spacing means what). DICOM's patient axes are LPS; the affines are RAS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from monai_sr.geometry.target_grid import scaled_affine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

FloatArray: TypeAlias = npt.NDArray[np.float64]

SPACING_KEYWORDS = (
    "PixelSpacing",
    "ObjectPixelSpacingInCenterOfBeam",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "ImagePlanePixelSpacing",
)
"""Tags that hold (between rows, between columns) in millimeters, the most trusted first."""

SAME_POSITION_MM = 1e-3
"""Slices nearer than this share a position; real slice distances start at some 0.05 mm."""

# Pixel Measures (C.7.6.16.2.1); of angiography (C.8.19.6.9, C.8.19.6.4).
_OF_SPACING = (
    "PixelMeasuresSequence",
    "ProjectionPixelCalibrationSequence",
    "FramePixelDataPropertiesSequence",
)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_CENTIMETERS = 3  # (0018,6024) Physical Units X Direction, PS3.3 C.8.5.5.1.15
_MM_PER_CM = 10.0
_NM_GROUP, _SLICE_VECTOR = 0x0054, 0x00540080
_PARALLEL = 1e-2  # files round direction cosines to two or more decimals
_COSINE_TOLERANCE = 5e-2  # 0.7 of 0.7071 is right to one decimal; beyond, nobody knows the axis
_SAME_SPACING = 1e-3  # relative: above what files round, below what anybody scans apart
_EXACT = 1e-6


class OrientationError(ValueError):
    """A file's direction cosines are not two unit vectors at right angles, even with rounding."""


@dataclass(frozen=True)
class Plane:
    """Hold the pixel grid of one frame in patient coordinates (LPS, millimeters).

    Args:
        position: center of the first pixel, (0020,0032).
        across: unit vector along a row, towards growing column index.
        down: unit vector along a column, towards growing row index.
        spacing_mm: (between rows, between columns), the order of (0028,0030).
    """

    position: FloatArray
    across: FloatArray
    down: FloatArray
    spacing_mm: tuple[float, float]

    @property
    def normal(self) -> FloatArray:
        """Return the unit vector at right angles to the plane."""
        vector = np.cross(self.across, self.down)
        unit: FloatArray = vector / np.linalg.norm(vector)
        return unit

    @property
    def height_mm(self) -> float:
        """Return the position along the normal."""
        return float(self.position @ self.normal)

    def affine_lps(self, step: FloatArray) -> FloatArray:
        """Map (column, row, slice) indices to LPS millimeters.

        Args:
            step: vector from one slice to the next.

        Returns:
            A (4, 4) float64 matrix.
        """
        affine = np.eye(4)
        affine[:3, 0] = self.across * self.spacing_mm[1]
        affine[:3, 1] = self.down * self.spacing_mm[0]
        affine[:3, 2] = step
        affine[:3, 3] = self.position
        return affine

    def scaled_position(self, scale: tuple[float, float]) -> FloatArray:
        """Find the center of the first pixel after an enlargement that keeps the outer edges.

        Args:
            scale: enlargement of (columns, rows).

        Returns:
            The new position, (3,) in LPS millimeters.
        """
        moved: FloatArray = scaled_affine(self.affine_lps(self.normal), scale)[:3, 3]
        return moved


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Read the distance between pixel centers from the first usable tag.

    Args:
        dataset: a dataset, or an item of the Pixel Measures sequence.

    Returns:
        (between rows, between columns) in millimeters; None where no tag declares it.
    """
    for holder in (dataset, *_measures(dataset)):
        for keyword in SPACING_KEYWORDS:
            values = holder.get(keyword)
            if values in (None, "") or np.size(values) not in (1, 2):
                continue
            # One value, against the standard, is meant for both.
            rows, columns = np.broadcast_to(np.asarray(values, dtype=np.float64), 2).tolist()
            if np.isfinite([rows, columns]).all() and min(rows, columns) > 0:
                return rows, columns
    return _ultrasound_spacing(dataset)


def frame_planes(dataset: Dataset) -> list[Plane | None]:
    """Locate every frame of one object, in the order in which the frames are stored.

    Args:
        dataset: a single-frame, multi-frame or enhanced multi-frame object.

    Returns:
        One plane per frame; None for frames whose position or orientation is not declared.

    Raises:
        OrientationError: an orientation is none.
    """
    frames = max(int(dataset.get("NumberOfFrames") or 1), 1)
    if "PerFrameFunctionalGroupsSequence" in dataset:
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
        own = list(dataset.PerFrameFunctionalGroupsSequence)
        groups = [[own[i] if i < len(own) else None, shared, dataset] for i in range(frames)]
        return [group_plane([g for g in group if g is not None]) for group in groups]
    single = item_plane(dataset, dataset)
    if single is None and dataset.get("DetectorInformationSequence"):
        single = item_plane(dataset.DetectorInformationSequence[0], dataset)
    if single is None or frames == 1:
        return [single] * frames
    if not _are_slices(dataset):
        return [None] * frames
    offsets = _frame_offsets(dataset, frames)
    return [
        Plane(
            single.position + single.normal * (o - offsets[0]),
            single.across,
            single.down,
            single.spacing_mm,
        )
        for o in offsets
    ]


def group_plane(groups: Sequence[Dataset]) -> Plane | None:
    """Locate one frame of an enhanced object.

    Args:
        groups: functional group items that apply to the frame, the most specific first.

    Returns:
        The plane; None where the groups do not declare position and orientation.
    """
    measures = _first_item(groups, "PixelMeasuresSequence")
    position = _first_item(groups, "PlanePositionSequence")
    orientation = _first_item(groups, "PlaneOrientationSequence")
    if position is None or orientation is None:
        return None
    return _plane(position, orientation, measures if measures is not None else groups[-1])


def item_plane(item: Dataset, dataset: Dataset) -> Plane | None:
    """Locate the plane that a dataset, or one detector of nuclear medicine (C.8.4.11), declares.

    Args:
        item: holds position and orientation.
        dataset: holds the spacing.

    Returns:
        The plane; None where position or orientation is not declared.
    """
    return _plane(item, item, dataset)


def stack_affine(planes: Sequence[Plane], thickness_mm: float = 1.0) -> FloatArray:
    """Map (column, row, slice) indices of parallel planes to RAS millimeters.

    The step is that between the first and the last plane, shortened where slices are missing or
    repeated so that its part along the normal is the median distance of neighbors. A gantry tilt
    stays in the matrix as shear.

    Args:
        planes: in slice order.
        thickness_mm: length of the step where only one position exists.

    Returns:
        A (4, 4) float64 matrix for MONAI's axis order.
    """
    first, last = planes[0], planes[-1]
    gaps = position_gaps(planes)
    rise = last.height_mm - first.height_mm
    if gaps.size and abs(rise) > SAME_POSITION_MM:
        step = (last.position - first.position) * float(np.median(gaps)) / abs(rise)
    else:
        step = first.normal * thickness_mm
    affine: FloatArray = _LPS_TO_RAS @ first.affine_lps(step)
    return affine


def flat_affine(spacing_mm: tuple[float, float] | None) -> FloatArray:
    """Return the affine of an image without a place in the patient: spacing alone.

    Args:
        spacing_mm: (between rows, between columns), or None where the file declares none.

    Returns:
        diag(between columns, between rows, 1, 1).
    """
    rows, columns = spacing_mm or (1.0, 1.0)
    return np.diag([columns, rows, 1.0, 1.0])


def position_gaps(planes: Sequence[Plane]) -> FloatArray:
    """List the distances along the normal between neighboring different positions, in mm."""
    heights = np.sort([float(p.position @ planes[0].normal) for p in planes])
    gaps: FloatArray = np.diff(heights)
    return gaps[gaps > SAME_POSITION_MM]


def is_parallel(a: Plane, b: Plane) -> bool:
    """Tell whether two planes have the same orientation within what files round to."""
    return is_same_direction(np.concatenate([a.across, a.down]), np.concatenate([b.across, b.down]))


def is_same_direction(a: FloatArray, b: FloatArray) -> bool:
    """Tell whether the direction cosines of two files are the same within rounding."""
    return bool(np.abs(a - b).max() < _PARALLEL)


def is_same_spacing(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool:
    """Tell whether two spacings may be one, maybe rounded to another number of digits.

    Args:
        a: in mm between rows and between columns; None, where it is not declared, may be any.
        b: another.
    """
    if a is None or b is None:
        return True
    return bool(np.allclose(a, b, rtol=_SAME_SPACING, atol=0))


def orthonormal(cosines: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Make direction cosines that were rounded to few decimals unit vectors at right angles.

    Both turn by the same angle, to the nearest pair (the polar decomposition).

    Args:
        cosines: six numbers of (0020,0037): along a row, then along a column.

    Returns:
        The vectors, unchanged where they are exact; None where they are none within rounding.

    Example:
        >>> across, _ = orthonormal(np.array([0.7, 0.7, 0, -0.7, 0.7, 0]))
        >>> across.round(6).tolist()
        [0.707107, 0.707107, 0.0]
    """
    if np.size(cosines) != 6 or not np.isfinite(cosines).all():
        return None
    across, down = pair = np.reshape(cosines, (2, 3))
    error = np.abs(pair @ pair.T - np.eye(2))
    # Squared lengths are off twice as far as lengths.
    if (error > _COSINE_TOLERANCE * (1 + np.eye(2))).any():
        return None
    if error.max() > _EXACT:
        left, _, right = np.linalg.svd(pair, full_matrices=False)
        across, down = left @ right
    return across, down


def _plane(position: Dataset, orientation: Dataset, measures: Dataset) -> Plane | None:
    place = position.get("ImagePositionPatient")
    cosines = orientation.get("ImageOrientationPatient")
    if np.size(place) != 3 or np.size(cosines) != 6 or place is None or cosines is None:
        return None
    origin = np.array([float(v) for v in place])
    values = np.array([float(v) for v in cosines])
    if not values.any():
        return None  # some write zeros for an unknown orientation
    axes = orthonormal(values)
    if axes is None or not np.isfinite(origin).all():
        raise OrientationError
    return Plane(origin, *axes, pixel_spacing(measures) or (1.0, 1.0))


def _first_item(groups: Sequence[Dataset], keyword: str) -> Dataset | None:
    for group in groups:
        if group.get(keyword):
            item: Dataset = group[keyword].value[0]
            return item
    return None


def _frame_offsets(dataset: Dataset, frames: int) -> FloatArray:
    """Place the frames of a plain multi-frame object along the normal, in millimeters."""
    offsets = dataset.get("GridFrameOffsetVector")  # RT dose, PS3.3 C.8.8.3.2
    if offsets is not None and np.size(offsets) == frames:
        return np.array([float(v) for v in offsets])
    numbers = dataset.get("SliceVector")  # of gated scans they begin anew (NM, C.8.4.15)
    if numbers is None or np.size(numbers) != frames:
        numbers = range(frames)
    # Here, and only here, a sign says to which side slices are stacked.
    is_backwards = float(dataset.get("SpacingBetweenSlices") or 0) < 0
    step = -slice_distance(dataset) if is_backwards else slice_distance(dataset)
    return np.array(numbers, dtype=np.float64) * step


def _are_slices(dataset: Dataset) -> bool:
    """Tell whether frames may be slices: those of detectors and angles are none (C.8.4.8)."""
    pointers = np.atleast_1d(dataset.get("FrameIncrementPointer") or [])
    vectors = [int(pointer) for pointer in pointers if int(pointer) >> 16 == _NM_GROUP]
    return not vectors or _SLICE_VECTOR in vectors


def slice_distance(dataset: Dataset) -> float:
    """Read the nominal distance of slices in millimeters; 1 where the file declares none."""
    for holder in (dataset, *_measures(dataset)):
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            value = holder.get(keyword)
            if value is not None and np.isfinite(float(value)) and float(value) != 0:
                return abs(float(value))
    return 1.0


def _measures(dataset: Dataset) -> list[Dataset]:
    """Return what holds the spacing of an enhanced object's first frame, the most trusted first."""
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    first = [item for keyword in groups for item in (dataset.get(keyword) or [])[:1]]
    return [item for name in _OF_SPACING for group in first for item in (group.get(name) or [])[:1]]


def _ultrasound_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Read the spacing of ultrasound regions where all calibrated ones agree (C.8.5.5)."""
    found: set[tuple[float, float]] = set()
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        if units == (_CENTIMETERS, _CENTIMETERS):
            x = abs(float(region.get("PhysicalDeltaX") or 0))
            y = abs(float(region.get("PhysicalDeltaY") or 0))
            found.add((y * _MM_PER_CM, x * _MM_PER_CM))
    spacing = found.pop() if len(found) == 1 else (0.0, 0.0)
    return spacing if min(spacing) > 0 else None
