"""Parts slices of one grid that repeat positions into volumes: echoes, time points, kinds of image.

Of a series with several meanings (magnitude, phase and complex parts of one MR scan, DICOM PS3.3
C.8.13.3.1.1) each is a volume of its own, also at a single position: no two of them are enlarged
alike. Else one position alone is no volume to part.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_sr.formats.dicom.files import DAMAGE_ERRORS
from monai_sr.geometry import SAME_POSITION_MM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from monai_sr.geometry import FloatArray

_GRADIENT_DIGITS = 3
# A volume that was interrupted lacks slices; times of single slices make no volumes.
_LEAST_SHARE = 0.5

# What tells volumes of one series apart: a word for names, and attributes of which the first one
# that is there counts. With private ones of Siemens, GE and Philips for diffusion, and of GE for
# parts of complex images.
_KINDS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("", ("ImageType",)),
    ("component", ("ComplexImageComponent", 0x0043102F)),
    ("echo", ("EchoNumbers", "EchoTime")),
    ("echo", ("EchoTime",)),
    ("inversion", ("InversionTime",)),
    ("flip", ("FlipAngle",)),
    ("b", ("DiffusionBValue", 0x0019100C, 0x20011003, 0x00431039)),
    ("direction", ("DiffusionGradientOrientation", 0x0019100E)),
    ("time", ("TemporalPositionIdentifier",)),
    ("time", ("FrameReferenceTime",)),
    ("phase", ("NominalPercentageOfCardiacPhase",)),
    ("time", ("TriggerTime",)),
    ("kernel", ("ConvolutionKernel",)),
    ("kvp", ("KVP",)),
    ("acquisition", ("AcquisitionNumber",)),
    ("time", ("AcquisitionDateTime",)),
    ("time", ("AcquisitionTime",)),
    ("time", ("ContentTime",)),
)
_ORDER = (
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime",
    "ContentTime", "InstanceNumber",
)  # fmt: skip
TAGS = tuple(dict.fromkeys([*_ORDER, *(tag for _, tags in _KINDS for tag in tags)]))
"""Elements that tell volumes apart."""


@dataclass(frozen=True)
class Slice:
    """Hold what groups one single-frame file.

    Args:
        file: where it lies.
        uid: its SOP instance, "" where it is not known.
        series: what files of one series share.
        cosines: (6,), directions of a row and of a column.
        position: (3,), of the center of the first pixel, in mm.
        spacing_mm: between rows and between columns; None where it is not declared.
        kind: what its values mean, see :mod:`monai_sr.formats.meaning`.
        header: has the elements that tell volumes apart.
    """

    file: Path
    uid: str
    series: tuple[str, ...]
    cosines: FloatArray
    position: FloatArray
    spacing_mm: tuple[float, float] | None
    kind: str
    header: FileDataset


def part_slices(slices: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    """Part slices by what their values mean, and then until no part repeats a position.

    Args:
        slices: parallel ones of one size, spacing and series.

    Returns:
        For each volume what tells it from the others ("echo1_time02", "" if it is alone), and its
        slices.
    """
    places = _places(slices)
    meanings: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        meanings[one.kind].append(one)
    if len(meanings) == 1:
        return _split(list(slices), places, _KINDS)
    return _named(_names_of_meanings(meanings), meanings.values(), places, _KINDS)


def _places(slices: Sequence[Slice]) -> dict[Path, int]:
    """Number the different positions along the normal."""
    normal = np.cross(slices[0].cosines[:3], slices[0].cosines[3:])
    heights = np.array([float(one.position @ normal) for one in slices])
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order]) > SAME_POSITION_MM
    numbers = np.concatenate([[0], np.cumsum(steps)])
    return {slices[i].file: int(n) for i, n in zip(order, numbers, strict=True)}


def _split(
    slices: list[Slice], places: dict[Path, int], kinds: Sequence[tuple[str, tuple[Any, ...]]]
) -> list[tuple[str, list[Slice]]]:
    """Part slices until no part repeats a position; one position alone is no volume to part."""
    positions = {places[one.file] for one in slices}
    repeats = _repeats(slices, places)
    if repeats == 1 or len(positions) == 1:
        return [("", slices)]
    for i, (word, tags) in enumerate(kinds):
        groups = _by_value(slices, tags)
        shares = sorted(len({places[o.file] for o in g}) for g in groups.values())
        is_part = (
            len(groups) > 1
            and shares[len(shares) // 2] >= _LEAST_SHARE * len(positions)
            and max(_repeats(g, places) for g in groups.values()) < repeats
        )
        if is_part:
            names = _names(word, list(groups))
            return _named(names, groups.values(), places, kinds[i + 1 :])
    return _by_rank(slices, places)


def _named(
    names: Iterable[str],
    groups: Iterable[list[Slice]],
    places: dict[Path, int],
    kinds: Sequence[tuple[str, tuple[Any, ...]]],
) -> list[tuple[str, list[Slice]]]:
    """Part each group further; the labels of its parts begin with its name."""
    return [
        ("_".join(filter(None, (name, rest))), part)
        for name, group in zip(names, groups, strict=True)
        for rest, part in _split(group, places, kinds)
    ]


def _names_of_meanings(meanings: dict[str, list[Slice]]) -> list[str]:
    """Name meanings by the kind of image where each has one of its own, else by themselves."""
    types = [{_value(one.header, "ImageType") for one in group} for group in meanings.values()]
    if all(len(found) == 1 for found in types) and len(set.union(*types)) == len(types):
        return _names("", [found.pop() for found in types])
    return list(meanings)


def _repeats(slices: Iterable[Slice], places: dict[Path, int]) -> int:
    return max(Counter(places[one.file] for one in slices).values())


def _by_value(slices: Sequence[Slice], tags: tuple[Any, ...]) -> dict[Any, list[Slice]]:
    """Group by the first of the attributes that any slice has, in ascending order."""
    for tag in tags:
        if any(tag in one.header for one in slices):
            groups: dict[Any, list[Slice]] = defaultdict(list)
            for one in slices:
                groups[_value(one.header, tag)].append(one)
            return dict(sorted(groups.items()))
    return {}


def _value(header: FileDataset, tag: Any) -> tuple[Any, ...]:
    """Return an attribute as something that can be compared; () where it lacks.

    Numbers come as such, text as text, and so does what is no value of its representation, such as
    "REMOVED" in place of a number.
    """
    if tag not in header:
        return ()
    try:
        value = header[tag].value
    except DAMAGE_ERRORS:
        value = header.get_item(tag).value
    if isinstance(value, bytes):  # private, in a file that does not say what it is, or damaged
        value = value.decode("ascii", errors="replace").strip("\0 ").split("\\")
    values = [value] if isinstance(value, str) or np.ndim(value) == 0 else list(value)
    if values in ([], [None], [""]):
        return ()
    try:
        numbers = [float(v) for v in values]
        if tag == 0x00431039:  # of four numbers of GE the first is b, with 10^9 added
            numbers = [numbers[0] % 1e6]
        return (0, *(round(number, _GRADIENT_DIGITS) for number in numbers))
    except (TypeError, ValueError):
        return (1, *map(str, values))


def _names(word: str, values: Sequence[tuple[Any, ...]]) -> list[str]:
    """Name the parts: by b-value or kind of image itself, else by a number from 1."""
    if word == "b":
        names = [f"b{v[1]:g}" if v[:1] == (0,) else "b" for v in values]
    elif not word:
        common = set.intersection(*(set(v) for v in values))
        told = ["_".join(str(t) for t in v[1:] if t not in common) for v in values]
        names = [re.sub(r"[^a-z0-9_-]+", "", t.lower()) or "other" for t in told]
    else:
        names = []
    if len(set(names)) == len(values):
        return names
    digits = len(str(len(values)))
    return [f"{word or 'kind'}{i:0{digits}d}" for i in range(1, len(values) + 1)]


def _age(one: Slice) -> tuple[Any, ...]:
    return *(_value(one.header, tag) for tag in _ORDER), one.file


def _by_rank(slices: Sequence[Slice], places: dict[Path, int]) -> list[tuple[str, list[Slice]]]:
    """Let the first slices of all positions be the first volume, and so on."""
    seen: Counter[int] = Counter()
    parts: dict[int, list[Slice]] = defaultdict(list)
    for one in sorted(slices, key=_age):
        parts[seen[places[one.file]]].append(one)
        seen[places[one.file]] += 1
    digits = len(str(len(parts)))
    return [
        (f"part{i + 1:0{digits}d}", sorted(part, key=lambda s: s.file))
        for i, part in sorted(parts.items())
    ]
