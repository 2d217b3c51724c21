"""Brings the description of a TIFF up to date where programs of microscopy read it as a header.

OME-TIFF, https://docs.openmicroscopy.org/ome-model (OME-XML in ImageDescription, which readers know
by its end); ImageJ, whose description begins with its version and has one fact a line.
"""

import re
from collections.abc import Sequence

from monai_sr.formats.stored import CODES_DISCLAIMER, DISCLAIMER

_OME_END = "OME>"
_IMAGEJ = "ImageJ="
_SIZE = re.compile(r'\bSize([XY])="\d+"')
_PIXEL = re.compile(r'\bPhysicalSize([XY])="([^"]+)"')
# The identity of the source's file, and regions in its pixels.
_STALE = re.compile(r'\sUUID="[^"]*"|<(ROI|ROIRef)\b(?:[^>]*/>|.*?</\1>)', re.DOTALL)
_NAMES_FILES = re.compile(r"\bFileName=|<BinaryOnly\b")
_DECLARATION = re.compile(r"\s*(?:<\?xml[^>]*\?>)?")


def described(before: str, said: str, scale: Sequence[float], size: Sequence[int]) -> str:
    r"""Return the description of a result: what is said of it, and what the source said.

    OME-XML has the sizes of the result, and stays at the end; that which describes several files is
    left out.

    Args:
        before: of the source.
        said: that the result is derived.
        scale: columns, rows.
        size: columns and rows of the result.

    Example:
        >>> described("ImageJ=1.54\nunit=um\n", "Derived.", (2, 2), (8, 8))
        'ImageJ=1.54\nunit=um\nDerived.\n'
    """
    is_said = DISCLAIMER in before or CODES_DISCLAIMER in before
    if before.rstrip().endswith(_OME_END):
        if _NAMES_FILES.search(before):
            return said
        start = _DECLARATION.match(before)
        at = start.end() if start and not is_said else 0
        note = "" if is_said else f"<!-- {said} -->"
        return _rescaled(before[:at] + note + before[at:], scale, size)
    if is_said:
        return before
    if before.startswith(_IMAGEJ):
        return f"{before.rstrip()}\n{said}\n"
    return f"{said} {before}".strip()


def _rescaled(text: str, scale: Sequence[float], size: Sequence[int]) -> str:
    """Return OME-XML of another grid."""

    def pixel(match: re.Match[str]) -> str:
        axis, value = match.groups()
        try:
            return f'PhysicalSize{axis}="{float(value) / scale["XY".index(axis)]:.9g}"'
        except ValueError:
            return ""

    text = _SIZE.sub(lambda match: f'Size{match[1]}="{size["XY".index(match[1])]}"', text)
    return _STALE.sub("", _PIXEL.sub(pixel, text))
