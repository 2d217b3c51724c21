"""Judges the metadata that GDAL keeps beside an image, ``.aux.xml``.

GDAL, Persistent Auxiliary Metadata: https://gdal.org/user/raster_data_model.html.
"""

from contextlib import suppress
from pathlib import Path

# What pixels mean and where they lie; the rest are statistics and names.
_WEIGHTY = (
    "<srs", "<geotransform", "<gcplist", "<nodatavalue", "<scale", "<offset", "<unittype",
    "<colorinterp", "<colortable", "<maskband", "rpc", "geolocation",
)  # fmt: skip


def is_dispensable(pam: Path) -> bool:
    """Tell whether an image means the same without this file."""
    try:
        text = pam.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return not any(word in text for word in _WEIGHTY)


def has_category_names(image: Path) -> bool:
    """Tell whether the values of an image have names, in its ``.aux.xml`` or, of a VRT, inside.

    Args:
        image: path of the image.
    """
    for file in (image.with_name(f"{image.name}.aux.xml"), image):
        if file is image and image.suffix.lower() != ".vrt":
            return False
        with suppress(OSError):
            if "<category>" in file.read_text(encoding="utf-8", errors="replace").lower():
                return True
    return False
