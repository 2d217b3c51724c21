"""Reads a tag of a TIFF file that GDAL does not pass on. TIFF 6.0, section 2."""

import struct
from typing import Any

from PIL import TiffImagePlugin

from monai_sr.core import PathLike, once

_BIG_TIFF = 43
_ERRORS = (OSError, SyntaxError, ValueError, KeyError, IndexError, EOFError, struct.error)


@once
def tiff_tag(path: PathLike, tag: int) -> Any:
    """Read a tag of the first directory, also where Pillow cannot decode the pixels.

    Pillow does not read directories of big-endian BigTIFF.

    Args:
        path: a TIFF file.
        tag: number of the tag.

    Returns:
        Its value, or None where it is absent or the directory cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            header = stream.read(8)
            if _BIG_TIFF in header[2:4]:
                header += stream.read(8)
            directory = TiffImagePlugin.ImageFileDirectory_v2(header)
            stream.seek(directory.next)
            directory.load(stream)
        return directory.get(tag)
    except _ERRORS:
        return None
