"""Take of a raster what may be learned: an area of it, its groups of bands, its valid parts.

Which rasters show one ground is told here, too: they must not be on both sides of a split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import transform_bounds

from monai_sr.core import BadImageError, ignored_warnings
from monai_sr.formats import format_of, is_plain_photo, open_raster
from monai_sr.training.split_table import SIDES, Box

_LARGEST_INVALID_SHARE = 0.005
"""A part with fewer invalid pixels is used: specks are filled as inference fills them."""
_SMALLEST_SIDE_PX = 64  # smaller parts hold no patch worth having
_SHARED_SHARE = 0.1  # of the smaller footprint; neighbors in a mosaic overlap by less


@dataclass(frozen=True)
class Area:
    """A file of which one area is used; ``box`` in the units of its reference system."""

    file: Path
    box: Box


def window_of(
    area: Area, affine: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return the columns and rows of the pixels whose centers lie in an area.

    Args:
        area: what is asked for.
        affine: (4, 4), pixel centers to coordinates; columns first.
        shape: (columns, rows) of the whole image.

    Raises:
        BadImageError: if the image has no axis-aligned georeference, or no pixel in the area.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    if np.array_equal(matrix, np.eye(4)) or matrix[0, 1] or matrix[1, 0]:
        raise BadImageError(
            f"{area.file}: must be georeferenced along the axes of its grid to be divided by area; "
            "warp it (gdalwarp), or leave west, south, east, north out"
        )
    west, south, east, north = area.box
    spans = []
    for axis, (low, high) in enumerate(((west, east), (south, north))):
        centers = matrix[axis, 3] + matrix[axis, axis] * np.arange(shape[axis])
        inside = np.flatnonzero((centers >= low) & (centers <= high))
        if not inside.size:
            raise BadImageError(
                f"{area.file}: must reach into the area {', '.join(SIDES)} = {area.box}, got "
                f"{centers.min():g} to {centers.max():g} along axis {'xy'[axis]}; correct the table"
            )
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return spans[0], spans[1]


def band_groups(count: int, *, has_colors: bool) -> list[slice]:
    """Divide bands as inference does: three colors together, every other band by itself."""
    first = 3 if has_colors else 0
    return [slice(0, 3)] * has_colors + [slice(b, b + 1) for b in range(first, count)]


def alpha_bands(path: Path, count: int) -> int:
    """Return how many of a raster's bands, at their end, are opacity: nothing to learn."""
    with ignored_warnings(NotGeoreferencedWarning), open_raster(path) as dataset:
        colors = list(dataset.colorinterp)
    # The reader makes alpha of a transparent color, and RGBA of a palette that has one.
    return int(colors[-1] == ColorInterp.alpha or (len(colors) < count and count in (2, 4)))


def valid_parts(
    values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[np.generic]]:
    """Halve an image until a part is valid, but for specks; what never is, is left out.

    Shape: values (C, H, W); valid (H, W) -> arrays (C, h, w).
    """
    if valid.mean() >= 1 - _LARGEST_INVALID_SHARE:
        yield values
        return
    cuts = [axis for axis, side in enumerate(valid.shape) if side >= 2 * _SMALLEST_SIDE_PX]
    if not cuts or not valid.any():
        return
    # Where the halves differ most; of equal ones, across the longer side.
    axis = max(cuts, key=lambda cut: (_contrast(valid, cut), valid.shape[cut]))
    for part, mask in zip(
        np.array_split(values, 2, axis + 1), np.array_split(valid, 2, axis), strict=True
    ):
        yield from valid_parts(part, mask)


def _contrast(valid: npt.NDArray[np.bool_], axis: int) -> float:
    first, second = np.array_split(valid, 2, axis)
    return abs(float(first.mean()) - float(second.mean()))


def places(files: Sequence[Path]) -> dict[Path, str]:
    """Name the ground of georeferenced rasters; those that overlap share the name of the first.

    Returns:
        File -> name of its place; files without georeference are not in it.
    """
    boxes = {file: box for file in files if (box := _footprint(file)) is not None}
    if not boxes:
        return {}
    west, south, east, north = np.array(list(boxes.values())).T
    area = (east - west) * (north - south)
    place = np.arange(len(boxes))
    for i in range(len(boxes)):
        width = np.minimum(east, east[i]) - np.maximum(west, west[i])
        height = np.minimum(north, north[i]) - np.maximum(south, south[i])
        shared = width.clip(0) * height.clip(0) > _SHARED_SHARE * np.minimum(area, area[i])
        joined = np.isin(place, place[shared])
        place[joined] = place[joined].min()
    names = list(boxes)
    return {file: str(names[first]) for file, first in zip(names, place.tolist(), strict=True)}


def _footprint(file: Path) -> Box | None:
    """Return the bounds of a raster in degrees; None where nothing tells them."""
    if not format_of(file).has_place or is_plain_photo(file):
        return None
    try:
        with ignored_warnings(NotGeoreferencedWarning), open_raster(file) as dataset:
            if dataset.crs is None or dataset.transform.is_identity:
                return None
            bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    except (RasterioError, BadImageError):  # it is named when it is read
        return None
    return bounds if np.isfinite(bounds).all() else None
