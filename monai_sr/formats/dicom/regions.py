"""Enlarges the regions of ultrasound images (DICOM PS3.3 C.8.5.5)."""

from pydicom.dataset import Dataset

_MARKS = (
    "RegionLocationMinX0", "RegionLocationMinY0", "ReferencePixelX0", "ReferencePixelY0",
    "PhysicalDeltaX", "PhysicalDeltaY",
)  # fmt: skip


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
