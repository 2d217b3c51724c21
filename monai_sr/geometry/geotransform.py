"""Rewrites the georeference of a raster (geotransform, ground control points, RPCs).

GDAL raster data model: pixel/line coordinates of geotransforms and ground control points start at
the outer corner of the first pixel (https://gdal.org/user/raster_data_model.html). Offsets of
rational polynomial coefficients count from the center of the first pixel (STDI-0002, RPC00B).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.control import GroundControlPoint
from rasterio.errors import CRSError
from rasterio.rpc import RPC
from rasterio.transform import Affine

from monai_sr.core import OptionError, get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from rasterio.io import DatasetReader

# Of a pixel, in squared units of the reference system: below it there is no inverse.
_SMALLEST_AREA = 1e-300
_UNITS = {"metre": "m", "meter": "m"}


def source_transform(dataset: DatasetReader) -> Affine:
    """Return the geotransform of an open raster, the identity where it declares none.

    For portable any-maps, which carry none, GDAL leaves the six terms unset.

    Returns:
        A transform that can be inverted.
    """
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    usable = np.isfinite([a, b, c, d, e, f]).all() and abs(a * e - b * d) > _SMALLEST_AREA
    return dataset.transform if usable and dataset.driver != "PNM" else Affine.identity()


def has_transform(transform: Affine) -> bool:
    """Tell whether a geotransform was declared; GDAL gives the identity where none was.

    Returns:
        False for exactly the identity.
    """
    return tuple(transform)[:6] != (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def source_rpcs(dataset: DatasetReader) -> RPC | None:
    """Return the RPC camera model of an open raster, None where it has none that can be read."""
    try:
        return dataset.rpcs
    except (ValueError, KeyError, TypeError):
        return None


def unit_name(dataset: DatasetReader) -> str:
    """Return the unit in which a geotransform counts: "m", "degree", another, or "unit".

    Returns:
        "unit" where no reference system tells, "" where there is no geotransform.
    """
    if not has_transform(source_transform(dataset)):
        return ""
    try:
        unit = "" if dataset.crs is None else str(dataset.crs.units_factor[0])
    except CRSError:
        unit = ""
    unit = _UNITS.get(unit.lower(), unit)
    return unit if unit and unit != "unknown" else "unit"


def pixel_affine(transform: Affine) -> npt.NDArray[np.float64]:
    """Turn a geotransform (outer corner as origin) into an affine of pixel centers.

    The identity means "no georeference" to GDAL; it stays the identity, so that pixel (0, 0) is
    at (0, 0) in images without coordinates.

    Shape: six terms -> (4, 4) float64 that maps (column, row, 0, 1) to the world.

    Args:
        transform: (column, row) of pixel corners to coordinates of the reference system.

    Returns:
        The affine; its third axis is the unit vector.
    """
    result = np.eye(4)
    if not has_transform(transform):
        return result
    a, b, c, d, e, f = transform[:6]
    result[:2, :2] = (a, b), (d, e)
    result[:2, 3] = c + a / 2 + b / 2, f + d / 2 + e / 2
    return result


def corner_transform(affine: npt.ArrayLike) -> Affine:
    """Turn an affine of pixel centers into a geotransform; inverse of :func:`pixel_affine`.

    Shape: affine (4, 4), columns (column, row, -, origin) -> six terms.

    Args:
        affine: maps (column, row, 0, 1) of pixel centers to the world.

    Returns:
        The transform of pixel corners.
    """
    (a, b), (d, e) = (matrix := np.asarray(affine, dtype=np.float64))[:2, :2]
    c, f = matrix[:2, 3]
    return Affine(*map(float, (a, b, c - a / 2 - b / 2, d, e, f - d / 2 - e / 2)))


def scaled_transform(
    transform: Affine, scale: Sequence[float], offset: Sequence[float] = (0.0, 0.0)
) -> Affine:
    """Divide the pixel steps, rotation terms included; the outer corner stays where it is.

    Args:
        transform: geotransform of the source, corner of the first pixel as origin.
        scale: enlargement in (column, row) direction.
        offset: (column, row) in source pixels at which the result starts, not 0 for a crop.

    Returns:
        The geotransform of the enlarged raster.
    """
    a, b, c, d, e, f = transform[:6]
    (sx, sy), (dx, dy) = scale, offset
    return Affine(a / sx, b / sy, a * dx + b * dy + c, d / sx, e / sy, d * dx + e * dy + f)


def scaled_gcps(
    gcps: Sequence[GroundControlPoint],
    scale: Sequence[float],
    offset: Sequence[float] = (0.0, 0.0),
) -> list[GroundControlPoint]:
    """Move ground control points to the enlarged pixel grid; ground coordinates stay.

    Args:
        gcps: points with corner-based columns and rows.
        scale: enlargement in (column, row) direction.
        offset: (column, row) in source pixels at which the result starts.

    Returns:
        New points in the same order.
    """
    (sx, sy), (dx, dy) = scale, offset
    return [
        GroundControlPoint(
            row=(p.row - dy) * sy, col=(p.col - dx) * sx,
            x=p.x, y=p.y, z=p.z, id=p.id, info=p.info,
        )
        for p in gcps
    ]  # fmt: skip


def scaled_rpcs(rpcs: RPC, scale: Sequence[float], offset: Sequence[float] = (0.0, 0.0)) -> RPC:
    """Rescale line and sample offsets and scales of an RPC camera model.

    Offsets are center-based: a center x of the source lies at (x + 1/2) s - 1/2 of the result.

    Args:
        rpcs: the coefficients; ground terms and errors in meters stay.
        scale: enlargement in (column, row) direction.
        offset: (column, row) in source pixels at which the result starts.

    Returns:
        A new model.
    """
    (sx, sy), (dx, dy) = scale, offset
    fields = rpcs.to_dict()
    fields["samp_off"] = (rpcs.samp_off - dx + 0.5) * sx - 0.5
    fields["line_off"] = (rpcs.line_off - dy + 0.5) * sy - 0.5
    fields["samp_scale"], fields["line_scale"] = rpcs.samp_scale * sx, rpcs.line_scale * sy
    return RPC(**fields)


def is_georeferenced(dataset: DatasetReader) -> bool:
    """Tell whether a raster says where it lies: by transform, reference system, GCPs or RPCs.

    Returns:
        True when PNG or JPEG could not carry what it says.
    """
    located = has_transform(source_transform(dataset)) or bool(dataset.gcps[0])
    return located or dataset.crs is not None or source_rpcs(dataset) is not None


logger = get_logger(__name__)

# Coordinates of edges, as people copy them, miss the edge of a pixel by rounding.
_SNAP_PX = 1e-3


def window_slices(name: str, window: Sequence[Any], width: int, height: int) -> tuple[slice, slice]:
    """Return the columns and rows of a window; what lies outside of the raster is cut off.

    Args:
        name: file, named in messages.
        window: column, row, width and height in pixels of the input.
        width: of the raster.
        height: of the raster.

    Raises:
        OptionError: it is no window, or lies outside.

    Example:
        >>> window_slices("a.tif", [10, 20, 30, 40], 100, 100)
        (slice(10, 40, None), slice(20, 60, None))
    """
    values = _numbers(window)
    if values is None or any(v != int(v) for v in values) or min(values[2:]) < 1:
        raise OptionError(
            f"window: must be column, row, width and height in whole pixels, got {window!r}; "
            "write --window 0 0 512 512, or '[0,0,512,512]' in MONAI's command"
        )
    column, row, columns, rows = map(int, values)
    return _clipped(name, "window", (column, row, column + columns, row + rows), width, height)


def bbox_slices(
    name: str, bbox: Sequence[Any], transform: Affine, width: int, height: int
) -> tuple[slice, slice]:
    """Return the columns and rows that cover a box; what lies outside of the raster is cut off.

    Args:
        name: file, named in messages.
        bbox: left, bottom, right and top in units of the raster's reference system.
        transform: geotransform of the raster, see
            :func:`monai_sr.geometry.geotransform.source_transform`.
        width: of the raster.
        height: of the raster.

    Raises:
        OptionError: it is no box, or lies outside, or the raster has no geotransform.

    Example:
        >>> from rasterio.transform import from_origin
        >>> bbox_slices("a.tif", [500, 800, 520, 830], from_origin(500, 1000, 10, 10), 99, 99)
        (slice(0, 2, None), slice(17, 20, None))
    """
    values = _numbers(bbox)
    if values is None or not (values[0] < values[2] and values[1] < values[3]):
        raise OptionError(
            f"bbox: must be left, bottom, right and top, rising, got {bbox!r}; "
            "write --bbox 500000 4600000 501000 4601000, or in MONAI's command "
            "'[500000,4600000,501000,4601000]'"
        )
    if not has_transform(transform):
        raise OptionError(
            f"{name}: bbox needs a raster with a geotransform, got none; use --window in pixels"
        )
    left, bottom, right, top = values
    corners = [~transform * (x, y) for x in (left, right) for y in (bottom, top)]
    columns, rows = np.array(corners).T
    edges = (
        math.floor(columns.min() + _SNAP_PX), math.floor(rows.min() + _SNAP_PX),
        math.ceil(columns.max() - _SNAP_PX), math.ceil(rows.max() - _SNAP_PX),
    )  # fmt: skip
    return _clipped(name, "bbox", edges, width, height)


def _numbers(given: Any) -> list[float] | None:
    try:
        values = [float(value) for value in given]
    except (TypeError, ValueError):
        return None
    return values if len(values) == 4 and all(map(math.isfinite, values)) else None


def _clipped(
    name: str, option: str, edges: tuple[int, int, int, int], width: int, height: int
) -> tuple[slice, slice]:
    left, top, right, bottom = edges
    columns, rows = slice(max(left, 0), min(right, width)), slice(max(top, 0), min(bottom, height))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        raise OptionError(
            f"{name}: {option} must overlap the raster of {width} x {height} pixels, got columns "
            f"{left} to {right}, rows {top} to {bottom}; correct --{option}"
        )
    if edges != (columns.start, rows.start, columns.stop, rows.stop):
        logger.warning(
            "%s: %s reaches outside; columns %d to %d and rows %d to %d are enlarged",
            name, option, columns.start, columns.stop, rows.start, rows.stop,
        )  # fmt: skip
    return columns, rows
