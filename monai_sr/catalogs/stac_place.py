"""Says where a raster lies as GeoJSON does: by longitudes and latitudes, cut at the antimeridian.

RFC 7946, 3.1.6 (outer rings run counterclockwise), 3.1.9 (what crosses the antimeridian is cut in
two) and 5.2 (its box then has a western side east of the eastern one), 5.3 (poles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.warp
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

_WGS84 = CRS.from_epsg(4326)
_DIGITS = 7  # of degrees: a centimeter
_LEAST = 10.0**-_DIGITS
_EDGE_POINTS = 21
_TURN, _HALF, _POLE = 360.0, 180.0, 90.0

Ring = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """Where a raster lies, in degrees.

    Attributes:
        geometry: Polygon or MultiPolygon of GeoJSON.
        span: west, south, east and north; east is larger than west, and above 180 where the raster
            crosses the antimeridian.
    """

    geometry: dict[str, Any]
    span: tuple[float, float, float, float]

    @property
    def bbox(self) -> list[float]:
        """West, south, east, north as RFC 7946 has it."""
        west, south, east, north = self.span
        return [round(side, _DIGITS) for side in (west, south, _wrapped(east), north)]


def outline_of(dataset: DatasetReader) -> Outline | None:
    """Return where a raster lies.

    Returns:
        None where nobody can say: without reference system, with one of another body or of a
        building site, and where a part of the edge is not on the Earth (full disks).
    """
    if dataset.crs is None:
        return None
    ring = _edge(dataset, 1 if dataset.crs == _WGS84 else _EDGE_POINTS)
    try:
        longitudes, latitudes = rasterio.warp.transform(dataset.crs, _WGS84, *ring.T)[:2]
    except (RasterioError, CPLE_BaseError):
        return None
    ring = np.column_stack([longitudes, latitudes])
    if not np.isfinite(ring).all():
        return None
    ring[:, 1] = ring[:, 1].clip(-_POLE, _POLE)
    if dataset.crs == _WGS84:
        return _outline(ring)
    closed = np.unwrap([*ring[:, 0], ring[0, 0]], period=_TURN)
    ring[:, 0] = closed[:-1]
    turn = closed[-1] - closed[0]
    return _outline(ring) if abs(turn) < _HALF else _around_pole(ring, turn)


def joined(outlines: Sequence[Outline]) -> Outline:
    """Return the smallest box around some outlines, or their outline where all are alike."""
    first = outlines[0]
    if all(outline == first for outline in outlines):
        return first
    spans = np.array([outline.span for outline in outlines])
    south, north = float(spans[:, 1].min()), float(spans[:, 3].max())
    # It begins where one of them does: where the others then reach least far.
    found = []
    for west in spans[:, 0]:
        starts = west + (spans[:, 0] - west) % _TURN
        found.append((float((starts + spans[:, 2] - spans[:, 0]).max() - west), float(west)))
    width, west = min(found)
    return _outline(_box(west, south, west + width, north))


def _edge(dataset: DatasetReader, points: int) -> Ring:
    """Return points along the outer edge of a raster in its reference system, (N, 2)."""
    steps = np.arange(points) / points
    zeros, ones = np.zeros(points), np.ones(points)
    columns = np.concatenate([zeros, steps, ones, 1 - steps]) * dataset.width
    rows = np.concatenate([steps, ones, 1 - steps, zeros]) * dataset.height
    return np.column_stack(dataset.transform * (columns, rows))


def _outline(ring: Ring) -> Outline:
    """Return the outline within a ring of continuous longitudes, which may pass 180."""
    west, east = float(ring[:, 0].min()), float(ring[:, 0].max())
    south, north = float(ring[:, 1].min()), float(ring[:, 1].max())
    if east - west >= _TURN - _LEAST:
        west, east, ring = -_HALF, _HALF, _box(-_HALF, south, _HALF, north)
    turns = float(np.floor((west + _HALF + _LEAST) / _TURN)) * _TURN
    ring, west, east = ring - [turns, 0.0], west - turns, east - turns
    span = (west, south, east, north)
    if east <= _HALF + _LEAST:
        ring[:, 0] = ring[:, 0].clip(-_HALF, _HALF)
        span = (max(west, -_HALF), south, min(east, _HALF), north)
        return Outline({"type": "Polygon", "coordinates": [_closed(ring)]}, span)
    parts = [_cut(ring, -1.0), _cut(ring, 1.0) - [_TURN, 0.0]]
    return Outline({"type": "MultiPolygon", "coordinates": [[_closed(p)] for p in parts]}, span)


def _around_pole(ring: Ring, turn: float) -> Outline:
    """Return the outline within a ring that goes once around a pole, which it holds."""
    ring = ring if turn > 0 else ring[::-1]
    ring = np.vstack([ring, ring[:1] + np.array([_TURN, 0.0])])
    meridian = np.ceil((ring[0, 0] - _HALF) / _TURN) * _TURN + _HALF
    at = float(np.interp(meridian, ring[:, 0], ring[:, 1]))
    east = ring[ring[:, 0] > meridian] - [meridian + _HALF, 0.0]
    west = ring[1:][ring[1:, 0] < meridian] - [meridian - _HALF, 0.0]
    pole = float(np.copysign(_POLE, ring[:, 1].mean()))
    corners = [(_HALF, at), (_HALF, pole), (-_HALF, pole), (-_HALF, at)]
    whole = np.vstack([east, west, corners])
    span = (-_HALF, float(whole[:, 1].min()), _HALF, float(whole[:, 1].max()))
    return Outline({"type": "Polygon", "coordinates": [_closed(whole)]}, span)


def _cut(ring: Ring, side: float) -> Ring:
    """Return the part of a ring west (-1) or east (1) of the antimeridian at 180."""
    kept = []
    for here, there in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        before, after = side * (here[0] - _HALF), side * (there[0] - _HALF)
        if before >= 0:
            kept.append(here)
        if before * after < 0:
            kept.append(here + (there - here) * before / (before - after))
    return np.array(kept)


def _closed(ring: Ring) -> list[list[float]]:
    """Return a ring as GeoJSON has it: counterclockwise, the last point is the first."""
    points = np.round(ring, _DIGITS) + 0.0  # no -0.0
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    x, y = (points - points.mean(axis=0)).T
    if float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) < 0:
        points = points[::-1]
    found: list[list[float]] = np.vstack([points, points[:1]]).tolist()
    return found


def _box(west: float, south: float, east: float, north: float) -> Ring:
    return np.array([(west, south), (east, south), (east, north), (west, north)])


def _wrapped(east: float) -> float:
    return east - _TURN if east > _HALF else east
