"""Parts of a raster: a window in pixels, or a box in coordinates of its reference system."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_sr.core import OptionError, get_logger
from monai_sr.geometry.geotransform import has_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rasterio.transform import Affine

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
