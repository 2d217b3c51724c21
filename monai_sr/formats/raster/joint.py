"""Tells bands and pixels that mean something only together.

Those are parts of complex numbers, bytes of one number, and colors behind a camera's filter. The
network enlarges each band alone: between the parts of an interferogram or of a radar image that
turns from pixel to pixel lies nothing, and where the lower byte of a height begins anew its upper
one goes on by one (terrain tiles of Mapbox and of Terrarium, depths in two bytes).
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.formats.meaning import BITS, COMPLEX, MOSAIC, Meaning

_WORD = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
# Words, also of SNAP, whose bands are i_IW1_VV and q_IW1_VV.
_PARTS = tuple(
    (re.compile(real), re.compile(imaginary))
    for real, imaginary in (
        (_WORD.format("real|re"), _WORD.format("imag|imaginary|im")),
        (r"^i(?=_|$)", r"^q(?=_|$)"),
        (_WORD.format("in[ _-]?phase"), _WORD.format("quadrature")),
    )
)
_PART = re.compile(
    _WORD.format(r"imag|imaginary|(?:real|imag|imaginary)[ _-]?part")
    + r"|(?<=[_-])real$|^[iq](?=_\w*(?:hh|hv|vh|vv)$)"
)
# Second differences of a byte that begins anew, and of the number, as shares of what a byte holds.
_JUMP, _SMOOTH = 0.75, 0.25
_LEAST_CARRIES, _LEAST_SHARE = 12, 2e-4
_CARRIED = 0.2  # of the jumps: numbers may have edges; 0.07 in pictures

# Of a mosaic, differences of neighbors to those of pixels two apart: 1 in noise, 0.8 in pictures.
_FILTERED, _FEW_VALUES = 1.25, 32


def complex_parts(texts: Sequence[str], lows: Iterable[float]) -> Meaning | None:
    """Return that bands are real and imaginary parts, by their names, if some are below zero.

    Args:
        texts: name of each band, of one alone maybe that of its file.
        lows: a small value of each, if not the smallest.
    """
    names = [text.lower() for text in texts]
    if len(names) == 1:
        match = _PART.search(names[0])
        found = match.group() if match else ""
    else:
        found = next((pair for kind in _PARTS if (pair := _pair(names, *kind))), "")
    return Meaning(COMPLEX, f"named {found}") if found and min(lows) < 0 else None


def _pair(names: Sequence[str], real: re.Pattern[str], imaginary: re.Pattern[str]) -> str:
    """Return two names that differ by their part alone; "" for none."""
    rests = {real.sub("", name): name for name in names if real.search(name)}
    for name in names:
        if imaginary.search(name) and (partner := rests.get(imaginary.sub("", name))):
            return f"{partner!r} and {name!r}"
    return ""


def packed_bytes(parts: Iterable[npt.NDArray[Any]]) -> Meaning | None:
    """Return that bands are the bytes of one number, by how they carry.

    Shape: parts of (C, H, W), integers without a sign.

    Example:
        >>> number = np.add.outer(np.arange(64), np.arange(64)) * 9
        >>> packed_bytes([np.stack([number >> 8, number & 255]).astype(np.uint8)]).reason
        'bytes of one number'
    """
    jumps: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    for part in parts:
        for first, second in pairwise(range(len(part))):
            for high, low in ((first, second), (second, first)):
                counts = jumps.setdefault((high, low), np.zeros(3, np.int64))
                counts += _carries(part[high], part[low])
    for all_jumps, carried, pairs in jumps.values():
        if carried >= max(_LEAST_CARRIES, _LEAST_SHARE * pairs, _CARRIED * all_jumps):
            return Meaning(BITS, "bytes of one number")
    return None


def color_mosaic(image: npt.NDArray[Any]) -> Meaning | None:
    """Return that pixels lie behind a color filter: along both axes every second one is alike.

    Shape: (H, W). Dithered images, of few values, alternate likewise.
    """
    if min(image.shape) < _FEW_VALUES or len(np.unique(image)) <= _FEW_VALUES:
        return None
    values = image.astype(np.float64)
    for lines in (values, values.T):
        near, far = np.abs(np.diff(lines, axis=0)).mean(), np.abs(lines[2:] - lines[:-2]).mean()
        if not near > _FILTERED * far:
            return None
    return Meaning(MOSAIC, "every second pixel is alike")


def _carries(high: npt.NDArray[Any], low: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count where a lower byte begins anew, where both go on as one number then, and all.

    Second differences also see it on slopes that pass over several turns from pixel to pixel.
    """
    turn = np.iinfo(low.dtype).max + 1
    counts = np.zeros(3, np.int64)
    for axis in range(2):
        below = np.diff(low.astype(np.int32), 2, axis=axis)
        is_jump = np.abs(below) >= _JUMP * turn
        above = np.diff(high.astype(np.int32), 2, axis=axis)[is_jump]
        carried = np.count_nonzero(np.abs(above * turn + below[is_jump]) <= _SMOOTH * turn)
        counts += np.array([np.count_nonzero(is_jump), carried, below.size])
    return counts
