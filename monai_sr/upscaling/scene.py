"""Enlarges rasters of any size, or parts of them, in little memory; see :mod:`.scene_job`."""

import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import rasterio
import torch
from monai.inferers import Inferer
from rasterio.io import DatasetReader
from torch import nn

from monai_sr.core import OptionError, PathLike, atomic_file, available_bytes, steady_heap
from monai_sr.formats import (
    ASKED,
    AUTO,
    CODES,
    INTENSITY,
    Facts,
    Grid,
    RasterBlocks,
    announce,
    becomes_cog,
    beside_text,
    changed,
    check_asked,
    check_output_size,
    check_unchanged,
    format_of,
    kind_of,
    raster_facts,
    replacing,
    side_car,
    single_path,
    with_classes,
)
from monai_sr.geometry import (
    bbox_slices,
    scaled_sizes,
    source_transform,
    window_slices,
)
from monai_sr.inferers import TiledInferer, enlarged_meta, result_edge
from monai_sr.transforms import Agreement, PlanGrid, Provenance, ScaleToUnit, as_unit, planned_sizes
from monai_sr.upscaling.scene_job import DRIVERS, SceneJob, SceneResult
from monai_sr.upscaling.scene_source import SceneSource
from monai_sr.upscaling.scene_tile import nearest, piece_below

# Of GDAL, whose own default is 5 % of the machine's memory: decoded blocks of the source, and those
# of the result that wait to be compressed.
_CACHE_BYTES = (2**25, 2**27)
_FREE_SHARE, _MOST_BYTES = 0.25, 2**33  # of the memory, for blocks that are larger than that
_CACHED_PX = 512  # around a place that is read
_MILLION = 10**6


class Scenes:
    """Decides which rasters go through in windows, and enlarges those.

    Results are those of the whole in memory, bit for bit; of a part, the same part of them. They
    are tiled, compressed GeoTIFFs, or PNG where the source's whole result is one.

    Args:
        grid: decides on the sizes of results.
        kind: what values mean, see :mod:`monai_sr.formats.meaning`; codes are enlarged by nearest
            neighbor.
        value_range: stored values of 0 and 1, as for
            :class:`monai_sr.transforms.ScaleToUnit`.
        provenance: facts to record.
        window: column, row, width and height in pixels of the input: a part of every raster.
        bbox: left, bottom, right and top in units of the reference system, in its place.
        cog: whether to write cloud-optimized GeoTIFFs, with overviews; None: of such.
        limit: millions of values in a result; above, a raster goes through in windows.
        uncertainty: a map of it is asked for, which is made in memory alone.
        nodata, bounds: as for :class:`monai_sr.transforms.ScaleToUnit`.
        report: a page beside each result is asked for, which is made in memory alone.
        deidentify: leave out what may tell of a person, see
            :mod:`monai_sr.formats.raster.keep_list`.

    Raises:
        OptionError: if options exclude each other.
    """

    def __init__(
        self,
        grid: PlanGrid,
        *,
        kind: str = AUTO,
        value_range: Sequence[float] | None = None,
        provenance: Provenance,
        window: Sequence[int] | None = None,
        bbox: Sequence[float] | None = None,
        cog: bool | None = None,
        limit: float = 64,
        uncertainty: bool = False,
        report: bool = False,
        nodata: float | None = None,
        bounds: Sequence[float] | None = None,
        deidentify: bool = False,
    ) -> None:
        if window is not None and bbox is not None:
            raise OptionError("window: says where as bbox does; leave --bbox or --window out")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
            raise OptionError(
                f"scene_limit: must be millions of values, got {limit!r}; leave it out, or write "
                "--scene_limit 64"
            )
        check_asked(kind)
        self.kind, self.deidentify = kind, bool(deidentify)
        self.grid, self.provenance = grid, provenance
        self.scale_to_unit = ScaleToUnit(value_range, nodata, bounds)
        self.window, self.bbox, self.cog, self.limit = window, bbox, cog, limit
        if uncertainty and self._asked:
            raise OptionError(
                f"uncertainty: its map is made of whole images in memory, got {self._asked} too; "
                "leave one of them out"
            )
        self.uncertainty, self.report = uncertainty, report

    @property
    def _asked(self) -> str | None:
        """The option that asks for windows, whatever the size."""
        options = {"window": self.window, "bbox": self.bbox, "cog": self.cog}
        return next((name for name, value in options.items() if value), None)

    def takes(self, source: PathLike | Sequence[PathLike]) -> bool:
        """Tell whether an input goes through in windows; looks at its header.

        Args:
            source: a file, or those of a DICOM series.

        Raises:
            OptionError: an option asks for windows where there can be none, or for a report of
                what goes through in windows.
            BadImageError: a raster cannot be opened.
        """
        name = source if isinstance(source, str | Path) else source[0]  # type: ignore[index]
        is_streamed = format_of(source).is_streamed
        if not is_streamed and self._asked:
            raise OptionError(f"{name}: {self._asked} is for rasters, got another format; leave it")
        if not is_streamed or self.uncertainty:
            return False
        facts = raster_facts(single_path(name))
        is_upright, values = facts.is_upright, math.prod(facts.shape)
        if not is_upright and self._asked:
            raise OptionError(
                f"{name}: {self._asked} needs pixels that lie as they are shown, got a photo that "
                "its EXIF turns; turn it first (gdal_translate, mogrify -auto-orient)"
            )
        scale = self.grid.scale if isinstance(self.grid.scale, int | float) else 1
        is_taken = is_upright and bool(self._asked or values * scale**2 > self.limit * _MILLION)
        if is_taken and self.report:
            raise OptionError(
                f"{name}: report needs the whole image in memory, but this raster goes through in "
                "windows; leave --report out, or window, bbox and cog, or raise --scene_limit"
            )
        return is_taken

    def upscale(
        self,
        source: PathLike,
        output: PathLike,
        network: nn.Module,
        inferer: Inferer,
        device: torch.device | str = "cpu",
        record: str = "",
        classes: str | None = None,
        found: str = "",
    ) -> SceneResult:
        """Enlarge one raster.

        Args:
            source: the file.
            output: name of the whole result; that of a part says which.
            network: generator, weights loaded; it is put into evaluation mode.
            inferer: its scale, consistency, precision and tile size count.
            device: where the network is.
            record: of the input as it was, see :func:`monai_sr.formats.identity.input_record`.
            classes: file of the scene's classes that belong beside the result.
            found: what was measured of it, where that chose the network.

        Raises:
            SRError: if it cannot be done; finished blocks are kept where that may change.
        """
        if not isinstance(inferer, TiledInferer):
            kind = type(inferer).__name__
            raise OptionError(f"inferer: must be a TiledInferer for windows, got {kind}")
        network.eval()  # and left so: another thread may be at work with it
        nodata = self.scale_to_unit.nodata
        with (
            steady_heap(),
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES[1]),
            SceneSource(source, self.grid, nodata, self.kind) as read,
            SceneSource(source, self.grid, nodata, _answer(read)) as compared,
            rasterio.Env(GDAL_CACHEMAX=_cache_bytes(read.raster.dataset)),
        ):
            read.raster.warn()
            compared.raster.be_quiet()
            for scene in (read, compared):
                Facts(scene.meta).is_deidentified = int(self.deidentify)
                Facts(scene.meta).found = found
            part = self._part(read)
            named, kind = self._named(Path(output), read, part), kind_of(read.meta)
            is_cog = named.suffix != ".png" and becomes_cog(self.cog, read.raster.dataset)
            becomes = "COG" if is_cog else None
            announce(source, read.meta)
            with replacing(named):
                if kind in CODES:
                    scale = inferer.check(network)
                    return upscale_codes(
                        read, part, named, scale=scale, provenance=self.provenance,
                        becomes=becomes, record=record, classes=classes,
                    )  # fmt: skip
                job = SceneJob(
                    read,
                    compared,
                    part,
                    named,
                    network=network,
                    inferer=inferer,
                    device=torch.device(device),
                    becomes=becomes,
                )
                return job.run(self.scale_to_unit, self.provenance, record, classes)

    def _part(self, source: SceneSource) -> tuple[slice, slice]:
        """Return columns and rows of the input that are asked for."""
        name, (_, width, height) = str(source.raster.path), source.shape
        if self.window is not None:
            return window_slices(name, self.window, width, height)
        if self.bbox is not None:
            transform = source_transform(source.raster.dataset)
            return bbox_slices(name, self.bbox, transform, width, height)
        return slice(0, width), slice(0, height)

    def _named(self, output: Path, source: SceneSource, part: tuple[slice, slice]) -> Path:
        suffix = ".tif" if self.cog else output.suffix
        x, y = part
        mark = ""
        if (x.stop - x.start, y.stop - y.start) != source.shape[1:]:
            mark = f"_at_{x.start}_{y.start}_{x.stop - x.start}_{y.stop - y.start}"
        return output.with_name(f"{output.stem}{mark}{suffix}")


def _answer(source: SceneSource) -> str:
    """Return what to ask for to get the same answer again, without a look at the values."""
    kind = kind_of(source.meta)
    is_mixed = bool(Facts(source.meta).code_bands.size)
    return AUTO if is_mixed else kind if kind in ASKED else INTENSITY


def _cache_bytes(dataset: DatasetReader) -> int:
    """Return what holds the blocks around a place twice: wide strips and large blocks need more.

    A strip as high as the image is unpacked for every window that finds no room to leave it: the
    limit gives way to it, as far as a share of the free memory.
    """
    least, most = _CACHE_BYTES
    if dataset.driver == "VRT":  # tells nothing of the blocks of its files
        return most
    sides = zip(dataset.block_shapes[0], dataset.shape, strict=True)
    pixels = math.prod(min(block + _CACHED_PX, size) for block, size in sides)
    needed = 2 * pixels * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    return int(min(needed + least, max(most, _memory_share())))


def _memory_share() -> float:
    return min(available_bytes() * _FREE_SHARE, _MOST_BYTES)


def upscale_codes(
    source: SceneSource,
    part: tuple[slice, slice],
    output: Path,
    *,
    scale: float,
    provenance: Provenance,
    becomes: str | None = None,
    record: str = "",
    classes: str | None = None,
) -> SceneResult:
    """Enlarge a raster of codes, or a part of it: each sample has the code that covers its center.

    Args:
        source: the raster.
        part: columns and rows of the input that are enlarged.
        output: the result.
        scale: of the result, where no sizes are planned.
        provenance: facts to record.
        becomes: driver of the result where its name does not say it ("COG").
        record: of the input as it was, see :func:`monai_sr.formats.identity.input_record`.
        classes: file of the scene's classes that belong beside the result.

    Raises:
        BadImageError: if the source is damaged or has changed meanwhile.
        OutputError: if the result cannot be written.
    """
    identity, meta, given = source.identity(), dict(source.meta), source.shape[1:]
    sizes = planned_sizes(meta, 2) or scaled_sizes(given, scale, (0, 1))
    place = [
        slice(result_edge(p.start, n, m), result_edge(p.stop, n, m))
        for p, n, m in zip(part, given, sizes, strict=True)
    ]
    shape = (source.shape[0], *(p.stop - p.start for p in place))
    check_output_size(output.suffix, shape, source.raster.path)
    factors = [m / n for n, m in zip(given, sizes, strict=True)]
    as_unit(source.read(slice(0, 1), slice(0, 1)).stored, meta)
    result_meta = enlarged_meta(meta, factors, scale)
    Facts(result_meta).provenance = provenance.record(Facts(meta).range, kind=kind_of(meta))
    offset = [p.start / f for p, f in zip(place, factors, strict=True)]
    grid = Grid((factors[0], factors[1]), (offset[0], offset[1]), True)
    becomes = becomes or DRIVERS.get(output.suffix.lower(), "GTiff")
    # Beside the result, and gone with an error: what is quick to make is made anew.
    with (
        side_car(output) as write_beside,
        with_classes(output, classes) as final,
        atomic_file(final) as ready,
    ):
        first = ready if becomes == "GTiff" else ready.with_name(f"{ready.name}.first.tif")
        try:
            target = RasterBlocks(
                first, source.raster, result_meta, (shape[0], shape[2], shape[1]), grid, becomes,
                output,
            )  # fmt: skip
            with closing(target):
                for rows, columns in target.chunks():
                    _write(source, target, (columns, rows), place, sizes)
            target.convert(ready)
        finally:
            if first != ready:
                first.unlink(missing_ok=True)
        if source.identity() != identity:
            raise changed(source.raster.path)
        check_unchanged(record)
        write_beside(beside_text(source.raster.dataset, ready, result_meta))
    shape_in = (shape[0], *(p.stop - p.start for p in part))
    exact = Agreement(math.inf, 0.0, 0.0, (0, 0, 0), ((math.inf, 0.0),) * shape[0])
    return SceneResult(output, shape_in, shape, exact, kind_of(meta))


def _write(
    source: SceneSource,
    target: RasterBlocks,
    window: tuple[slice, slice],
    place: list[slice],
    sizes: list[int],
) -> None:
    """Write a window (columns, rows) of the result."""
    x, y = (slice(p.start + w.start, p.start + w.stop) for p, w in zip(place, window, strict=True))
    piece, covering = piece_below(source, sizes, x, y)
    target.write(window[1], window[0], nearest(piece, covering), piece.image, covering[::-1])
