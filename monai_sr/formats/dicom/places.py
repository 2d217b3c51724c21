"""Moves the center of the first pixel of an enlarged DICOM image, wherever the file states it.

DICOM PS3.3 C.7.6.2.1.1 (patient), C.8.24.6 (ultrasound volume), C.8.12.4 (slides), C.8.8.2
(radiotherapy images). Every place is computed from the old tags before any of them changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.files import format_ds
from monai_sr.geometry import Plane, orthonormal, pixel_spacing

_SPACES = {"ImagePositionPatient": "Patient", "ImagePositionVolume": "Volume", "ImagePosition": ""}
_SLIDE = tuple(f"{axis}OffsetInSlideCoordinateSystem" for axis in "XYZ")
# Of a slide's image they are those of the first pixel in these alone (C.8.12.4, C.8.12.6).
_SLIDE_SEQUENCES = ("TotalPixelMatrixOriginSequence", "PlanePositionSlideSequence")
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # of a radiotherapy image, where it states none
# Direction cosines with seven decimals or more are as exact as positions are.
_ROUNDED = 1e-6


@dataclass
class Places:
    """The places that one dataset states, with the planes that they belong to."""

    _found: list[tuple[Dataset, tuple[str, ...], Plane | None]] = field(default_factory=list)

    def look(self, item: Dataset, chain: list[Dataset]) -> None:
        """Remember the places of one item.

        Args:
            item: any item.
            chain: the item and those around it, the nearest first.
        """
        for keyword, space in _SPACES.items():
            if not _is_empty(item, keyword):
                plane = _plane(item[keyword].value, _cosines(chain, space), chain)
                self._found.append((item, (keyword,), plane))
        if not _is_empty(item, "RTImagePosition"):
            place = [*item.RTImagePosition, 0]
            cosines = _stated(chain, "RTImageOrientation")
            plane = _plane(place, cosines or _UPRIGHT, chain)
            self._found.append((item, ("RTImagePosition",), plane))
        if len(chain) > 1 and any(_holds(c, item) for c in chain[1:]):
            place = [item.get(word) or 0 for word in _SLIDE]
            plane = _plane(place, _stated(chain, "ImageOrientationSlide"), chain)
            self._found.append((item, tuple(w for w in _SLIDE if w in item), plane))

    def move(self, scale: tuple[float, float]) -> set[str]:
        """Write the new places; one without a plane goes, for it would now be wrong.

        Args:
            scale: enlargement of (columns, rows).

        Returns:
            What went.
        """
        lost: set[str] = set()
        for item, keywords, plane in self._found:
            if plane is None:
                for keyword in keywords:
                    del item[keyword]
                lost |= {"positions without directions and pixel spacing"} if keywords else set()
                continue
            moved = [float(v) for v in plane.scaled_position(scale)]
            if len(keywords) == 1 and keywords[0] not in _SLIDE:
                _set(item, keywords[0], moved[: len(item[keywords[0]].value)])
            else:
                for keyword, value in zip(_SLIDE, moved, strict=True):
                    if keyword in keywords:
                        _set(item, keyword, value)
        return lost


def set_right(item: Dataset) -> None:
    """Make rounded direction cosines unit vectors at right angles, in place.

    Args:
        item: any item.
    """
    for keyword in ("ImageOrientationPatient", "ImageOrientationVolume"):
        if _is_empty(item, keyword):
            continue
        values = np.array([float(v) for v in item[keyword].value])
        axes = orthonormal(values)
        if axes is not None and np.abs(np.concatenate(axes) - values).max() > _ROUNDED:
            _set(item, keyword, [float(v) for v in np.concatenate(axes)])


def _set(item: Dataset, keyword: str, values: float | list[float]) -> None:
    element = item[keyword]
    if element.VR == "DS":
        one = np.ndim(values) == 0
        made = [format_ds(float(v)) for v in np.atleast_1d(values)]
        element.value = made[0] if one else made
    else:
        element.value = values


def _is_empty(item: Dataset, keyword: str) -> bool:
    return keyword not in item or item[keyword].is_empty


def _holds(outer: Dataset, item: Dataset) -> bool:
    return any(any(inner is item for inner in outer.get(word) or []) for word in _SLIDE_SEQUENCES)


def _stated(chain: Sequence[Dataset], keyword: str) -> list[float] | None:
    """Return the nearest value of an attribute around an item."""
    for item in chain:
        if not _is_empty(item, keyword):
            return [float(v) for v in item[keyword].value]
    return None


def _cosines(chain: Sequence[Dataset], space: str) -> list[float] | None:
    """Return the nearest orientation, in an item or its functional group."""
    for item in chain:
        for holder in (item, *(item.get(f"PlaneOrientation{_macro(space)}Sequence") or [])[:1]):
            if not _is_empty(holder, f"ImageOrientation{space}"):
                return [float(v) for v in holder[f"ImageOrientation{space}"].value]
    return None


def _macro(space: str) -> str:
    return "Volume" if space == "Volume" else ""


def _plane(
    place: Sequence[float], cosines: Sequence[float] | None, chain: Sequence[Dataset]
) -> Plane | None:
    axes = None if cosines is None else orthonormal(np.asarray(cosines, dtype=np.float64))
    if axes is None or np.size(place) != 3:
        return None
    spacing = None
    for item in chain:
        measures = (item.get("PixelMeasuresSequence") or [item])[0]
        spacing = spacing or pixel_spacing(measures)
    origin = np.array([float(v) for v in place])
    return None if spacing is None else Plane(origin, *axes, spacing)
