"""Cuts one slice of a grid into tiles, also of coarser levels, of which each halves the one below.

A coarse tile is made of four finer ones, so memory holds a few tiles however large the image is.
Those of coarse levels are kept on disk: they took a pass over a large part of the image.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from monai_sr.viewer.grids import Grid

TILE = 256
"""Side of a tile in samples of its level."""

MEAN, LARGEST, FIRST = "mean", "largest", "first"
"""How four samples become one: of images, of differences (none is hidden), of codes."""

_KEPT_LEVEL = 3  # from here on a tile stands for 2048 x 2048 samples and more
_IN_MEMORY = 32

Tile = npt.NDArray[np.float32]


class TileId(NamedTuple):
    """Which tile of a layer.

    Attributes:
        at: number of the slice.
        level: 0 for the samples as they are; each further one halves them.
        column: number of the tile from the left.
        row: from the top.
    """

    at: int
    level: int
    column: int
    row: int


class Pyramid:
    """The tiles of a grid.

    Args:
        grid: the finest level.
        bands: which channels.
        reduce: how four samples become one.
        folder: private to this pyramid; kept tiles go there.

    Attributes:
        levels: number of levels; on the coarsest the whole is one tile.
    """

    def __init__(self, grid: Grid, bands: Sequence[int], reduce: str, folder: Path) -> None:
        self.grid, self.bands, self.reduce, self.folder = grid, list(bands), reduce, folder
        longest = max(grid.shape[1:3])
        self.levels = 1 + max(int(np.ceil(np.log2(longest / TILE))), 0)
        self._cached = lru_cache(_IN_MEMORY)(self._kept)

    def holds(self, tile: TileId) -> bool:
        """Tell whether there is such a tile."""
        if not 0 <= tile.level < self.levels or not 0 <= tile.at < self.grid.shape[3]:
            return False
        reach = TILE << tile.level
        places = zip((tile.column, tile.row), self.grid.shape[1:3], strict=True)
        return all(0 <= i * reach < size for i, size in places)

    def tile(self, tile: TileId) -> Tile:
        """Return stored values (C, x, y) of a tile, NaN for holes; at edges it is smaller."""
        return self._cached(tile)

    def _kept(self, tile: TileId) -> Tile:
        if tile.level < _KEPT_LEVEL:
            return self._made(tile)
        path = self.folder / f"{'_'.join(map(str, tile))}.npy"
        if not path.exists():
            handle, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, self._made(tile))
            os.replace(name, path)
        kept: Tile = np.load(path, allow_pickle=False)
        return kept

    def _made(self, tile: TileId) -> Tile:
        at, level, column, row = tile
        if level == 0:
            x, y = (
                slice(i * TILE, min((i + 1) * TILE, n))
                for i, n in zip((column, row), self.grid.shape[1:3], strict=True)
            )
            values = self.grid.read(x, y, slice(at, at + 1))
            return values[self.bands, :, :, 0].astype(np.float32)
        lines = []
        for i in (2 * column, 2 * column + 1):
            below = [TileId(at, level - 1, i, j) for j in (2 * row, 2 * row + 1)]
            children = [self._kept(each) for each in below if self.holds(each)]
            if children:
                lines.append(np.concatenate(children, axis=2))
        return _halved(np.concatenate(lines, axis=1), self.reduce)


def _halved(values: Tile, reduce: str) -> Tile:
    """Make one sample of four; an odd edge of fewer."""
    if reduce == FIRST:
        return values[:, ::2, ::2]
    _, width, height = values.shape
    padded = np.pad(values, ((0, 0), (0, width % 2), (0, height % 2)), constant_values=np.nan)
    shape = (len(values), padded.shape[1] // 2, 2, padded.shape[2] // 2, 2)
    four = padded.reshape(shape).transpose(0, 1, 3, 2, 4).reshape(shape[0], shape[1], shape[3], 4)
    known = ~np.isnan(four)
    if reduce == LARGEST:
        sizes = np.where(known, np.abs(four), -1)
        index = sizes.argmax(axis=-1)[..., None]
        return np.take_along_axis(four, index, axis=-1)[..., 0]
    count = known.sum(axis=-1)
    total = np.where(known, four, 0).sum(axis=-1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(count, total / np.maximum(count, 1), np.nan).astype(np.float32)
