"""Opens what a viewer shows: an image in memory, or the windows of a raster that is larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.errors import CRSError

from monai_sr.core import OptionError, PathLike
from monai_sr.formats import (
    ASKED,
    INTENSITY,
    Facts,
    RasterSource,
    format_of,
    format_of_meta,
    kind_of,
    raster_facts,
    single_path,
)
from monai_sr.geometry import bbox_slices, source_transform, window_slices
from monai_sr.reports import pixel_aspect, slice_axis_of
from monai_sr.transforms import load_image
from monai_sr.viewer.grids import Grid, RasterGrid, Reversed, VolumeGrid

MOST_VALUES = 2**24
"""Values of a raster above which windows of it are read."""

_SAME_PLACE = 0.05  # of the distance of two slices: numbers of headers are rounded


@dataclass(frozen=True)
class Opened:
    """An image that can be read by windows.

    Attributes:
        grid: its stored values.
        meta: its metadata.
        place: affine of pixel centers (six terms, a row after the other), name of the reference
            system and unit, where a raster lies on the Earth; None: it does not say.
    """

    grid: VolumeGrid | RasterGrid
    meta: dict[str, Any]
    place: tuple[list[float], str, str] | None = None

    @property
    def pixel_aspect(self) -> float:
        """Width of a pixel over its height, on screen."""
        rank = len(self.sizes)
        return pixel_aspect(self.meta, slice_axis_of(self.meta, rank), rank)

    @property
    def sizes(self) -> list[int]:
        """Pixels along the axes of the file, or of its part."""
        return [int(n) for n in np.asarray(self.meta["spatial_shape"]).ravel()]

    @property
    def size(self) -> str:
        """The same as the record of a run has it."""
        channels, text = self.grid.shape[0], " x ".join(map(str, self.sizes))
        return text if channels == 1 else f"{text}, {channels} bands"


def open_image(
    source: PathLike | Sequence[PathLike],
    kind: str = INTENSITY,
    nodata: float | None = None,
    window: Sequence[int] | None = None,
    bbox: Sequence[float] | None = None,
    slice_axis: int | str = "auto",
) -> Opened:
    """Open an image.

    Args:
        source: a file, or the files of a DICOM series.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
        nodata: stored value that is no measurement, beside what the file declares; None: none.
        window: column, row, width and height of a part of a raster.
        bbox: left, bottom, right and top in units of the reference system, in its place.
        slice_axis: axis across the slices of a volume; "auto": as its header says.

    Raises:
        BadImageError: it cannot be read.
        OptionError: a part is asked for that does not fit.
    """
    asks_part = window is not None or bbox is not None
    if not format_of(source).is_streamed:
        if asks_part:
            raise OptionError(f"{source}: window and bbox are for rasters; leave them out")
        loaded = load_image(source, kind)
        if slice_axis != "auto" and loaded.ndim > 3:
            Facts(loaded.meta).slice_axis = int(slice_axis)
        volume = VolumeGrid(loaded, nodata)
        return Opened(volume, volume.meta)
    path = single_path(source)
    facts = raster_facts(path)
    if asks_part and not facts.is_upright:
        raise OptionError(f"{path}: a part needs an upright raster, got a turned photo; turn it")
    with RasterSource(path, kind) as raster:
        crs = _crs(raster)
        part = _part(raster, window, bbox)
    if asks_part or (facts.is_upright and math.prod(facts.shape) > MOST_VALUES):
        scene = RasterGrid(path, kind, nodata, part)
        return Opened(scene, scene.meta, _place(scene.meta, crs))
    image = VolumeGrid(load_image(path, kind), nodata)
    return Opened(image, image.meta, _place(image.meta, crs))


def open_result(path: PathLike, meta: dict[str, Any], *, is_map: bool = False) -> Opened:
    """Open the result of an image, whose values and axes mean the same, or its uncertainty.

    Args:
        path: a file, or the folder of a DICOM series.
        meta: of the input.
        is_map: whether it is a map, whose values are none of the input's kind.

    Raises:
        BadImageError: it cannot be read.
    """
    kind = kind_of(meta)
    asked = kind if kind in ASKED and not is_map else INTENSITY
    axis = Facts(meta).slice_axis
    return open_image(path, asked, slice_axis=axis if axis >= 0 else "auto")


def beside(image: Opened, other: Opened) -> Grid | None:
    """Return an image of the same slices in the order of the first one.

    Readers of DICOM count the slices of a file of many frames from its own end.

    Args:
        image: the one that gives the order.
        other: an image of as many pixels.

    Returns:
        None where the slices are not those of the first one, or lie nowhere.
    """
    count = image.grid.shape[3]
    if image.grid.shape[1:] != other.grid.shape[1:]:
        return None
    if count == 1:
        return other.grid
    first, last = (_slice_place(image, index) for index in (0, count - 1))
    begin, end = (_slice_place(other, index) for index in (0, count - 1))
    slack = _SAME_PLACE * float(np.linalg.norm(last - first)) / (count - 1)
    if np.allclose([begin, end], [first, last], rtol=0, atol=slack):
        return other.grid
    if np.allclose([begin, end], [last, first], rtol=0, atol=slack):
        return Reversed(other.grid)
    return None


def _slice_place(image: Opened, index: int) -> np.ndarray:
    """Return where the first pixel of a slice lies."""
    place = np.zeros(4)
    place[slice_axis_of(image.meta, len(image.sizes))], place[3] = index, 1
    return np.asarray((np.asarray(image.meta["affine"], dtype=np.float64) @ place)[:3])


def _crs(raster: RasterSource) -> str:
    try:
        crs = raster.dataset.crs
        code = None if crs is None else crs.to_epsg()
    except CRSError:
        return ""
    return "" if code is None else f"EPSG:{code}"


def _part(
    raster: RasterSource, window: Sequence[int] | None, bbox: Sequence[float] | None
) -> tuple[slice, slice] | None:
    _, height, width = raster.shape
    if window is not None:
        return window_slices(str(raster.path), window, width, height)
    if bbox is None:
        return None
    transform = source_transform(raster.dataset)
    return bbox_slices(str(raster.path), bbox, transform, width, height)


def _place(meta: dict[str, Any], crs: str) -> tuple[list[float], str, str] | None:
    unit = Facts(meta).unit
    if not unit or not format_of_meta(meta).has_place:
        return None
    affine = np.asarray(meta["affine"], dtype=np.float64)
    return [*affine[0, [0, 1, 3]].tolist(), *affine[1, [0, 1, 3]].tolist()], crs, unit
