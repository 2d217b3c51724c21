"""One case that is looked at: it opens at once, and its result joins when it is there."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

from monai_sr.core import PathLike, get_logger, make_private_folder, user_message
from monai_sr.formats import DISCLAIMER, uncertainty_path
from monai_sr.viewer.grids import Grid
from monai_sr.viewer.layers import AGREEMENT, INPUT, PLAIN, RESULT, UNCERTAINTY, Case, Window
from monai_sr.viewer.making import Made, Make, one_image
from monai_sr.viewer.opening import Opened, beside, open_image, open_result
from monai_sr.viewer.pyramid import TILE, TileId

logger = get_logger(__name__)

_ORDER = (INPUT, PLAIN, RESULT, UNCERTAINTY, AGREEMENT)


class View:
    """An input and its result, for as long as they are looked at.

    Args:
        source: a file, or the folder of one DICOM series.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
        nodata: stored value that is no measurement, beside what the file declares; None: none.
        slice_axis: axis across the slices of a NIfTI volume; "auto": as its header says.
        window, bbox: a part of a raster, see :func:`monai_sr.viewer.opening.open_image`.

    Attributes:
        size: of the input, as records have it.
        folder: private, for as long as the view is there.

    Raises:
        BadImageError: the input cannot be read.
        OptionError: a part is asked for that does not fit.
    """

    def __init__(
        self,
        source: PathLike,
        *,
        kind: str = "auto",
        nodata: float | None = None,
        window: list[int] | None = None,
        bbox: list[float] | None = None,
        slice_axis: int | str = "auto",
    ) -> None:
        self.source = Path(source)
        self._input = open_image(one_image(source), kind, nodata, window, bbox, slice_axis)
        self.size = self._input.size
        self.folder = make_private_folder()
        self._case = Case(self._input.grid, self._input.meta, self.folder)
        self._began = time.monotonic()
        self._phase, self._error = "computing", ""
        self._made = Made(Path())
        self._layers = dict(self._case.layers)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove all that was made to be looked at."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, make: Make) -> threading.Thread:
        """Get the result in a thread of its own, which does not keep the program from ending."""
        thread = threading.Thread(target=self.run, args=(make,), daemon=True)
        thread.start()
        return thread

    def run(self, make: Make) -> None:
        """Get the result; what goes wrong is told on the page and in the log."""
        try:
            folder = self.folder / "results"
            folder.mkdir()
            made = make(self.source, folder)
            result = open_result(made.output, self._input.meta)
            self._case.add_result(result.grid, self._uncertainty(made.output, result))
        except Exception as error:  # the page goes on with the input alone
            message = user_message(error)
            logger.error("monai-sr: error: %s", message or f"no result ({type(error).__name__})")
            logger.debug("unexpected failure", exc_info=error)
            with self._lock:
                self._phase = "failed"
                self._error = self._without_names(message or "the result could not be made")
            return
        with self._lock:
            self._made, self._layers, self._phase = made, dict(self._case.layers), "done"
        logger.info("the result is there after %.1f s", time.monotonic() - self._began)

    def _uncertainty(self, output: Path, result: Opened) -> Grid | None:
        path = uncertainty_path(output)
        if not path.exists():
            return None
        found = beside(result, open_result(path, self._input.meta, is_map=True))
        if found is None:
            logger.warning("the map of uncertainty does not lie on the result: it is not shown")
        return found

    def _without_names(self, line: str) -> str:
        """Return a line for the page, which names no file."""
        for name in (str(self.source), str(self.folder), self.source.name):
            if name in line:
                line = line.partition(": ")[2] if line.startswith(name) else ""
        return line or "see the terminal"

    def state(self) -> dict[str, Any]:
        """Return what the page shows, but for pixels; nothing in it names a file or a person."""
        with self._lock:
            phase, error, made, layers = self._phase, self._error, self._made, dict(self._layers)
        grid, (low, high) = self._case.lr, self._case.window
        place = self._input.place
        names = ("affine", "crs", "unit")
        return {
            "phase": phase,
            "error": error,
            "seconds": round(time.monotonic() - self._began, 1),
            "disclaimer": DISCLAIMER,
            "tile": TILE,
            "size": list(grid.shape[1:3]),
            "slices": grid.shape[3],
            "aspect": self._input.pixel_aspect,
            "window": {
                "low": low,
                "high": high,
                "caption": self._case.display.caption,
            },
            "place": None if place is None else dict(zip(names, place, strict=True)),
            "without": self._case.without,
            "facts": [list(pair) for pair in made.facts],
            "warnings": [self._without_names(line) for line in made.warnings],
            "layers": [self._described(layers[name]) for name in _ORDER if name in layers],
        }

    def _described(self, layer: Any) -> dict[str, Any]:
        bar = None
        if layer.scale is not None:
            low, high, colors = layer.scale
            # Maps of DICOM and NIfTI hold values after rescaling.
            unit = "units of its map" if layer.name == UNCERTAINTY else "stored units"
            bar = {"low": low, "high": high, "colors": colors, "unit": unit}
        return {
            "name": layer.name,
            "title": layer.title,
            "size": list(layer.shape[1:3]),
            "levels": layer.pyramid.levels,
            "scale": bar,
        }

    def tile(self, name: str, which: TileId, window: Window | None = None) -> bytes | None:
        """Return a tile as PNG; None where there is no such tile.

        Args:
            name: of the layer.
            which: the tile, of a slice of the input.
            window: stored values of black and white; None: the file's own.
        """
        layer, count = self._layers.get(name), self._case.lr.shape[3]
        if layer is None or not 0 <= which.at < count:
            return None
        own = which._replace(at=layer.slice_at(which.at, count))
        return layer.png(own, window) if layer.pyramid.holds(own) else None

    def values(self, x: float, y: float, at: int) -> dict[str, list[float | None]] | None:
        """Return the values of all layers at a place; None where it lies outside.

        Args:
            x: in pixels of the input, from the outer edge of the first one.
            y: likewise, from the top.
            at: number of the input's slice.
        """
        _, width, height, count = self._case.lr.shape
        if not (0 <= x < width and 0 <= y < height and 0 <= at < count):
            return None
        return {
            name: layer.values(x / width, y / height, layer.slice_at(at, count))
            for name, layer in self._layers.items()
        }
