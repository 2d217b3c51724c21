"""What a tile or window of a raster becomes, wherever pixels come from and the result goes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from monai_sr.formats import PHASE
from monai_sr.geometry import covering_samples
from monai_sr.inferers import Tile, TileGrid, TileRun
from monai_sr.transforms import circle_points, code_bands, put_back, turns_of
from monai_sr.upscaling.scene_source import Piece, SceneSource

Covering = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""For each column and each row of a window of the result the one of a piece that lies below it."""


def grown(run: TileRun, unit: Tensor, tile: Tile, grid: TileGrid, kind: str) -> Tensor:
    """Return what the network makes of a tile.

    Shape: unit (1, C, x, y) in [0, 1], the samples ``tile.outer`` -> (C, x, y) of ``tile.place``.

    Args:
        run: what the tiles of a raster share.
        unit: see :meth:`monai_sr.upscaling.scene_source.SceneSource.unit`.
        tile: the tile.
        grid: of the whole.
        kind: what the values are.
    """
    if kind == PHASE:
        return turns_of(run(circle_points(unit), tile, grid))[0]
    return run(unit, tile, grid)[0]


def piece_below(
    source: SceneSource, targets: Sequence[int], x: slice, y: slice
) -> tuple[Piece, Covering]:
    """Return what lies below a window of the result.

    Args:
        source: the raster.
        targets: sizes of the whole result.
        x: columns of the result.
        y: its rows.
    """
    below = [
        covering_samples(size, target, part.start, part.stop)
        for size, target, part in zip(source.shape[1:], targets, (x, y), strict=True)
    ]
    piece = source.read(*(slice(int(each[0]), int(each[-1]) + 1) for each in below))
    columns, rows = (each - int(each[0]) for each in below)
    return piece, (columns, rows)


def with_own_values(
    pixels: np.ndarray, source: SceneSource, piece: Piece, covering: Covering
) -> np.ndarray:
    """Give what no network made its own values: nodata, hot pixels, bands of codes.

    Shape: pixels (C, x, y), changed in place -> (C, y, x).

    Args:
        pixels: stored values of a window of the result.
        source: the raster.
        piece: what lies below it.
        covering: likewise.
    """
    columns, rows = covering
    put_back(
        pixels, source.meta, lambda plane: plane[..., columns[:, None], rows],
        piece.stored[code_bands(source.meta)].numpy(), shape=piece.stored.shape,
        lost=piece.lost, nan=piece.nan, hot=piece.hot,
    )  # fmt: skip
    return np.ascontiguousarray(pixels.transpose(0, 2, 1))


def nearest(piece: Piece, covering: Covering) -> np.ndarray:
    """Return the stored value below the center of each sample: (C, y, x)."""
    columns, rows = covering
    return np.ascontiguousarray(piece.image.pixels[:, rows][:, :, columns])
