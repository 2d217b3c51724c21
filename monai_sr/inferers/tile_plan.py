"""Divide an image into tiles, and say what of the input each tile of the result depends on."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from monai_sr.functional import source_span

Slices = tuple[slice, ...]


@dataclass(frozen=True, slots=True)  # large scenes have tens of thousands
class Tile:
    """One part of a result, along each spatial axis.

    Attributes:
        place: its samples in the result.
        fine: samples of the network's grid that these are, or are resampled from.
        core: samples of the input that lie under them.
        outer: samples of the input that the network must see: the core with its halo.
    """

    place: Slices
    fine: Slices
    core: Slices
    outer: Slices

    @property
    def name(self) -> str:
        """What tells it from other tiles of its grid."""
        return "_".join(str(p.start) for p in self.place)

    @property
    def side(self) -> int:
        """Longest side in samples of the input, without the halo."""
        return max(int(k.stop - k.start) for k in self.core)

    def geometry(self, scale: int) -> tuple[tuple[int, int], ...]:
        """Return what tiles share that may be enlarged together: sizes, and what lies where.

        Args:
            scale: of the network.
        """
        sizes = within(self.outer, self.outer)
        inner = within(self.core, self.outer) + within(self.fine, self.outer, scale)
        return tuple((part.start, part.stop) for part in sizes + inner)

    def around_core(self, margin: int) -> Slices:
        """Return the samples of the input within ``margin`` of the core, as far as it is seen."""
        pairs = zip(self.core, self.outer, strict=True)
        return tuple(
            slice(max(o.start, c.start - margin), min(o.stop, c.stop + margin)) for c, o in pairs
        )


@dataclass(frozen=True)
class TileGrid:
    """How one application of a network takes an image of some sizes to a result.

    Attributes:
        sizes: of the input.
        targets: of the result; where they are not ``scale`` times the input it is resampled.
        scale: of the network.
        halo: samples of the input around a tile that its values depend on.
        step: a network that halves its grid must find the same grid in every tile.
    """

    sizes: tuple[int, ...]
    targets: tuple[int, ...]
    scale: int
    halo: int
    step: int = 1

    def tiles(self, tile_size: int) -> list[Tile]:
        """Return as few tiles of nearly equal size as the largest size, in the input, allows."""
        axes = []
        for size, target in zip(self.sizes, self.targets, strict=True):
            count = math.ceil(size / tile_size)
            edges = [result_edge(round(i * size / count), size, target) for i in range(count + 1)]
            axes.append([slice(a, b) for a, b in itertools.pairwise(edges) if a < b])
        return [self.tile(place) for place in itertools.product(*axes)]

    def halves(self, tile: Tile) -> list[Tile]:
        """Divide a tile in the middle of each axis, for want of memory."""
        axes = []
        for place in tile.place:
            middle = (place.start + place.stop) // 2
            ends = [(place.start, middle), (middle, place.stop)]
            axes.append([slice(a, b) for a, b in ends if a < b])
        return [self.tile(place) for place in itertools.product(*axes)]

    def tile(self, place: Slices) -> Tile:
        """Return the tile at a place in the result."""
        axes = [_below(self, axis, part.start, part.stop) for axis, part in enumerate(place)]
        fine, core, outer = zip(*axes, strict=True)
        return Tile(place, fine, core, outer)


@lru_cache(maxsize=1024)  # tiles beside each other share their slices
def _below(grid: TileGrid, axis: int, start: int, stop: int) -> tuple[slice, slice, slice]:
    """Return what lies under a part of one axis of the result: fine, core and outer of a tile."""
    size, target = grid.sizes[axis], grid.targets[axis]
    length = size * grid.scale
    if target != length:
        start, stop = source_span(length, target / length, start, stop)
    first, last = start // grid.scale, -(-stop // grid.scale)
    begin = max(0, first - grid.halo) // grid.step * grid.step
    outer = slice(begin, min(size, last + grid.halo))
    return slice(start, stop), slice(first, last), outer


def batches(
    tiles: Sequence[Tile], images: int, most: int, scale: int
) -> Iterator[list[tuple[int, Tile]]]:
    """Yield the tiles of some images, at most ``most`` of one geometry at a time.

    Args:
        tiles: of one image.
        images: number of images of this size.
        most: tiles at a time; 1 keeps their order.
        scale: of the network.
    """
    alike: defaultdict[Any, list[tuple[int, Tile]]] = defaultdict(list)
    for image, tile in itertools.product(range(images), tiles):
        geometry = tile.geometry(scale)
        alike[geometry].append((image, tile))
        if len(alike[geometry]) == most:
            yield alike.pop(geometry)
    yield from alike.values()


def result_edge(edge: int, size: int, target: int) -> int:
    """Return where an edge between samples of the input lies in the result, halves rounded up.

    Example:
        >>> [result_edge(edge, 4, 10) for edge in range(5)]
        [0, 3, 5, 8, 10]
    """
    return (2 * edge * target + size) // (2 * size)


def bounds(tiles: Sequence[Tile]) -> Slices:
    """Return the samples of the result from the first to the last that tiles have, by axis."""
    axes = zip(*(tile.place for tile in tiles), strict=True)
    return tuple(slice(min(p.start for p in a), max(p.stop for p in a)) for a in map(list, axes))


def overlap(first: Sequence[slice], second: Sequence[slice]) -> bool:
    """Tell whether two places have samples in common."""
    pairs = zip(first, second, strict=True)
    return all(a.start < b.stop and b.start < a.stop for a, b in pairs)


def within(inner: Sequence[slice], outer: Sequence[slice], factor: int = 1) -> Slices:
    """Return slices as they count from the begin of others, those multiplied by ``factor``."""
    return tuple(
        slice(i.start - o.start * factor, i.stop - o.start * factor)
        for i, o in zip(inner, outer, strict=True)
    )
