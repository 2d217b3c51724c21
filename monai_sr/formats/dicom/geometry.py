"""Rewrites every DICOM attribute that counts pixels when an image was enlarged, at any depth.

Which attributes, and why: ``dicom_attributes``. Outer edges stay in place (DICOM PS3.3 10.7.1,
C.7.6.2.1.1), so lengths between landmarks stay what they were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.attributes import (
    CURVES,
    DRAWN_CURVES,
    OF_THE_PAST,
    OVERLAYS,
    PRESENTED,
    rules,
)
from monai_sr.formats.dicom.files import PIXEL_KEYWORDS, format_ds, sequences
from monai_sr.formats.dicom.identity import DROPPED, KEPT, SCALED
from monai_sr.formats.dicom.places import Places, set_right

Scale = tuple[float, float]

Arithmetic = Callable[[Sequence[float], Scale], list[float]]


_GROUPS = {
    "PerFrameFunctionalGroupsSequence": "SharedFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence": "PerFrameFunctionalGroupsSequence",
}
_UNITS = {
    "BoundingBoxTopLeftHandCorner": ("BoundingBoxAnnotationUnits",),
    "BoundingBoxBottomRightHandCorner": ("BoundingBoxAnnotationUnits",),
    "AnchorPoint": ("AnchorPointAnnotationUnits",),
    "GraphicData": ("GraphicAnnotationUnits", "CompoundGraphicUnits"),
    "RotationPoint": ("CompoundGraphicUnits",),
}
_INTEGERS = frozenset({"IS", "SL", "SS", "UL", "US", "SV", "UV"})
_LARGEST = {"SS": 2**15 - 1, "US": 2**16 - 1}
_MAX_ASPECT = 10_000
_MARKS = (
    "RegionLocationMinX0", "RegionLocationMinY0", "ReferencePixelX0", "ReferencePixelY0",
    "PhysicalDeltaX", "PhysicalDeltaY",
)  # fmt: skip


def _alternately(values: Sequence[float], first: float, second: float, shift: float) -> list[float]:
    """Enlarge points; a coordinate ``shift`` is the outer corner of the image."""
    return [(v - shift) * (second if i % 2 else first) + shift for i, v in enumerate(values)]


def _pair(values: Sequence[float], first: float, second: float) -> list[float]:
    if len(values) != 2:
        raise ValueError("no pair says what it belongs to")
    return [values[0] * first, values[1] * second]


def _aspect(values: Sequence[float], scale: Scale) -> list[float]:
    height, width = _pair(values, scale[0], scale[1])
    ratio = Fraction(height / width).limit_denominator(_MAX_ASPECT)
    if abs(scale[0] - scale[1]) < 1e-9 * scale[0]:
        return list(values)
    return [float(ratio.numerator), float(ratio.denominator)]


def _subject_area(values: Sequence[float], scale: Scale) -> list[float]:
    point = _alternately(values[:2], scale[0], scale[1], 0)
    return [*point, *(v * scale[i % 2] for i, v in enumerate(values[2:]))]


ARITHMETIC: dict[str, Arithmetic] = {
    "spacing": lambda v, s: _pair(v if len(v) > 1 else [*v, *v], 1 / s[1], 1 / s[0]),
    "column_spacing": lambda v, s: [x / s[0] for x in v],
    "shift": lambda v, s: _pair(v, s[1], s[0]),
    "aspect": _aspect,
    "magnification": lambda v, s: [x / s[0] for x in v],
    "row_count": lambda v, s: [x * s[1] for x in v],
    "column_count": lambda v, s: [x * s[0] for x in v],
    "first_column": lambda v, s: [(x - 1) * s[0] + 1 for x in v],
    "first_row": lambda v, s: [(x - 1) * s[1] + 1 for x in v],
    "last_column": lambda v, s: [x * s[0] for x in v],
    "last_row": lambda v, s: [x * s[1] for x in v],
    "first_corner": lambda v, s: _alternately(v, s[0], s[1], 1),
    "last_corner": lambda v, s: _alternately(v, s[0], s[1], 0),
    "row_column_points": lambda v, s: _alternately(v, s[1], s[0], 0.5),
    "corner_points": lambda v, s: _alternately(v, s[0], s[1], 0),
    "graphic": lambda v, s: _alternately(v, s[0], s[1], 0),
    "subject_area": _subject_area,
    "column": lambda v, s: [(x + 0.5) * s[0] - 0.5 for x in v],
    "row": lambda v, s: [(x + 0.5) * s[1] - 0.5 for x in v],
    "column_from_1": lambda v, s: [(x - 0.5) * s[0] + 0.5 for x in v],
    "row_from_1": lambda v, s: [(x - 0.5) * s[1] + 0.5 for x in v],
}
"""Old values and the enlargement of (columns, rows) -> new values."""


def rescale_geometry(dataset: Dataset, scale: tuple[float, float]) -> str:
    """Adapt a dataset in place to an enlarged pixel grid, and drop what does not fit it.

    Args:
        dataset: the source's dataset, with its tags as they were, sizes included.
        scale: enlargement of (columns, rows).

    Returns:
        A note for the result on what a reader of it would miss, "" where nothing was lost.
    """
    work = _Rescaling(dataset, scale)
    places = Places()
    work.walk(dataset, [dataset], places.look)
    work.walk(dataset, [dataset], work.rescale)
    work.dropped |= places.move(scale)
    if not work.dropped:
        return ""
    names = " and ".join(sorted(work.dropped))
    return f"{names} of the source are left out"


@dataclass
class _Rescaling:
    """The walk through one dataset.

    Args:
        dataset: what is walked through.
        scale: enlargement of (columns, rows).
        dropped: what the result lacks.
    """

    dataset: Dataset
    scale: Scale
    dropped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._size = (int(self.dataset.Rows), int(self.dataset.Columns))
        self._uid = self.dataset.get("SOPInstanceUID")

    def walk(
        self, item: Dataset, chain: list[Dataset], visit: Callable[[Dataset, list[Dataset]], None]
    ) -> None:
        """Visit an item and those within it that describe this image's pixels.

        Args:
            item: where to begin.
            chain: the item and those around it, the nearest first.
            visit: what to do with an item and its chain.
        """
        visit(item, chain)
        for element in sequences(item):
            if element.keyword in OF_THE_PAST:
                continue
            other = _GROUPS.get(element.keyword)
            beside = list(item.get(other) or [])[:1] if other else []
            for inner in element.value or []:
                if not self._is_foreign(element.keyword, inner):
                    self.walk(inner, [inner, *beside, *chain], visit)

    def rescale(self, item: Dataset, chain: list[Dataset]) -> None:
        """Treat the attributes of one item."""
        if is_region(item):
            rescale_region(item, self.scale)
        self._drop_groups(item)
        table = rules()
        for tag in list(item.keys()):
            rule = table.get(int(tag))
            if rule is None or rule.action == KEPT:
                continue
            word = keyword_for_tag(tag)
            if rule.action == DROPPED:
                if len(chain) == 1 or not rule.is_on_top:
                    del item[tag]
                    self.dropped |= {rule.note} - {""}
            elif rule.action == SCALED and rule.how in ARITHMETIC:
                self._scale(item[tag], item, ARITHMETIC[rule.how])
            elif word in ("Rows", "Columns") and len(chain) > 1:
                item[tag].value = round(item[tag].value * self.scale[word == "Rows"])
        set_right(item)

    def _scale(self, element: DataElement, item: Dataset, arithmetic: Arithmetic) -> None:
        if element.is_empty or self._is_display(element.keyword, item):
            return
        values = [element.value] if np.ndim(element.value) == 0 else list(element.value)
        try:
            scaled = arithmetic([float(v) for v in values], self.scale)
        except ValueError:
            # It cannot be told what it meant; kept, it would now be wrong.
            del item[element.tag]
            return
        assign(item, element.keyword, scaled)

    def _is_display(self, keyword: str, item: Dataset) -> bool:
        units = [item.get(name) for name in _UNITS.get(keyword, ())]
        return "DISPLAY" in units

    def _is_foreign(self, keyword: str, item: Dataset) -> bool:
        """Tell whether an item counts other pixels than this image's."""
        sizes = (item.get("Rows", self._size[0]), item.get("Columns", self._size[1]))
        if sizes != self._size or any(word in item for word in PIXEL_KEYWORDS):
            return True
        named = item.get("ReferencedImageSequence") if keyword in PRESENTED else None
        return bool(named) and all(
            i.get("ReferencedSOPInstanceUID") != self._uid for i in named or []
        )

    def _drop_groups(self, item: Dataset) -> None:
        """Drop overlays, curves that are drawn on the image, and a shutter made of an overlay."""
        tags = list(item.keys())
        for group in {tag.group for tag in tags if tag.group in CURVES}:
            kind = item.get((group, 0x0020))
            if kind is not None and kind.value not in DRAWN_CURVES:
                tags = [tag for tag in tags if tag.group != group]
        for tag in tags:
            if tag.group in OVERLAYS or tag.group in CURVES:
                del item[tag]
                self.dropped.add("overlays" if tag.group in OVERLAYS else "curves")
        shapes = item.get("ShutterShape")
        if shapes and "BITMAP" in (names := [shapes] if isinstance(shapes, str) else list(shapes)):
            item.ShutterShape = [name for name in names if name != "BITMAP"]
            if not item.ShutterShape:
                del item.ShutterShape


def assign(item: Dataset, keyword: str, values: list[float]) -> None:
    """Give an attribute numbers in its own representation; it goes where they do not fit.

    Args:
        item: holds the attribute.
        keyword: its name.
        values: the numbers.
    """
    element = item[keyword]
    if element.VR in _INTEGERS:
        whole = [round(v) for v in values]
        if max(map(abs, whole), default=0) > _LARGEST.get(element.VR, 2**63):
            del item[keyword]
            return
        element.value = whole[0] if len(whole) == 1 else whole
    else:
        made = [format_ds(v) for v in values] if element.VR == "DS" else values
        element.value = made[0] if len(made) == 1 else made


def is_region(item: Dataset) -> bool:
    """Tell whether an item describes a region."""
    return any(word in item for word in _MARKS)


def rescale_region(region: Dataset, scale: tuple[float, float]) -> None:
    """Enlarge one region in place; its coordinates count from 0, the reference is a center.

    Args:
        region: item of the sequence.
        scale: enlargement of (columns, rows).
    """
    for letter, factor in zip("XY", scale, strict=True):
        low, high = f"RegionLocationMin{letter}0", f"RegionLocationMax{letter}1"
        if low in region and high in region:
            region[low].value = round(region[low].value * factor)
            region[high].value = round((region[high].value + 1) * factor) - 1
        delta = float(region.get(f"PhysicalDelta{letter}") or 0)
        reference = region.get(f"ReferencePixel{letter}0")
        if reference is not None:
            moved = round(reference * factor)
            # The pixel moves to whole coordinates; the value it stands for takes up the rest.
            rest = ((moved + 0.5) / factor - 0.5 - reference) * delta
            value = float(region.get(f"ReferencePixelPhysicalValue{letter}") or 0)
            setattr(region, f"ReferencePixel{letter}0", moved)
            setattr(region, f"ReferencePixelPhysicalValue{letter}", value + rest)
        if delta:
            setattr(region, f"PhysicalDelta{letter}", delta / factor)
