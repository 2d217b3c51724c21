"""Parts of a raster that are looked at to tell what its values mean."""

import math

from rasterio.io import DatasetReader
from rasterio.windows import Window

_PART_PX = 2**18
_MOST_PARTS = 256  # of a large raster, evenly spread: its kind shows in 67 million pixels


def windows_of(dataset: DatasetReader) -> list[Window]:
    """Return parts of whole rows, of a large raster some of them.

    Args:
        dataset: an open raster.
    """
    rows = max(_PART_PX // dataset.width, 1)
    tops = range(0, dataset.height, rows)
    tops = tops[:: math.ceil(len(tops) / _MOST_PARTS)]
    return [Window(0, t, dataset.width, min(rows, dataset.height - t)) for t in tops]


def middle(dataset: DatasetReader, most: int = _PART_PX) -> Window:
    """Return a part in the middle.

    Args:
        dataset: an open raster.
        most: about how many pixels at most.
    """
    windows = windows_of(dataset)
    found = windows[len(windows) // 2]
    rows = min(found.height, max(most // dataset.width, 3))
    return Window(0, found.row_off, found.width, rows)
