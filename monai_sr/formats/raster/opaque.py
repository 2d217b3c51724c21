"""Tells rasters whose values cannot be judged: lossy compression, blocks too large to look at."""

import math

from rasterio.io import DatasetReader

_LOSSY = frozenset({"JPEG", "WEBP", "JXL"})  # drivers and compressions, where GDAL says no more
# No part of a block can be read without all of it; JPEG 2000 does not tell how large its are.
_LARGEST_BLOCK_PX = 2**27


def is_dear(dataset: DatasetReader) -> bool:
    """Tell whether a look at a part takes reading of far more than the part.

    Args:
        dataset: an open raster.
    """
    is_hidden = dataset.driver.startswith("JP2")
    block = dataset.shape if is_hidden else dataset.block_shapes[0]
    return bool(math.prod(block) > _LARGEST_BLOCK_PX)


def is_lossy(dataset: DatasetReader) -> bool:
    """Tell whether stored values are no longer those that were given to be stored.

    Args:
        dataset: an open raster.
    """
    said = dataset.tags(ns="IMAGE_STRUCTURE")
    compression = str(said.get("COMPRESSION", dataset.driver)).upper()
    if compression.startswith("LERC"):
        return "MAX_Z_ERROR" in said
    if reversibility := said.get("COMPRESSION_REVERSIBILITY"):
        return str(reversibility) == "LOSSY"
    return compression.removeprefix("YCBCR ") in _LOSSY
