"""Slices of a series that lie evenly one behind the other, and the slices of a finer stack.

DICOM PS3.3 C.7.6.2.1.1 (image plane): a slice has a position and directions, no extent across. The
stack covers half a distance on both sides of its outer slices, as a volume of other formats does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_sr.geometry.dicom_plane import SAME_POSITION_MM, FloatArray, Plane, is_parallel
from monai_sr.geometry.target_grid import scaled_affine

_OFF_GRID = 0.1  # voxels: more than files round to, far less than a slice that lacks
_ALIKE = 1e-3  # of pixel spacings


class StackError(ValueError):
    """Slices are no even stack; the text goes on after "slices must"."""


@dataclass(frozen=True)
class Stack:
    """Hold a pile of equal, evenly spaced, parallel slices (LPS, millimeters).

    Args:
        first: plane of the first slice.
        step: vector from the center of one slice to that of the next.
        count: number of slices.
    """

    first: Plane
    step: FloatArray
    count: int

    @property
    def distance_mm(self) -> float:
        """Return the distance of slices along the normal."""
        return float(self.step @ self.first.normal)

    def plane(self, index: int) -> Plane:
        """Return the plane of a slice, from 0."""
        place = self.first.position + index * self.step
        return Plane(place, self.first.across, self.first.down, self.first.spacing_mm)

    def resampled(self, count: int) -> Stack:
        """Return the stack of ``count`` slices with the same outer edges.

        Example:
            >>> first = Plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], (1.0, 1.0))
            >>> thin = Stack(first, np.array([0.0, 0.0, 4.0]), 5).resampled(20)
            >>> thin.distance_mm, thin.first.position.tolist()
            (1.0, [0.0, 0.0, -1.5])
        """
        affine = scaled_affine(self.first.affine_lps(self.step), (1, 1, count / self.count))
        first = Plane(affine[:3, 3], self.first.across, self.first.down, self.first.spacing_mm)
        return Stack(first, affine[:3, 2], count)


def even_stack(planes: Sequence[Plane]) -> Stack:
    """Find the even stack that slices form.

    Positions may be off by a tenth of a voxel, as rounded ones are.

    Args:
        planes: in slice order, two or more.

    Raises:
        StackError: they repeat a position, are not parallel, differ in pixel spacing, lie unevenly,
            or not straight one behind the other, as under a gantry tilt.
    """
    first, last = planes[0], planes[-1]
    heights = np.array([float(p.position @ first.normal) for p in planes])
    gaps = np.diff(heights)
    if gaps.min(initial=np.inf) <= SAME_POSITION_MM:
        raise StackError("have a position each, got several at one place")
    spacings = np.array([p.spacing_mm for p in planes])
    if not all(is_parallel(first, p) for p in planes):
        raise StackError("be parallel, got several orientations")
    if not np.allclose(spacings, spacings[0], rtol=_ALIKE, atol=0):
        raise StackError("share their pixel spacing, got several")
    step = (last.position - first.position) / (len(planes) - 1)
    rise = float(step @ first.normal)
    voxel = first.affine_lps(first.normal * rise)[:3, :3]
    shift = np.linalg.solve(voxel, step)[:2]
    if np.abs(shift).max() > _OFF_GRID:
        angle = math.degrees(math.atan2(float(np.linalg.norm(step - rise * first.normal)), rise))
        raise StackError(f"lie straight one behind the other, got a tilt of {angle:.2g} degrees")
    grid = first.position + np.arange(len(planes))[:, None] * step
    positions = np.array([p.position for p in planes])
    off = np.abs(np.linalg.solve(voxel, (positions - grid).T)).max(axis=1)
    if off[2] > _OFF_GRID:
        raise StackError(f"lie evenly, got distances of {gaps.min():.4g} to {gaps.max():.4g} mm")
    if off.max() > _OFF_GRID:
        raise StackError(
            f"lie straight one behind the other, got shifts of {off[:2].max():.2g} pixels"
        )
    return Stack(first, step, len(planes))
