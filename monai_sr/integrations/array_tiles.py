"""Enlarges an array tile by tile: results are those of a scene, bit for bit.

The tiles are those of the whole, and what belongs to the whole (ranges of values) is found in one
pass before.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_sr.core import OptionError, steady_heap
from monai_sr.formats import CODES, Facts, kind_of
from monai_sr.inferers import Tile, TileGrid
from monai_sr.transforms import (
    Border,
    Levels,
    avoid_nodata,
    declared_range,
    to_stored,
    to_unit,
    with_corners,
)
from monai_sr.upscaling import SuperResolver
from monai_sr.upscaling.degraded import AUTO
from monai_sr.upscaling.scene_source import SceneSource, no_valid_pixel
from monai_sr.upscaling.scene_tile import grown, nearest, piece_below, with_own_values

if TYPE_CHECKING:
    import numpy.typing as npt

    from monai_sr.integrations.array_source import ArraySource

_OF_FILES = (
    "input", "dataset_dir", "output_dir", "window", "bbox", "cog", "scene_limit", "report",
    "compression", "deidentify", "deidentify_key", "uncertainty",
)  # fmt: skip
_MODELS = 4  # that a process keeps
_SURVEYED_PX = 2**20  # of an array in memory at a time
_LOCK = threading.Lock()

Option = tuple[str, Any]


@dataclass(frozen=True)
class Model:
    """A model by its name: what goes to the workers of a cluster in its place.

    Attributes:
        name: of a model or a bundle.
        options: entries of its ``inference.yaml``.
    """

    name: str
    options: tuple[Option, ...] = ()

    @classmethod
    def of(cls, name: str, options: dict[str, Any]) -> Model:
        """Check options.

        Raises:
            OptionError: one is for files alone.
        """
        for option in options:
            if option in _OF_FILES:
                raise OptionError(
                    f"{option}: belongs to files, got it for an array; leave it out, or select "
                    "the part of the array before"
                )
        if options.get("robust") == AUTO:
            raise OptionError(
                "robust: must be True or False for an array in tiles, got 'auto'; measure it by "
                "SuperResolver(..., robust='auto') or monai-sr upscale"
            )
        return cls(name, tuple((key, _frozen(value)) for key, value in sorted(options.items())))

    def load(self) -> SuperResolver:
        """Return it, loaded once in a process.

        Raises:
            OptionError, WeightsError: it does not exist, or an option does not fit.
        """
        with _LOCK:
            return _loaded(self)


@lru_cache(maxsize=_MODELS)
def _loaded(model: Model) -> SuperResolver:
    return SuperResolver.from_bundle(model.name, **{k: _thawed(v) for k, v in model.options})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    return list(map(_thawed, value)) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Found:
    """What one part of an array tells of the whole.

    Attributes:
        levels: valid values of each band.
        edges: stored values, masks and places of what lies on the border of the whole.
        has_valid: whether any pixel is valid.
    """

    levels: list[Levels]
    edges: list[tuple[npt.NDArray[Any], npt.NDArray[np.bool_], slice, slice]]
    has_valid: bool

    @classmethod
    def sum(cls, parts: Sequence[Found]) -> Found:
        """Add parts up."""
        bands = zip(*(part.levels for part in parts), strict=True)
        return cls(
            [Levels.sum(band) for band in bands],
            list(itertools.chain.from_iterable(part.edges for part in parts)),
            any(part.has_valid for part in parts),
        )


@dataclass(frozen=True)
class Known:
    """What is known of the values of the whole, see :class:`monai_sr.formats.Facts`."""

    range: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.float64]
    natural: npt.NDArray[np.float64]


class ArrayPlan:
    """How an array is enlarged; it holds no pixels, and may be pickled.

    Args:
        source: the array.
        model: what enlarges it.

    Attributes:
        grid: of all tiles.
        tiles: rows of tiles beside each other.
        dtype: of the stored values of the result.
        needs_pass: whether the mapping of values to [0, 1] rests on the values.

    Raises:
        OptionError: if an option does not fit the array.
    """

    def __init__(self, source: ArraySource, model: Model) -> None:
        resolver = model.load()
        scenes = resolver.scenes
        assert scenes is not None  # of every bundle
        self.model, self._scale_to_unit = model, scenes.scale_to_unit
        self.scene = SceneSource(source, scenes.grid, self._scale_to_unit.nodata)
        meta, inferer = self.scene.meta, resolver.inferer
        self.kind, self.dtype = kind_of(meta), Facts(meta).dtype
        self.grid, run = inferer.plan(resolver.network, meta, self.scene.shape)
        self.tiles = _in_rows(self.grid, run.fitting_side(inferer.tile_size, self.grid))
        self.needs_pass = not (self._scale_to_unit.value_range or declared_range(meta))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the result."""
        width, height = self.grid.targets
        return self.scene.shape[0], height, width

    @property
    def named_nodata(self) -> float | None:
        """The value that is no measurement by the option ``nodata``."""
        return self._scale_to_unit.nodata

    @property
    def factors(self) -> tuple[float, float]:
        """By how much columns and rows grow."""
        (width, height), (columns, rows) = self.grid.sizes, self.grid.targets
        return columns / width, rows / height

    def provenance(self, known: Known | None = None) -> str:
        """Return what the result says about its making, as JSON."""
        resolver = self.model.load()
        assert resolver.scenes is not None
        record = resolver.scenes.provenance.record
        if self.kind in CODES:
            return record(np.empty(0), kind=self.kind)
        runtime = str(getattr(resolver.network, "runtime", "torch"))
        return record(np.empty(0) if known is None else known.range, runtime)

    def survey(self, pixels: npt.NDArray[Any], x: slice, y: slice) -> Found:
        """Measure a part.

        Args:
            pixels: (C, h, w) of the part.
            x: its columns in the whole.
            y: its rows.

        Raises:
            BadImageError: its values are none that can be used.
        """
        _, width, height = self.scene.shape
        piece = self._part(pixels, x.start, y.start).read(x, y)
        stored, valid = piece.stored.numpy(), piece.valid.numpy()
        levels = [
            Levels.of(band if mask.all() else band[mask])
            for band, mask in zip(stored, valid, strict=True)
        ]
        sides = [
            (x.start == 0, np.s_[:, :1], slice(0, 1), y),
            (x.stop == width, np.s_[:, -1:], slice(width - 1, width), y),
            (y.start == 0, np.s_[:, :, :1], x, slice(0, 1)),
            (y.stop == height, np.s_[:, :, -1:], x, slice(height - 1, height)),
        ]
        edges = [
            (stored[line].copy(), valid[line].copy(), *place)
            for is_outermost, line, *place in sides
            if is_outermost
        ]
        return Found(levels, edges, bool(valid.any()))

    def decide(self, parts: Sequence[Found]) -> Known:
        """Choose the mapping of values to [0, 1] for the whole.

        Args:
            parts: all that the whole consists of; none where the values do not count.

        Raises:
            BadImageError: there is no valid pixel, or no mapping.
        """
        meta, levels = dict(self.scene.meta), []
        if parts:
            found = Found.sum(parts)
            if not found.has_valid:
                raise no_valid_pixel(self.scene.raster.path)
            border = Border(self.scene.shape)
            for edge in found.edges:
                border.add(*edge)
            levels = with_corners(found.levels, border)
        self._scale_to_unit.decide(meta, self.scene.shape[0], lambda: levels)
        return Known(Facts(meta).range, Facts(meta).bounds, Facts(meta).natural)

    def enlarge(
        self, pixels: npt.NDArray[Any], tile: Tile, known: Known | None, left: int, top: int
    ) -> npt.NDArray[Any]:
        """Return the stored values of a tile of the result: (C, h, w).

        Args:
            pixels: (C, h, w) of a part that reaches as far as :meth:`reach`.
            tile: the tile.
            known: of the whole; None for codes.
            left: first column of the part in the whole.
            top: its first row.
        """
        scene = self._part(pixels, left, top, known)
        piece, covering = piece_below(scene, self.grid.targets, *tile.place)
        if known is None:
            return nearest(piece, covering)
        unit = scene.unit(tile)
        sides = (p.stop - p.start for p in tile.place)
        stored = np.zeros((len(pixels), *sides), self.dtype)
        if unit is not None:
            resolver = self.model.load()
            # A network computes with all of torch's threads: two at once only need more memory.
            with _LOCK, steady_heap():
                _, run = resolver.inferer.plan(resolver.network, scene.meta, scene.shape)
                large = grown(run, unit.to(run.device), tile, self.grid, self.kind).cpu()
            stored = to_stored(large, scene.meta)
            avoid_nodata(stored, scene.meta)
        return with_own_values(stored, scene, piece, covering)

    def placed(self) -> Iterator[tuple[int, int, Tile]]:
        """Yield the row, the column and the tile of all tiles."""
        for row, tiles in enumerate(self.tiles):
            for column, tile in enumerate(tiles):
                yield row, column, tile

    def reach(self, tile: Tile) -> tuple[slice, slice]:
        """Return the columns and rows that a tile of the result depends on."""
        x, y = self.scene.reach(tile)
        return x, y

    def _part(
        self, pixels: npt.NDArray[Any], left: int, top: int, known: Known | None = None
    ) -> SceneSource:
        scene, raster = copy.copy(self.scene), self.scene.raster
        scene.raster = raster.of_part(pixels, left, top)  # type: ignore[attr-defined]
        scene.meta = dict(scene.meta)
        if known is not None:
            for name, pairs in dataclasses.asdict(known).items():
                setattr(Facts(scene.meta), name, pairs)
            to_unit(torch.zeros(len(pixels), 0, dtype=torch.float32), scene.meta)
        return scene


def _in_rows(grid: TileGrid, side: int) -> list[list[Tile]]:
    tiles = sorted(grid.tiles(side), key=lambda t: (t.place[1].start, t.place[0].start))
    return [list(row) for _, row in itertools.groupby(tiles, key=lambda t: t.place[1].start)]


def enlarged(plan: ArrayPlan, pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Known | None]:
    """Enlarge an array in memory.

    Shape: (C, H, W) -> (C, H * scale, W * scale), same dtype.

    Returns:
        The result, and what is known of the values of the whole; None for codes.
    """
    known, (_, height, width) = None, pixels.shape
    if plan.kind not in CODES:
        columns, rows = slice(0, width), max(_SURVEYED_PX // width, 1)
        parts = (slice(top, min(top + rows, height)) for top in range(0, height, rows))
        known = plan.decide([plan.survey(pixels[:, y], columns, y) for y in parts])
    result = np.empty(plan.shape, plan.dtype)
    for _, _, tile in plan.placed():
        x, y = tile.place
        result[:, y, x] = plan.enlarge(pixels, tile, known, 0, 0)
    return result, known
