"""The finished tiles of a scene, and what is made of them: the file, and how well it agrees."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_sr.core import Journal, Recent
from monai_sr.formats import PHASE, RasterBlocks, kind_of
from monai_sr.functional import resize_part, source_span
from monai_sr.inferers import Tile, TileGrid, spatial, within
from monai_sr.transforms import (
    AgreementSums,
    UnitMapping,
    circle_points,
    code_bands,
    half_turn_apart,
    to_unit,
    turns_of,
)
from monai_sr.upscaling.scene_source import SceneSource
from monai_sr.upscaling.scene_tile import piece_below, with_own_values

_CACHE_BYTES = 2**25  # of tiles beside each other; rows of large scenes fit into no cache
# Columns and rows of the input that are compared at once, in float64.
_CHUNK_PX = (128, 256)


class TileBlocks:
    """Stored values of finished tiles, before nodata takes its place, in a journal.

    Args:
        journal: keeps them.
        tiles: all tiles of a job: every combination of some columns and some rows.
        channels: of the result.
        dtype: of the result.
    """

    def __init__(
        self, journal: Journal, tiles: Sequence[Tile], channels: int, dtype: np.dtype[Any]
    ) -> None:
        self.journal, self.channels, self.dtype = journal, channels, dtype
        self._columns = sorted({(t.place[0].start, t.place[0].stop) for t in tiles})
        self._rows = sorted({(t.place[1].start, t.place[1].stop) for t in tiles})
        self._recent: Recent[str, np.ndarray] = Recent(_CACHE_BYTES)

    def finished(self, tiles: Sequence[Tile]) -> set[str]:
        """Return the names of the tiles that an earlier run has finished."""
        item = self.dtype.itemsize
        sizes = {t.name: math.prod(self._shape(t.place)) * item for t in tiles}
        return {t.name for t in tiles if self.journal.has(_name(t.place), sizes[t.name])}

    def write(self, tile: Tile, stored: np.ndarray | None) -> None:
        """Keep a tile (C, x, y); None: nothing but nodata."""
        block: bytes | memoryview = b""
        if stored is not None:
            block = np.ascontiguousarray(stored).data.cast("B")
        self.journal.write(_name(tile.place), block)

    def read(self, x: slice, y: slice) -> np.ndarray | None:
        """Return a window of the result (C, x, y), zero where nothing is; None: nothing at all."""
        result: np.ndarray | None = None
        for place in itertools.product(_overlapping(self._columns, x), _overlapping(self._rows, y)):
            block = self._block(place)
            if block is None:
                continue
            if result is None:
                result = np.zeros(self._shape((x, y)), self.dtype)
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(place, (x, y), strict=True)
            )
            result[spatial(within(common, (x, y)))] = block[spatial(within(common, place))]
        return result

    def _block(self, place: tuple[slice, ...]) -> np.ndarray | None:
        name = _name(place)
        known = self._recent.get(name)
        if known is not None:
            return known
        data = self.journal.read(name)
        if not data:
            return None
        block = np.frombuffer(data, self.dtype).reshape(self._shape(place))
        self._recent.put(name, block, block.nbytes)
        return block

    def _shape(self, place: Sequence[slice]) -> tuple[int, ...]:
        return (self.channels, *(p.stop - p.start for p in place))


def _name(place: Sequence[slice]) -> str:
    return f"{place[0].start}_{place[1].start}.block"


def _overlapping(edges: list[tuple[int, int]], part: slice) -> Iterator[slice]:
    first = max(bisect.bisect_right(edges, (part.start, math.inf)) - 1, 0)
    for start, stop in edges[first:]:
        if start >= part.stop:
            return
        if stop > part.start:
            yield slice(start, stop)


class Assembly:
    """Makes the file from finished tiles, from top to bottom, as far as they reach.

    Args:
        source: the scene; used by this object alone.
        grid: of the whole.
        blocks: finished tiles.
        place: columns and rows of the whole result that the file holds.
        output: the file.
    """

    def __init__(
        self,
        source: SceneSource,
        grid: TileGrid,
        blocks: TileBlocks,
        place: Sequence[slice],
        output: RasterBlocks,
    ) -> None:
        self.source, self.grid, self.blocks, self.output = source, grid, blocks, output
        self.columns, self.rows = place
        self._chunks = list(output.chunks())
        self._done = 0

    def __len__(self) -> int:
        """Count the steps that it takes."""
        return len(self._chunks)

    def step(self, bottom: float) -> bool:
        """Write a window above a row of the whole result; tell whether there was one."""
        if self._done == len(self):
            return False
        rows, columns = self._chunks[self._done]
        if self.rows.start + rows.stop > bottom:
            return False
        self._write(rows, columns)
        self._done += 1
        return True

    def _write(self, rows: slice, columns: slice) -> None:
        x = slice(self.columns.start + columns.start, self.columns.start + columns.stop)
        y = slice(self.rows.start + rows.start, self.rows.start + rows.stop)
        pixels = self.blocks.read(x, y)
        if pixels is None and not self.source.raster.has_mask and self.output.starts_as_hole:
            return
        piece, covering = piece_below(self.source, self.grid.targets, x, y)
        # What is never written reads as nodata; NaN beside that value, or without one, does not.
        if pixels is None and (not self.output.has_nodata or piece.nan.any()):
            sides = (part.stop - part.start for part in (x, y))
            pixels = np.zeros((self.blocks.channels, *sides), self.blocks.dtype)
        if pixels is not None:
            pixels = with_own_values(pixels, self.source, piece, covering)
        elif not self.source.raster.has_mask:
            return
        self.output.write(rows, columns, pixels, piece.image, covering[::-1])


class Comparison:
    """How the result agrees with the scene, summed up exactly over its pixels.

    Of a part it counts the pixels whose surroundings are known.

    Args:
        source: the scene; used by this object alone.
        grid: of the whole.
        blocks: finished tiles.
        known: columns and rows of the whole result that tiles cover.
        part: columns and rows of the input that count.
    """

    def __init__(
        self,
        source: SceneSource,
        grid: TileGrid,
        blocks: TileBlocks,
        known: Sequence[slice],
        part: tuple[slice, slice],
    ) -> None:
        self.source, self.grid, self.blocks = source, grid, blocks
        self._done = 0
        mapping = UnitMapping.of(source.meta, source.shape[0])
        self._low, self._lines = mapping.low, mapping.lines()
        self.sums = AgreementSums(mapping.steps(blocks.dtype).tolist())
        columns, rows = (
            list(self._chunks(axis, within, of))
            for axis, (within, of) in enumerate(zip(known, part, strict=True))
        )
        self._pairs = list(itertools.product(rows, columns))

    def __len__(self) -> int:
        """Count the steps that it takes."""
        return len(self._pairs)

    def step(self, bottom: float) -> bool:
        """Compare a part above a row of the whole result; tell whether there was one."""
        if self._done == len(self):
            return False
        (y, above), (x, beside) = self._pairs[self._done]
        if above.stop > bottom:
            return False
        self._compare(x, y, beside, above)
        self._done += 1
        return True

    def _chunks(self, axis: int, known: slice, part: slice) -> Iterator[tuple[slice, slice]]:
        """Yield pieces of an axis of the input, each with the samples of the result it needs."""
        start, stop = part.start, part.stop
        while start < stop and self._span(axis, start, start + 1).start < known.start:
            start += 1
        while start < stop and self._span(axis, stop - 1, stop).stop > known.stop:
            stop -= 1
        for first in range(start, stop, _CHUNK_PX[axis]):
            last = min(first + _CHUNK_PX[axis], stop)
            yield slice(first, last), self._span(axis, first, last)

    def _span(self, axis: int, start: int, stop: int) -> slice:
        size, target = self.grid.sizes[axis], self.grid.targets[axis]
        if size == target:
            return slice(start, stop)
        return slice(*source_span(target, size / target, start, stop))

    def _compare(self, x: slice, y: slice, beside: slice, above: slice) -> None:
        piece = self.source.read(x, y)
        valid = piece.valid
        stored = self.blocks.read(beside, above) if bool(valid.any()) else None
        if stored is None:
            return
        # What is no measurement may be infinite in these units, and must not count even so.
        low = torch.tensor(self._low, dtype=piece.stored.dtype)[:, None, None]
        measured = torch.where(valid, piece.stored, low)
        lr = to_unit(measured, dict(self.source.meta)).as_tensor()
        parts = [(part.start, part.stop) for part in (x, y)]
        codes = code_bands(self.source.meta)
        for channel, (plane, given, counted) in enumerate(zip(stored, lr, valid, strict=True)):
            if channel in codes:
                continue
            values = torch.from_numpy(plane.astype(np.float64))
            factor, offset = self._lines[channel]
            grids = self.grid.targets, self.grid.sizes, parts
            before = given.double()
            if kind_of(self.source.meta) == PHASE:
                points = circle_points((values * factor + offset)[None, None])[0]
                small = turns_of(torch.stack([resize_part(p, *grids) for p in points])[None])[0, 0]
                small, before = half_turn_apart(small, before), torch.zeros_like(before)
            else:
                small = resize_part(values, *grids) * factor + offset
            self.sums.add(channel, small, before, counted, (x.start, y.start))


class Rows:
    """Lets those who wait for tiles advance as far as all tiles above are finished.

    With each tile they take as many steps as a tile is worth: a row of a wide scene that were
    left to its end would hold up the tiles after it.

    Args:
        missing: tiles that are not.
        waiting: who waits.
    """

    def __init__(self, missing: Sequence[Tile], waiting: Sequence[Assembly | Comparison]) -> None:
        self._missing = Counter(t.place[1].stop for t in missing)
        self._paces = [(each, math.ceil(len(each) / max(len(missing), 1))) for each in waiting]
        self._bottom = 0

    def done(self, tile: Tile) -> None:
        """Take note of a finished tile."""
        self._missing[tile.place[1].stop] -= 1
        if self._missing[tile.place[1].stop] == 0:
            # Rows of one height: what lies above the first that lacks tiles is complete.
            first = min((row for row, count in self._missing.items() if count), default=math.inf)
            self._bottom = max((row for row in self._missing if row < first), default=0)
        for each, pace in self._paces:
            for _ in range(pace):
                each.step(self._bottom)

    def finish(self) -> None:
        """Let all go on to the end."""
        for each, _ in self._paces:
            while each.step(math.inf):
                pass


_ALIKE = 8  # results that are remembered


class AlikeTiles:
    """Remembers the last results of tiles of one color.

    Args:
        grid: of all tiles.
    """

    def __init__(self, grid: TileGrid) -> None:
        self._is_whole_factor = grid.targets == tuple(n * grid.scale for n in grid.sizes)
        self._known: Recent[Any, np.ndarray] = Recent(_ALIKE)

    def find(self, tile: Tile, unit: Tensor | None) -> tuple[Any, np.ndarray | None]:
        """Return what decides on the result of a tile of one color, and the result of its like.

        Args:
            tile: the tile.
            unit: its samples (1, C, x, y); None: it has none that are valid.
        """
        if unit is None or not self._is_whole_factor:
            return None, None
        color = unit[:, :, :1, :1]
        if not bool((unit == color).all()):
            return None, None
        inner = within(tile.core, tile.outer)
        key = (tuple(color.flatten().tolist()), unit.shape, str(inner))
        return key, self._known.get(key)

    def keep(self, key: Any, stored: np.ndarray) -> None:
        """Remember a result (C, x, y), unless its key is None."""
        if key is not None:
            self._known.put(key, stored)
