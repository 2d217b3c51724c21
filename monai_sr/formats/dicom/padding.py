"""Finds padding in DICOM images: pixels that a scanner or a program filled in.

DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding Value and Range Limit) and C.7.6.24 (their float forms).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from monai_sr.formats.dicom.pixels import StoredPixels


def padding_range(dataset: Dataset, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Return the least and greatest stored value that is padding, both included.

    Writers that know only unsigned numbers declare -2000 as 63536; such values are wrapped into
    the type of the pixels.

    Args:
        dataset: an object with an image pixel module.
        dtype: of its stored values.

    Returns:
        Two equal values without a range limit; None for colors, and where no padding is declared
        or the pixels cannot hold it.
    """
    if int(dataset.SamplesPerPixel) > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR":
        return None
    kind = next((k for k in ("DoubleFloat", "Float") if f"{k}PixelData" in dataset), "")
    value = _fitting(dataset.get(f"{kind}PixelPaddingValue"), dtype)
    limit = _fitting(dataset.get(f"{kind}PixelPaddingRangeLimit"), dtype)
    if value is None:
        return None
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def is_padding(values: NDArray[Any], padding: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Tell which stored values are padding.

    Shape: any -> the same.

    Args:
        values: stored values.
        padding: what ``padding_range`` returned.

    Returns:
        True for padding.
    """
    if padding is None:
        return np.zeros(values.shape, dtype=bool)
    inside: NDArray[np.bool_] = (values >= padding[0]) & (values <= padding[1])
    return inside


def padding_facts(slices: Sequence[StoredPixels]) -> tuple[float, NDArray[np.bool_] | None]:
    """State the padding of an image by one value, or else pixel by pixel.

    Args:
        slices: the files of an image, in slice order.

    Returns:
        The value where one serves all slices, else nan; and a mask (N, H, W, 1), False
        for padding, where there is some that no shared value tells of.
    """
    ranges = {s.padding for s in slices}
    shared = next(iter(ranges)) if len(ranges) == 1 else None
    if shared is not None and shared[0] == shared[1]:
        return shared[0], None
    if ranges == {None}:
        return np.nan, None
    masks = [~is_padding(s.frames, s.padding) for s in slices]
    is_whole = all(mask.all() for mask in masks)
    return np.nan, None if is_whole else np.concatenate(masks)


def _fitting(value: Any, dtype: np.dtype[Any]) -> float | None:
    """Return a declared number as one of the pixels' type, None where there is no such."""
    if value is None or np.size(value) != 1:
        return None
    number = float(value)
    if dtype.kind == "f":
        return number
    limits, turn = np.iinfo(dtype), 2.0 ** (8 * dtype.itemsize)
    wrapped = (number, number - turn, number + turn)
    return next((v for v in wrapped if limits.min <= v <= limits.max), None)
