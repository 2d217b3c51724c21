"""Reads a scene by windows, each with the values that it would have within the whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from rasterio.windows import Window
from torch import Tensor

from monai_sr.core import BadImageError, PathLike, ends_sha256, get_logger
from monai_sr.formats import (
    INTENSITY,
    Facts,
    RasterImage,
    RasterReader,
    RasterSource,
    dependencies,
    single_path,
)
from monai_sr.inferers import Tile, spatial, within
from monai_sr.transforms import (
    FILL_REACH,
    HOT_REACH,
    Border,
    Given,
    Levels,
    PlanGrid,
    band_levels,
    declare_nodata,
    has_far_pixels,
    lost_pixels,
    to_unit,
    with_corners,
)

logger = get_logger(__name__)

# Pixels around a tile that the consistency of its neighbors looks at.
_SEEN_PX = 4


@dataclass(frozen=True)
class Piece(Given):
    """A window of a scene; none of its pixels is hot before the ranges of values are known.

    Attributes:
        image: as the raster gives it.
        lost: pixels that are nodata in the result.
    """

    image: RasterImage
    lost: np.ndarray


@dataclass(frozen=True)
class Survey:
    """What one pass over a scene finds.

    Attributes:
        levels: valid values of each band; empty where they were not asked for.
        occupied: share of the tiles that hold a valid pixel.
        has_valid: whether any does.
    """

    levels: list[Levels]
    occupied: float
    has_valid: bool


class SceneSource:
    """An open raster and the metadata of the whole.

    Args:
        path: the file, or what is open already.
        grid: decides on the sizes of the result.
        nodata: stored value that is no measurement, beside what the file declares; None: none.
        kind: of a file, what the values mean, see :mod:`monai_sr.formats.meaning`.

    Attributes:
        meta: as of the whole in memory, ``sizes`` planned.
        shape: (C, X, Y).

    Raises:
        BadImageError: it cannot be read.
    """

    def __init__(
        self,
        path: PathLike | RasterSource,
        grid: PlanGrid,
        nodata: float | None = None,
        kind: str = INTENSITY,
    ) -> None:
        self.raster = (
            path if isinstance(path, RasterSource) else RasterSource(single_path(path), kind)
        )
        channels, height, width = self.raster.shape
        self._named = nodata
        _, meta = RasterReader().get_data(self.raster.read(Window(0, 0, 1, 1)))
        if nodata is not None:
            declare_nodata(torch.zeros(channels, 0, dtype=torch.float32), meta, nodata)
        meta.update(
            affine=self.raster.affine.copy(),
            original_affine=self.raster.affine.copy(),
            spatial_shape=np.array([width, height]),
        )
        Facts(meta).valid = np.empty(0, np.uint8)
        self.shape = (channels, width, height)
        # The plan looks at shape and metadata only: nothing of this size is allocated.
        planned = grid(MetaTensor(torch.zeros(1).expand(self.shape), meta=meta))
        self.meta: dict[str, Any] = dict(planned.meta) if isinstance(planned, MetaTensor) else meta
        raster = self.raster
        is_hiding = (
            nodata is not None or raster.fill is not None or raster.alpha >= 0 or raster.has_mask
        )
        self._margin = FILL_REACH if is_hiding or raster.dtype.kind == "f" else 0

    def __enter__(self) -> SceneSource:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.raster.close()

    def read(self, x: slice, y: slice) -> Piece:
        """Read a window of columns and rows."""
        piece = self._read(x, y)
        known = Facts(self.meta).knows("range")
        if not known or not has_far_pixels(piece.stored.numpy(), piece.valid.numpy(), self.meta):
            return piece
        sizes = zip((x, y), self.shape[1:], strict=True)
        wide = [_widened(part, HOT_REACH, size) for part, size in sizes]
        around, inner = self._read(*wide).calm(self.meta), within((x, y), wide)
        hot = around.hot - [0, *(part.start for part in inner), 0]
        is_inside = ((hot[:, 1:-1] >= 0) & (hot[:, 1:-1] < piece.stored.shape[1:])).all(axis=1)
        return replace(piece, stored=around.stored[spatial(inner)], hot=hot[is_inside])

    def _read(self, x: slice, y: slice) -> Piece:
        window = Window(x.start, y.start, x.stop - x.start, y.stop - y.start)
        image = self.raster.read(window)
        pixels, meta = RasterReader().get_data(image)
        given = Given.of(torch.from_numpy(pixels), meta, self._named)
        return Piece(**vars(given), image=image, lost=lost_pixels(given.valid.numpy(), meta))

    def reach(self, tile: Tile) -> list[slice]:
        """Return the columns and rows that the result of a tile may depend on."""
        return self._around(tile, self._margin + HOT_REACH)

    def _around(self, tile: Tile, margin: int) -> list[slice]:
        pairs = zip(tile.outer, self.shape[1:], strict=True)
        return [_widened(part, margin, size) for part, size in pairs]

    def unit(self, tile: Tile) -> Tensor | None:
        """Return what the network must see of a tile; None where all is nodata in the result.

        The ranges of ``meta`` must be known.

        Shape: -> (1, C, x, y) float32 in [0, 1].
        """
        sizes = self.shape[1:]
        reach = self._around(tile, self._margin)
        piece = self.read(*reach)
        seen = [_widened(part, _SEEN_PX, n) for part, n in zip(tile.core, sizes, strict=True)]
        if piece.lost[spatial(within(seen, reach))].all():
            return None
        inner = piece.filled(self.meta)[spatial(within(tile.outer, reach))]
        return to_unit(inner, dict(self.meta)).as_tensor()[None]

    def survey(self, tiles: Iterable[Tile], *, with_levels: bool = True) -> Survey:
        """Decode tiles, so that damage shows here and not later, and measure them.

        Raises:
            BadImageError: it is damaged.
        """
        levels = [Levels.sum([]) for _ in range(self.shape[0])] if with_levels else []
        occupied, count, has_valid, border = 0, 0, False, Border(self.shape)
        for tile in tiles:
            piece = self.read(*tile.core)
            count += 1
            occupied += not piece.lost.all()
            has_valid |= bool(piece.valid.any())
            if with_levels:
                found = band_levels(piece.stored, piece.valid)
                levels = [Levels.sum(pair) for pair in zip(levels, found, strict=True)]
                border.add(piece.stored.numpy(), piece.valid.numpy(), *tile.core)
        levels = with_corners(levels, border) if with_levels else levels
        return Survey(levels, occupied / max(count, 1), has_valid)

    def identity(self) -> list[list[Any]]:
        """Return what tells this file, with all that belongs to it, from others and from edits."""
        # Not in the order of the paths: those of a product lie in another folder in each run.
        return sorted((_identity(file) for file in dependencies(self.raster.path)), key=str)


def no_valid_pixel(path: PathLike) -> BadImageError:
    """Return the error of a scene without any measurement."""
    return BadImageError(f"{path}: holds no valid pixel; check the file or its nodata value")


def _widened(part: slice, margin: int, size: int) -> slice:
    return slice(max(0, part.start - margin), min(size, part.stop + margin))


def _identity(file: Path) -> list[Any]:
    try:
        status = file.stat()
        return [file.name, status.st_size, status.st_mtime_ns, ends_sha256(file)]
    except OSError:  # not a file of this system: /vsicurl/..., a database
        return [os.fspath(file)]
