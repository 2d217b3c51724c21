"""The white of portable any-maps, which GDAL does not tell: samples are shares of it.

Netpbm formats, https://netpbm.sourceforge.net/doc/pgm.html (maxval).
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetReader

from monai_sr.core import head

# Magic, width, height and maxval, with white space and comments between.
_HEADER = re.compile(rb"P[56]" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d+)" * 3)


def white_of(path: Path, dataset: DatasetReader) -> int | None:
    """Return the value of white where that is not the largest of the data type, else None.

    Args:
        path: the file.
        dataset: the same, open.
    """
    if dataset.driver != "PNM" or not (found := _HEADER.match(head(path))):
        return None
    white = int(found[3])
    return white if 0 < white < np.iinfo(dataset.dtypes[0]).max else None


def whitened(pixels: npt.NDArray[Any], white: int) -> npt.NDArray[Any]:
    """Stretch samples so that white is the largest value of their type, as it is in PNG.

    Shape: (C, H, W) -> the same.
    """
    most = int(np.iinfo(pixels.dtype).max)
    stretched = (pixels.astype(np.uint64) * most + white // 2) // white
    return np.minimum(stretched, most).astype(pixels.dtype)
