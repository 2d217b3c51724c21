"""One scene on its way: tiles are read, enlarged and kept in threads that overlap.

Every tile is what it is of the whole in memory, bit for bit, but for the rounding of phases.
Finished tiles lie in a journal beside the result until that is complete, so that a killed run goes
on where it was.
"""

import math
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from monai_sr.core import (
    Background,
    BadImageError,
    Journal,
    OptionError,
    OutputError,
    code_digest,
    get_logger,
    prefetched,
    printable,
    replace_file,
)
from monai_sr.formats import (
    Facts,
    Grid,
    RasterBlocks,
    beside_text,
    changed,
    check_output_size,
    check_unchanged,
    is_deidentified,
    kind_of,
    side_car,
    with_classes,
)
from monai_sr.inferers import (
    Tile,
    TiledInferer,
    Transfer,
    bounds,
    enlarged_meta,
    overlap,
    result_edge,
    warn_if_cut,
)
from monai_sr.networks import own_source_digest, state_digest
from monai_sr.transforms import (
    Agreement,
    Provenance,
    ScaleToUnit,
    avoid_nodata,
    declared_range,
    to_stored,
    to_unit,
)
from monai_sr.upscaling.scene_blocks import AlikeTiles, Assembly, Comparison, Rows, TileBlocks
from monai_sr.upscaling.scene_source import SceneSource, no_valid_pixel
from monai_sr.upscaling.scene_tile import grown

logger = get_logger(__name__)

_GB = 10**9
_WAITING = 1  # results that the writing thread is behind
DRIVERS = {".png": "PNG"}
"""Suffixes of results that are not GeoTIFF -> GDAL's driver."""

Item = tuple[Tile, Tensor | np.ndarray | None, Any, list[Tensor]]


@dataclass(frozen=True)
class SceneResult:
    """What became of a scene.

    Attributes:
        output: the file.
        shape_in: (C, X, Y) of the part of the input.
        shape_out: (C, X, Y) of the result.
        agreement: of the stored result, shrunk, with the input.
        kind: what the values are.
        far_share: share of the pixels far outside of the range of all others.
    """

    output: Path
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]
    agreement: Agreement
    kind: str
    far_share: float = 0.0


class SceneJob:
    """Everything that one scene needs.

    Args:
        source: the scene, read in the thread that reads.
        again: the same, opened once more for the thread that writes.
        part: columns and rows of the input that are enlarged.
        output: the result.
        network: generator in evaluation mode.
        inferer: its scale, consistency, precision and tile size count.
        device: where the network is.
        becomes: driver of the result where its name does not say it ("COG").

    Raises:
        OptionError: if an option does not fit.
        OutputError: if the format of the result cannot hold it.
    """

    def __init__(
        self,
        source: SceneSource,
        again: SceneSource,
        part: tuple[slice, slice],
        output: Path,
        *,
        network: nn.Module,
        inferer: TiledInferer,
        device: torch.device,
        becomes: str | None = None,
    ) -> None:
        if getattr(inferer, "spread", False):
            raise OptionError(
                "uncertainty: its map is made of whole images in memory; leave it out"
            )
        self.source, self.again, self.part, self.output = source, again, part, output
        self.network, self.inferer, self.device = network, inferer, device
        self.becomes = becomes or DRIVERS.get(output.suffix.lower(), "GTiff")
        self.runtime = str(getattr(network, "runtime", "torch"))
        self.scale = inferer.check(network)
        self.grid, self.run_tile = inferer.plan(network, source.meta, source.shape)
        sizes = zip(part, self.grid.sizes, self.grid.targets, strict=True)
        self.place = tuple(
            slice(result_edge(p.start, n, m), result_edge(p.stop, n, m)) for p, n, m in sizes
        )
        self.shape = (source.shape[0], *(p.stop - p.start for p in self.place))
        check_output_size(output.suffix, self.shape, source.raster.path)
        self._alike = AlikeTiles(self.grid)
        self._identity = source.identity()

    def run(
        self,
        scale_to_unit: ScaleToUnit,
        provenance: Provenance,
        record: str = "",
        classes: str | None = None,
    ) -> SceneResult:
        """Do it, or go on with it.

        Args:
            scale_to_unit: mapping of stored values.
            provenance: facts to record.
            record: of the input as it was, see :func:`monai_sr.formats.identity.input_record`.
            classes: file of the scene's classes that belong beside the result.

        Raises:
            BadImageError: if the source is damaged, holds no valid pixel, or has changed meanwhile.
            OutputError: if the result cannot be written.
        """
        journal = Journal(self.output, self._plan(scale_to_unit, provenance))
        is_kept = False
        try:
            ready, result = self._run(journal, scale_to_unit, provenance)
            if self.source.identity() != self._identity:
                raise changed(self.source.raster.path)
            check_unchanged(record)
            with side_car(self.output) as write_beside:
                write_beside(beside_text(self.source.raster.dataset, ready, self.source.meta))
                with with_classes(self.output, classes) as place:
                    replace_file(ready, place)
            journal.remove()
            return result
        except BadImageError:
            journal.remove()  # another file will come, or none
            raise
        except BaseException as error:
            is_kept = any(journal.folder.glob("*.block"))
            if is_kept and not isinstance(error, Exception):
                logger.warning(
                    "%s: stopped; finished tiles are kept in %s, the same command goes on",
                    self.source.raster.path, journal.folder.name,
                )  # fmt: skip
            raise
        finally:
            if is_kept:
                journal.close()
            else:
                journal.remove()

    def _run(
        self, journal: Journal, scale_to_unit: ScaleToUnit, provenance: Provenance
    ) -> tuple[Path, SceneResult]:
        """Return the complete file, which has no name yet, and what is to be reported."""
        tiles = self._tiles(journal)
        chosen = [t for t in tiles if overlap(t.place, self.place)]
        warn_if_cut(self.network, tiles)
        occupied = self._survey(journal, scale_to_unit, tiles, chosen)
        meta = self.source.meta
        # Only now is it known what the file can store.
        _, self.run_tile = self.inferer.plan(self.network, meta, self.source.shape)
        dtype = Facts(meta).dtype
        blocks = TileBlocks(journal, chosen, self.shape[0], dtype)
        finished = blocks.finished(chosen)
        self._check_disk(journal, occupied, dtype)
        factors = [m / n for n, m in zip(self.grid.sizes, self.grid.targets, strict=True)]
        result_meta = enlarged_meta(meta, factors, self.scale)
        Facts(result_meta).provenance = provenance.record(
            Facts(meta).range, self.runtime, found=Facts(meta).found
        )
        offset = [p.start / f for p, f in zip(self.place, factors, strict=True)]
        target = RasterBlocks(
            journal.folder / "result.tif",
            self.again.raster,
            result_meta,
            (self.shape[0], self.shape[2], self.shape[1]),
            Grid((factors[0], factors[1]), (offset[0], offset[1]), True),
            self.becomes,
            self.output,
        )
        assembly = Assembly(self.again, self.grid, blocks, self.place, target)
        comparison = Comparison(self.again, self.grid, blocks, bounds(chosen), self.part)
        with closing(target):
            rows = Rows([t for t in chosen if t.name not in finished], [assembly, comparison])
            self._enlarge(chosen, finished, blocks, rows)
            rows.finish()
        ready = target.convert(journal.folder / f"ready{self.output.suffix}")
        shape_in = (self.shape[0], *(p.stop - p.start for p in self.part))
        agreement = comparison.sums.agreement()
        kind, far = kind_of(self.source.meta), Facts(self.source.meta).far_share
        return ready, SceneResult(self.output, shape_in, self.shape, agreement, kind, far)

    def _enlarge(
        self,
        chosen: list[Tile],
        finished: set[str],
        blocks: TileBlocks,
        rows: Rows,
    ) -> None:
        def read() -> Iterator[tuple[Tile, Tensor | None]]:
            for tile in chosen:
                if tile.name not in finished:
                    yield tile, self.source.unit(tile)

        transfer = Transfer(self.run_tile.device, torch.device("cpu"))

        def started(item: tuple[Tile, Tensor | None, Any, np.ndarray | None]) -> list[Tensor]:
            tile, unit, _, known = item
            if unit is None or known is not None:
                return []
            kind = kind_of(self.source.meta)
            return [grown(self.run_tile, transfer.fetch(unit), tile, self.grid, kind)]

        # One is filled, one stored, others wait. Results in the network's memory, freed by another
        # thread at any time, would leave holes there that its tensors do not fit into.
        largest = self.shape[0] * max(math.prod(p.stop - p.start for p in t.place) for t in chosen)
        spare = deque(torch.empty(largest, dtype=torch.float32) for _ in range(_WAITING + 2))

        def keep(item: Item) -> None:
            tile, large, key, buffer = item
            blocks.write(tile, self._stored(large, key) if isinstance(large, Tensor) else large)
            spare.extend(buffer)
            rows.done(tile)

        name = printable(self.source.raster.path.name)
        disable = None if self.inferer.progress else True
        bar = tqdm(desc=name, total=len(chosen), initial=len(finished), unit="tile",
                   disable=disable, leave=False)  # fmt: skip
        with bar, closing(prefetched(read())) as ahead, Background(keep, _WAITING) as background:
            with_keys = ((*item, *self._alike.find(*item)) for item in ahead)
            for (tile, _, key, known), results in transfer.overlapped(with_keys, started):
                large: Tensor | np.ndarray | None = known
                buffer: list[Tensor] = []
                if results:
                    result, buffer = results.pop(), [spare.pop()]
                    large = buffer[0][: result.numel()].view(result.shape).copy_(result)
                    del result  # before the next tile needs its memory
                background.put((tile, large, key, buffer))
                bar.update()

    def _stored(self, large: Tensor, key: Any) -> np.ndarray:
        stored = to_stored(large, self.source.meta)
        avoid_nodata(stored, self.source.meta)
        self._alike.keep(key, stored)
        return stored

    def _tiles(self, journal: Journal) -> list[Tile]:
        """Return all tiles of the whole, of the side that an earlier run had memory for."""
        side = journal.facts().get("side")
        if side is None:
            side = self.run_tile.fitting_side(self.inferer.tile_size, self.grid)
            journal.keep_facts({"side": side})
        tiles = self.grid.tiles(side)
        return sorted(tiles, key=lambda t: (t.place[1].start, t.place[0].start))

    def _survey(
        self, journal: Journal, scale_to_unit: ScaleToUnit, tiles: list[Tile], chosen: list[Tile]
    ) -> float:
        """Decode what is needed, once: all where the range rests on all values.

        The ranges go into the metadata of both sources.

        Returns:
            The share of the tiles that hold a valid pixel.
        """
        facts, meta = journal.facts(), self.source.meta
        if "survey" not in facts:
            is_declared = scale_to_unit.value_range or declared_range(meta)
            read = chosen if is_declared else tiles
            found = self.source.survey(read, with_levels=scale_to_unit.needs_levels(meta))
            if len(read) == len(tiles) and not found.has_valid:
                raise no_valid_pixel(self.source.raster.path)
            scale_to_unit.decide(meta, self.shape[0], lambda: found.levels)
            known = Facts(meta)
            pairs = [each.tolist() for each in (known.range, known.bounds, known.natural)]
            facts = {**facts, "survey": [pairs, known.far_share, found.occupied]}
            journal.keep_facts(facts)
        pairs, far, occupied = facts["survey"]
        Facts(meta).far_share = far
        for each in (meta, self.again.meta):
            Facts(each).range, Facts(each).bounds, Facts(each).natural = map(np.array, pairs)
            to_unit(torch.zeros(self.shape[0], 0, dtype=torch.float32), each)
        return float(occupied)

    def _check_disk(self, journal: Journal, occupied: float, dtype: np.dtype[Any]) -> None:
        """Refuse before any work what the disk cannot hold: blocks, result, and its conversion."""
        copies = 2 if self.becomes == "GTiff" else 3
        needed = math.prod(self.shape) * dtype.itemsize * occupied * copies
        kept = sum(file.stat().st_size for file in journal.folder.glob("*.block"))
        free = shutil.disk_usage(journal.folder).free + kept
        if needed > free:
            raise OutputError(
                f"{self.output}: needs up to {needed / _GB:.2g} GB for tiles and result, got "
                f"{free / _GB:.2g} GB of free disk; free space, choose another output folder, or a "
                "part (--window)"
            )

    def _plan(self, scale_to_unit: ScaleToUnit, provenance: Provenance) -> dict[str, Any]:
        """Return all that decides on the content of tiles."""
        return {
            "source": self._identity,
            "shape": self.source.shape,
            "targets": self.grid.targets,
            "factor": self.grid.scale,
            "halo": self.grid.halo,
            "tile_size": self.inferer.tile_size,
            "place": str(self.place),
            "range": scale_to_unit.value_range,
            "nodata": scale_to_unit.nodata,
            "bounds": scale_to_unit.bounds,
            "clip": self.inferer.clip,
            "overshoot": self.inferer.overshoot,
            "precision": str(self.inferer.dtype),
            "device": self.device.type,
            "weights": state_digest(self.network),
            "deidentified": is_deidentified(self.source.meta),
            "code": [code_digest(), own_source_digest(self.network)],
            "made_by": provenance.record(np.empty(0), self.runtime),
        }
