"""Tells which stored values of a DICOM object are no measurement, and keeps them in a result.

DICOM PS3.3 C.7.5.1.1.2 (pixel padding), C.8.28.2 (pixel values mapped to coded concepts),
C.7.6.16.2.11 (real world value mappings of a single value).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.meaning import mapped_ranges
from monai_sr.geometry import covering_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monai_sr.formats.dicom.pixels import StoredPixels

Ranges = tuple[tuple[float, float], ...]
"""Least and greatest stored value of each, both included."""


def no_measurements(dataset: Dataset, dtype: np.dtype[Any]) -> Ranges:
    """Return the stored values that are no measurement: padding, and codes for why there is none.

    Such codes are values that a map of thickness gives a concept, such as "no data", and single
    ones that a real world value mapping gives a meaning apart from the range of the others.

    Writers that know only unsigned numbers declare -2000 as 63536; such values are wrapped into
    the type of the pixels.

    Args:
        dataset: an object with an image pixel module.
        dtype: of its stored values.

    Returns:
        Padding first; nothing for colors, and where nothing is declared that the pixels can hold.
    """
    if int(dataset.SamplesPerPixel) > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR":
        return ()
    kind = next((k for k in ("DoubleFloat", "Float") if f"{k}PixelData" in dataset), "")
    value = _fitting(dataset.get(f"{kind}PixelPaddingValue"), dtype)
    limit = _fitting(dataset.get(f"{kind}PixelPaddingRangeLimit"), dtype)
    found: list[tuple[float, float]] = []
    if value is not None:
        found.append((value, value) if limit is None else (min(value, limit), max(value, limit)))
    codes = [_fitting(code, dtype) for code in _codes(dataset)]
    found += [(code, code) for code in codes if code is not None]
    return tuple(dict.fromkeys(found))


def is_among(values: NDArray[Any], ranges: Ranges) -> NDArray[np.bool_]:
    """Tell which stored values lie in one of several ranges.

    Shape: any -> the same.

    Args:
        values: stored values.
        ranges: what ``no_measurements`` returned.
    """
    found = np.zeros(values.shape, dtype=bool)
    for low, high in ranges:
        found |= (values >= low) & (values <= high)
    return found


def padding_facts(slices: Sequence[StoredPixels]) -> tuple[float, NDArray[np.bool_] | None]:
    """State what is no measurement by one value, and pixel by pixel where that is not all.

    Args:
        slices: the files of an image, in slice order.

    Returns:
        A value of padding where one serves all slices, else nan; and a mask (N, H, W, 1), False
        for padding, where there is some that this value does not tell of.
    """
    each = {s.padding for s in slices}
    shared = next(iter(each)) if len(each) == 1 else ()
    nodata = shared[0][0] if shared else np.nan
    is_one = len(shared) == 1 and shared[0][0] == shared[0][1]
    if each == {()} or is_one:
        return nodata, None
    masks = [~is_among(s.frames, s.padding) for s in slices]
    is_whole = all(mask.all() for mask in masks)
    return nodata, None if is_whole else np.concatenate(masks)


def keep_padding(values: NDArray[Any], source: StoredPixels) -> NDArray[Any]:
    """Enlarge what is no measurement by blocks, and move other pixels out of its ranges.

    Shape: values (N, H', W', 1) for a source of (N, H, W, 1) -> the same array, changed in place.

    Args:
        values: result, as stored.
        source: pixels of the file that the result derives from.

    Returns:
        ``values``.
    """
    for ends in source.padding:
        _move_out(values, ends, source.storable)
    is_filled = is_among(source.frames, source.padding)
    rows, columns = (
        covering_samples(small, large)
        for large, small in zip(values.shape[1:3], source.frames.shape[1:3], strict=True)
    )
    block = np.ix_(rows, columns)
    for target, mask, frame in zip(values, is_filled, source.frames, strict=True):
        if mask.any():
            np.copyto(target, frame[block], where=mask[block])
    return values


def _codes(dataset: Dataset) -> list[Any]:
    """Return the stored values that stand for something else than the amounts around them."""
    items = dataset.get("PixelValueMappingToCodedConceptSequence") or []
    found = [item.get("MappedPixelValue") for item in items]
    mapped = mapped_ranges(dataset)
    spans = [(low, high) for low, high in mapped if high > low]
    if spans:
        singles = [low for low, high in mapped if low == high]
        found += [v for v in singles if not any(low <= v <= high for low, high in spans)]
    return found


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
    inside = is_among(values, (padding,))
    if inside.any():
        is_lower = values[inside] <= (low + high) / 2
        values[inside] = np.where(is_lower, targets[0], targets[-1]).astype(values.dtype)
