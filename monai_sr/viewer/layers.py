"""The layers of a case: which grid each shows, how it is painted, and what lies under the cursor.

Display only: no figure is computed from what is painted here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from monai_sr.formats import CODES, PHASE, Facts, format_of_meta, kind_of
from monai_sr.geometry import covering_samples
from monai_sr.reports import Display, display_of, uncertainty_levels
from monai_sr.viewer.grids import Difference, Grid, Nearest, Resized, Values
from monai_sr.viewer.pyramid import FIRST, LARGEST, MEAN, Pyramid, Tile, TileId

INPUT, PLAIN, RESULT = "input", "bicubic", "result"
UNCERTAINTY, AGREEMENT = "uncertainty", "agreement"

Levels = npt.NDArray[np.uint8]
Window = tuple[float, float]

_WINDOWS, _WINDOW_PX, _SLICES = 4, 256, 5  # of a sample: along each axis, their side
_HIGHEST = (0.995, 0.999)  # quantiles of the sample: of uncertainty, of differences
_MOST_BANDS = 16  # whose values are told
# From too low over none to too high; both ends are told apart by the color-blind, too.
_DIVERGING = np.array(
    [[120, 195, 255], [40, 90, 170], [18, 18, 20], [170, 80, 20], [255, 190, 90]], np.float64
)
_MAGMA_STEPS = 6


@dataclass(frozen=True)
class Layer:
    """One picture of a case.

    Attributes:
        name: in requests.
        title: on the page.
        pyramid: its tiles.
        paint: tile (C, x, y) and window -> (y, x) or (y, x, 3), uint8; the window is None where
            the file's own counts.
        scale: low end, high end and colors of its bar; None: it is shown through the window.
    """

    name: str
    title: str
    pyramid: Pyramid
    paint: Callable[[Tile, Window | None], Levels]
    scale: tuple[float, float, list[list[int]]] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Channels, columns, rows and slices."""
        return self.pyramid.grid.shape

    def slice_at(self, index: int, count: int) -> int:
        """Return the slice that belongs to one of ``count`` of the input: middle of its block."""
        size = self.shape[3]
        if size == count:
            return index
        block = np.flatnonzero(covering_samples(count, size) == index)
        return int(block[len(block) // 2]) if block.size else index * size // count

    def png(self, which: TileId, window: Window | None = None) -> bytes:
        """Return a tile as PNG; holes are transparent.

        Args:
            which: the tile.
            window: stored values of black and white in place of the file's window.
        """
        tile = self.pyramid.tile(which)
        levels = self.paint(tile, window)
        known = ~np.isnan(tile).any(axis=0).T
        if not known.all():
            alpha = np.where(known, 255, 0).astype(np.uint8)
            levels = np.dstack([levels, alpha])
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(levels)).save(stream, "PNG", compress_level=1)
        return stream.getvalue()

    def values(self, x: float, y: float, at: int) -> list[float | None]:
        """Return the stored values of a place.

        Args:
            x: share of the width, in [0, 1).
            y: share of the height.
            at: the slice.

        Returns:
            One of each band, None for holes.
        """
        columns, rows = self.shape[1:3]
        i, j = min(int(x * columns), columns - 1), min(int(y * rows), rows - 1)
        window = self.pyramid.grid.read(slice(i, i + 1), slice(j, j + 1), slice(at, at + 1))
        found = window[:_MOST_BANDS, 0, 0, 0].tolist()
        return [None if math.isnan(value) else value for value in found]


def sample(grid: Grid) -> Values:
    """Return some values of a grid (C, n), spread over all of it."""
    parts = []
    for axis, size in enumerate(grid.shape[1:]):
        side = min(size, 1 if axis == 2 else _WINDOW_PX)
        count = min(_SLICES if axis == 2 else _WINDOWS, -(-size // side))
        parts.append([(round(s), round(s) + side) for s in np.linspace(0, size - side, count)])
    windows = [
        grid.read(slice(*x), slice(*y), slice(*z)).reshape(grid.shape[0], -1)
        for z in parts[2]
        for x in parts[0]
        for y in parts[1]
    ]
    return np.concatenate(windows, axis=1)


class Case:
    """The layers of an input and, when it is there, of its result.

    Args:
        lr: the input.
        meta: its metadata.
        folder: private; coarse tiles go there.

    Attributes:
        layers: by their names, in the order of the page.
        display: how stored values are shown.
        without: why there is no plain enlargement and no agreement; empty where there is.
    """

    def __init__(self, lr: Grid, meta: dict[str, Any], folder: Path) -> None:
        self.lr, self.meta, self.folder = lr, meta, folder
        found = sample(lr)
        known = np.where(np.isfinite(found).any(axis=1, keepdims=True), found, 0)
        shown = _with_header_window(display_of(known[..., None], meta), meta)
        self.bands = shown.bands
        self.display = replace(shown, bands=tuple(range(len(shown.bands))))
        self.are_codes = kind_of(meta) in CODES
        self.without = self._reason()
        self.layers = {INPUT: self._image(INPUT, "Input", lr)}

    def _reason(self) -> str:
        if kind_of(self.meta) == PHASE:
            return "Phases jump where they wrap: no bicubic enlargement, no agreement is shown."
        if Facts(self.meta).mosaic > 1:
            return "A mosaic is enlarged tile by tile: no bicubic, no agreement is shown."
        return ""

    @property
    def window(self) -> Window:
        """Stored values of black and white, as the file has them."""
        table = self.display.table
        if table is None:
            return self.display.low, self.display.high
        steps = np.flatnonzero(np.diff(table))
        if not steps.size:
            return float(self.display.first), float(self.display.first + len(table) - 1)
        return float(self.display.first + steps[0]), float(self.display.first + steps[-1] + 1)

    def add_result(self, sr: Grid, half_width: Grid | None = None) -> None:
        """Add the layers that need the result.

        Args:
            sr: the result.
            half_width: its uncertainty; None: there is none.
        """
        sizes = sr.shape[1:]
        layers = {RESULT: self._image(RESULT, "Result", sr)}
        if not self.without:
            plain: Grid = Nearest(self.lr, sizes) if self.are_codes else Resized(self.lr, sizes)
            title = "Nearest neighbor" if self.are_codes else "Bicubic"
            layers = {PLAIN: self._image(PLAIN, title, plain), **layers}
        if half_width is not None:
            layers[UNCERTAINTY] = self._uncertainty(half_width)
        if not self.without:
            layers[AGREEMENT] = self._agreement(sr)
        self.layers = {**self.layers, **layers}

    def _image(self, name: str, title: str, grid: Grid) -> Layer:
        reduce = FIRST if self.are_codes else MEAN
        return Layer(name, title, self._pyramid(name, grid, self.bands, reduce), self._painted)

    def _pyramid(self, name: str, grid: Grid, bands: Sequence[int], reduce: str) -> Pyramid:
        folder = self.folder / name
        folder.mkdir()
        return Pyramid(grid, bands, reduce, folder)

    def _painted(self, tile: Tile, window: Window | None) -> Levels:
        display = self.display
        if window is not None:
            display = Display("", display.bands, *window, is_inverted=display.is_inverted)
        return display(tile)

    def _uncertainty(self, half_width: Grid) -> Layer:
        bands = self.bands if half_width.shape[0] > max(self.bands) else (0,)
        highest = _quantile(sample(half_width)[list(bands)], _HIGHEST[0]) or 1.0

        def paint(tile: Tile, _: Window | None) -> Levels:
            return uncertainty_levels(tile.mean(axis=0), highest)

        steps = np.linspace(0, highest, _MAGMA_STEPS)[:, None]
        colors = uncertainty_levels(steps, highest)[0].tolist()
        pyramid = self._pyramid(UNCERTAINTY, half_width, bands, LARGEST)
        return Layer(UNCERTAINTY, "Uncertainty", pyramid, paint, (0.0, highest, colors))

    def _agreement(self, sr: Grid) -> Layer:
        codes = Facts(self.meta).code_bands.ravel().astype(int).tolist()
        grid = Difference(self.lr, sr, are_codes=self.are_codes, code_bands=codes)
        largest = _quantile(np.abs(sample(grid)[list(self.bands)]), _HIGHEST[1])
        is_whole = Facts(self.meta).dtype.kind in "iu"
        largest = max(largest, 1.0) if is_whole else largest or 1.0

        def paint(tile: Tile, _: Window | None) -> Levels:
            return difference_levels(tile, largest)

        pyramid = self._pyramid(AGREEMENT, grid, self.bands, LARGEST)
        colors = _DIVERGING.astype(int).tolist()
        return Layer(AGREEMENT, "Agreement", pyramid, paint, (-largest, largest, colors))


def _with_header_window(display: Display, meta: dict[str, Any]) -> Display:
    """Return the display with the window of a header that says one in plain numbers."""
    file = Path(Facts(meta).files[0])
    window = format_of_meta(meta).window(file)
    if window is None or display.table is not None or Facts(meta).is_rgb:
        return display
    caption = f"Shown through the window of the file: {window[0]:.6g} to {window[1]:.6g}, stored."
    return replace(display, caption=caption, low=window[0], high=window[1])


def difference_levels(difference: Tile, largest: float) -> Levels:
    """Return differences in color: blue below the input, orange above, dark where they agree.

    Of several bands the largest one shows.

    Shape: (C, x, y) in stored units -> (y, x, 3) uint8.

    Args:
        difference: result less input.
        largest: what the full color stands for.
    """
    sizes = np.nan_to_num(np.abs(difference), nan=-1)
    index = sizes.argmax(axis=0)[None]
    signed = np.nan_to_num(np.take_along_axis(difference, index, axis=0)[0].T)
    steps = np.linspace(-largest, largest, len(_DIVERGING))
    colors = [np.interp(signed, steps, _DIVERGING[:, channel]) for channel in range(3)]
    levels: Levels = np.rint(np.stack(colors, axis=-1)).astype(np.uint8)
    return levels


def _quantile(values: Values, share: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if known.size else 0.0
