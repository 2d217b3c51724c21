"""Stored values of an image on a grid, whole in memory or read by windows, as a viewer asks them.

All grids of a case have one order of axes, that of the picture: columns, rows from the top, slices.
A resized grid is bicubic resizing of the whole, computed from the window that it depends on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt

from monai_sr.core import PathLike
from monai_sr.formats import (
    INTENSITY,
    Facts,
    RasterReader,
    RasterSource,
    format_of_meta,
    single_path,
)
from monai_sr.functional import resize_part, source_span
from monai_sr.geometry import covering_samples
from monai_sr.reports import slice_axis_of
from monai_sr.transforms import Given

Values = npt.NDArray[np.float64]
Shape = tuple[int, int, int, int]

# Samples around a window whose values may stand for holes in it: bicubic reaches two.
_MARGIN = 4


class Grid(Protocol):
    """What can be read by windows.

    Attributes:
        shape: channels, columns, rows, slices.
    """

    shape: Shape

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return stored values (C, x, y, z) of a window, NaN where nothing was measured."""


class VolumeGrid:
    """An image in memory.

    Args:
        image: (C, X, Y[, Z]) stored values with the metadata of our readers.
        nodata: stored value that is no measurement, beside what the file declares; None: none.

    Attributes:
        shape: channels, columns, rows, slices.
        meta: metadata of the image.
    """

    def __init__(self, image: MetaTensor, nodata: float | None = None) -> None:
        self.meta: dict[str, Any] = dict(image.meta)
        given = Given.of(image.as_tensor(), self.meta, nodata)
        stored, valid = given.stored.numpy(), given.valid.numpy()
        self._stored = self._turned(stored)
        self._valid = None if valid.all() else self._turned(valid)
        self.shape: Shape = self._stored.shape

    def _turned(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Order the axes as those of the picture; a view."""
        axis = slice_axis_of(self.meta, values.ndim - 1)
        ordered = values[..., None] if axis < 0 else np.moveaxis(values, axis + 1, -1)
        return ordered[:, :, ::-1] if format_of_meta(self.meta).is_upward else ordered

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return stored values of a window, see :class:`Grid`."""
        values = self._stored[:, x, y, z].astype(np.float64)
        if self._valid is not None:
            values[~self._valid[:, x, y, z]] = np.nan
        return values


class RasterGrid:
    """A raster on disk, or a part of it, of which windows are read; safe from many threads.

    Args:
        path: the file, upright.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
        nodata: stored value that is no measurement, beside what the file declares; None: none.
        part: its columns and rows; None: all.

    Attributes:
        shape: channels, columns, rows, 1.
        meta: metadata of the part.

    Raises:
        BadImageError: it cannot be read.
    """

    def __init__(
        self,
        path: PathLike,
        kind: str = INTENSITY,
        nodata: float | None = None,
        part: tuple[slice, slice] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._raster = RasterSource(single_path(Path(path)), kind)
        channels, height, width = self._raster.shape
        x, y = part or (slice(0, width), slice(0, height))
        self._nodata, self._origin = nodata, (x.start, y.start)
        self.shape: Shape = (channels, x.stop - x.start, y.stop - y.start, 1)
        _, self.meta = RasterReader().get_data(self._raster.read(Window(x.start, y.start, 1, 1)))
        Facts(self.meta).valid = np.empty(0, np.uint8)  # of the whole, not of that pixel
        self.meta["spatial_shape"] = np.array(self.shape[1:3])
        self._raster.be_quiet()

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return stored values of a window, see :class:`Grid`."""
        left, top = self._origin
        window = Window(left + x.start, top + y.start, x.stop - x.start, y.stop - y.start)
        with self._lock:
            pixels, meta = RasterReader().get_data(self._raster.read(window))
        given = Given.of(torch.from_numpy(pixels), meta, self._nodata)
        values = given.stored.numpy().astype(np.float64)
        values[~given.valid.numpy()] = np.nan
        return values[..., None][:, :, :, z]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._raster.close()


class Reversed:
    """A volume whose slices are counted from the other end.

    Args:
        source: the volume.
    """

    def __init__(self, source: Grid) -> None:
        self.source, self.shape = source, source.shape

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return stored values of a window, see :class:`Grid`."""
        count = self.shape[3]
        return self.source.read(x, y, slice(count - z.stop, count - z.start))[..., ::-1]


class Resized:
    """Another grid of the same extent, by bicubic resizing; see :func:`monai_sr.functional`.

    Holes get the value of the nearest sample before they are resized, and are holes again after it.

    Args:
        source: the grid that is resized.
        sizes: columns, rows and slices.
        is_strict: leave out every sample that a hole has a share in; else those whose center lies
            in one.
    """

    def __init__(self, source: Grid, sizes: Sequence[int], *, is_strict: bool = False) -> None:
        self.source, self.is_strict = source, is_strict
        x, y, z = sizes
        self.shape: Shape = (source.shape[0], x, y, z)

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return values of a window in stored units, see :class:`Grid`."""
        sizes, targets = self.source.shape[1:], self.shape[1:]
        parts = [(part.start, part.stop) for part in (x, y, z)]
        axes = list(zip(sizes, targets, parts, strict=True))
        spans = [p if n == m else source_span(n, m / n, *p) for n, m, p in axes]
        wide = [
            (max(a - _MARGIN, 0), min(b + _MARGIN, n))
            for (a, b), n in zip(spans[:2], sizes[:2], strict=True)
        ] + [spans[2]]
        window = self.source.read(*(slice(*span) for span in wide))
        inner = (
            slice(None),
            *(slice(a - w, b - w) for (a, b), (w, _) in zip(spans, wide, strict=True)),
        )
        holes = np.isnan(window)
        given = torch.from_numpy(_filled(window, holes)[inner].copy())
        values: Values = resize_part(given, sizes, targets, parts, (1, 2, 3)).numpy()
        if holes.any():
            values[self._unknown(holes[inner], spans, parts)] = np.nan
        return values

    def _unknown(
        self,
        holes: npt.NDArray[np.bool_],
        spans: Sequence[tuple[int, int]],
        parts: Sequence[tuple[int, int]],
    ) -> npt.NDArray[np.bool_]:
        """Tell which samples of a part are holes."""
        axes = zip(self.source.shape[1:], self.shape[1:], spans, parts, strict=True)
        for axis, (size, target, (first, _), part) in enumerate(axes, 1):
            if size == target:
                continue
            if not self.is_strict:
                centers = covering_samples(size, target)[slice(*part)] - first
                holes = holes.take(centers, axis)
                continue
            reached = [source_span(size, target / size, i, i + 1) for i in range(*part)]
            lines = np.moveaxis(holes, axis, 0)
            found = [lines[a - first : b - first].any(axis=0) for a, b in reached]
            holes = np.moveaxis(np.stack(found), 0, axis)
        return holes


class Nearest:
    """Another grid of the same extent, by the sample that covers each center: for codes.

    Args:
        source: the grid.
        sizes: columns, rows and slices.
    """

    def __init__(self, source: Grid, sizes: Sequence[int]) -> None:
        self.source = source
        x, y, z = sizes
        self.shape: Shape = (source.shape[0], x, y, z)

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return codes of a window, see :class:`Grid`."""
        pairs = zip(self.source.shape[1:], self.shape[1:], (x, y, z), strict=True)
        places = [covering_samples(size, target)[part] for size, target, part in pairs]
        window = self.source.read(*(slice(p.min(), p.max() + 1) for p in places))
        for axis, place in enumerate(places, 1):
            window = window.take(place - place.min(), axis)
        return window


class Difference:
    """A result, shrunk to the grid of its input, less the input, in stored units.

    Along an axis that the result is shorter on, the input is shrunk. Codes, which have no
    distance, differ by 1 or not at all.

    Args:
        lr: the input.
        sr: the result.
        are_codes: whether all values are codes.
        code_bands: bands that are, where others are not: nothing is said of them.
    """

    def __init__(
        self, lr: Grid, sr: Grid, *, are_codes: bool = False, code_bands: Sequence[int] = ()
    ) -> None:
        common = [min(pair) for pair in zip(lr.shape[1:], sr.shape[1:], strict=True)]
        self.are_codes, self.code_bands = are_codes, list(code_bands)
        self.small: Grid = Nearest(sr, common) if are_codes else Resized(sr, common, is_strict=True)
        self.given: Grid = Nearest(lr, common) if are_codes else Resized(lr, common, is_strict=True)
        self.shape: Shape = (lr.shape[0], common[0], common[1], common[2])

    def read(self, x: slice, y: slice, z: slice) -> Values:
        """Return differences of a window, see :class:`Grid`."""
        found: Values = self.small.read(x, y, z) - self.given.read(x, y, z)
        if self.are_codes:
            found[~np.isnan(found) & (found != 0)] = 1
            return found
        found[self.code_bands] = np.nan
        return found


def _filled(values: Values, holes: npt.NDArray[np.bool_]) -> Values:
    """Give every hole the value of the nearest sample of its channel; 0 where there is none."""
    if not holes.any():
        return values
    result: Values = values.copy()
    for channel, hole in zip(result, holes, strict=True):
        if hole.all():
            channel.fill(0)
        elif hole.any():
            nearest = distance_transform_edt(hole, return_distances=False, return_indices=True)
            channel[...] = channel[tuple(nearest)]
    return result
