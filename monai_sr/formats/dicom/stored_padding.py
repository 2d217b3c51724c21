"""Gives an enlarged DICOM image the padding of its source, pixel by pixel.

Viewers hide what DICOM PS3.3 C.7.5.1.1.2 declares as padding: no other pixel may take its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_sr.formats.dicom.padding import is_padding
from monai_sr.geometry import covering_samples

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from monai_sr.formats.dicom.pixels import StoredPixels


def keep_padding(values: NDArray[Any], source: StoredPixels) -> NDArray[Any]:
    """Enlarge the source's padding by blocks, and move other pixels out of its range.

    Shape: values (N, H', W', 1) for a source of (N, H, W, 1) -> the same array, changed in place.

    Args:
        values: result, as stored.
        source: pixels of the file that the result derives from.

    Returns:
        ``values``.
    """
    if source.padding is None:
        return values
    _move_out(values, source.padding, source.storable)
    is_filled = is_padding(source.frames, source.padding)
    rows, columns = (
        covering_samples(small, large)
        for large, small in zip(values.shape[1:3], source.frames.shape[1:3], strict=True)
    )
    block = np.ix_(rows, columns)
    for target, mask, frame in zip(values, is_filled, source.frames, strict=True):
        if mask.any():
            np.copyto(target, frame[block], where=mask[block])
    return values


def _move_out(
    values: NDArray[Any], padding: tuple[float, float], storable: tuple[float, float]
) -> None:
    """Set values within the padding range to the nearest ones outside that can be stored."""
    low, high = padding
    if values.dtype.kind == "f":
        ends = np.asarray(padding, dtype=values.dtype)
        below, above = np.nextafter(ends, np.array([-np.inf, np.inf], dtype=values.dtype))
    else:
        below, above = low - 1, high + 1
    targets = [v for v in (below, above) if storable[0] <= v <= storable[1]]
    if not targets:
        return
    inside = is_padding(values, padding)
    if inside.any():
        is_lower = values[inside] <= (low + high) / 2
        values[inside] = np.where(is_lower, targets[0], targets[-1]).astype(values.dtype)
