"""Chooses the float type that holds stored values, and brings results back to integers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core.errors import OutputError
from monai_sr.core.types import PathLike

PART = 1 << 17
"""Values that are worked on at a time: few enough to stay in a processor's cache."""


def is_wide(itemsize: int, is_float: bool) -> bool:
    """Tell whether float32, with its 24 bits, cannot hold every value of a type.

    Args:
        itemsize: bytes of the type.
        is_float: whether it is a floating-point type; else an integer or bool.

    Returns:
        True for integers of more than 16 bits and for float64.
    """
    return itemsize > (4 if is_float else 2)


def exact_float(dtype: npt.DTypeLike) -> type[np.float32] | type[np.float64]:
    """Choose the float type that holds stored values exactly.

    Returns:
        float32 for integers of up to 16 bits and for float32, float64 for all wider types.
    """
    stored = np.dtype(dtype)
    return np.float64 if is_wide(stored.itemsize, stored.kind == "f") else np.float32


def to_integers(
    values: npt.NDArray[Any], dtype: npt.DTypeLike, limits: Sequence[float], name: PathLike
) -> npt.NDArray[Any]:
    """Round to the nearest integer, halves to even, and clip to what the file can hold.

    Args:
        values: floats or integers in stored units.
        dtype: integer type of the result.
        limits: smallest and largest value of the result.
        name: file named in the message.

    Returns:
        A new array of the same shape.

    Raises:
        OutputError: NaN or infinity, which no integer type holds.
    """
    # In the order of memory, whatever that of the axes is; and parts that stay in the cache.
    result: npt.NDArray[Any] = np.empty_like(values, dtype=dtype)
    source, target = values.ravel(order="K"), result.ravel(order="K")
    for begin in range(0, source.size, PART):
        part = slice(begin, begin + PART)
        target[part] = _part_to_integers(source[part], target.dtype, limits, name)
    return result


def _part_to_integers(
    values: npt.NDArray[Any], dtype: np.dtype[Any], limits: Sequence[float], name: PathLike
) -> npt.NDArray[Any]:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise OutputError(
                f"{name}: pixels must be finite to be stored as {dtype.name}, got NaN or "
                "infinity; check the weights, and map results back with the restoring transform."
            )
        inside = np.rint(values)
    else:
        inside = values.astype(np.float64)
    np.clip(inside, *map(float, limits), out=inside)
    top = np.iinfo(dtype).max
    nearest = inside.dtype.type(top)
    if int(nearest) == top:
        result: npt.NDArray[Any] = inside.astype(dtype)
        return result
    # The float nearest to 2^31 - 1 or 2^63 - 1 is one too large: such values are set apart.
    overflows = inside >= nearest
    inside[overflows] = 0
    result = inside.astype(dtype)
    result[overflows] = top
    return result
