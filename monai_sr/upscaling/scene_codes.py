"""Labels and bit masks of any size by nearest neighbor, window by window; see :mod:`.scene_job`."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np

from monai_sr.core.atomic import atomic_file
from monai_sr.formats import check_output_size
from monai_sr.formats.identity import changed, check_unchanged
from monai_sr.formats.meaning import kind_of
from monai_sr.formats.raster.facts import Grid
from monai_sr.formats.raster.sink import RasterBlocks
from monai_sr.formats.sentinel2.classes import with_classes
from monai_sr.geometry.target_grid import covering_samples, scaled_sizes
from monai_sr.inferers.batch_meta import enlarged_meta
from monai_sr.inferers.tile_plan import result_edge
from monai_sr.transforms import Provenance
from monai_sr.transforms.agreement import Agreement, as_unit
from monai_sr.transforms.grid import planned_sizes
from monai_sr.upscaling.scene_job import DRIVERS, SceneResult
from monai_sr.upscaling.scene_source import SceneSource


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
    result_meta["sr_provenance"] = provenance.record(meta["sr_range"], kind=kind_of(meta))
    offset = [p.start / f for p, f in zip(place, factors, strict=True)]
    grid = Grid((factors[0], factors[1]), (offset[0], offset[1]), True)
    becomes = becomes or DRIVERS.get(output.suffix.lower(), "GTiff")
    # Beside the result, and gone with an error: what is quick to make is made anew.
    with with_classes(output, classes) as final, atomic_file(final) as ready:
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
    below = [
        covering_samples(n, m, p.start + w.start, p.start + w.stop)
        for n, m, p, w in zip(source.shape[1:], sizes, place, window, strict=True)
    ]
    piece = source.read(*(slice(int(b[0]), int(b[-1]) + 1) for b in below))
    columns, rows = (b - int(b[0]) for b in below)
    pixels = piece.image.pixels[:, rows][:, :, columns]
    target.write(window[1], window[0], np.ascontiguousarray(pixels), piece.image, (rows, columns))
