"""Match images of high resolution with those of low resolution by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence


def match_names(references: Sequence[str], names: Sequence[str], scale: int) -> list[list[int]]:
    """Return the places of the partners of every reference, without suffixes.

    Names are equal but for a mark of the scale: 0801 goes with 0801, 0801x4, 0801_x4, and 0801x4m,
    x4d, x4w1 of DIV2K's other tracks. A name with the mark is surer: ax4 may belong to a.

    Args:
        references: names of the large images.
        names: those of the small ones.
        scale: the enlargement.
    """
    mark = re.compile(rf"[_-]?x{scale}(?:[md]|w\d)?$", re.IGNORECASE)
    named: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for key in {name, mark.sub("", name)}:
            named.setdefault(key, []).append(place)
    found = []
    for reference in references:
        places = named.get(reference, [])
        longest = max((len(names[place]) for place in places), default=0)
        found.append([place for place in places if len(names[place]) == longest])
    return found


__all__ = ["match_names"]
