"""What the writers share: values as the source stores them, and the note of derivation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.utils import convert_to_numpy

from monai_sr.core.dtypes import to_integers
from monai_sr.core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from monai_sr.core.types import PathLike

DISCLAIMER = "Derived by super-resolution; not for primary diagnosis"
CODES_DISCLAIMER = "Derived by enlargement; not for primary diagnosis"
"""Of codes, which no network has seen."""
MAP_MEANING = "Half width of the 90 % interval"
"""What maps of uncertainty say that they show."""


def stored_array(data: Any, channel_dim: int | None) -> npt.NDArray[Any]:
    """Bring a tensor or array to a contiguous channel-first numpy array.

    Shape: any axis order with one channel axis, or none -> (C, X, Y[, Z]), same dtype.

    Args:
        data: numpy array, tensor or MetaTensor on any device.
        channel_dim: where the channels are; None when there is no channel axis.

    Returns:
        The array on the CPU.
    """
    array: npt.NDArray[Any] = convert_to_numpy(data)
    array = array[None] if channel_dim is None else np.moveaxis(array, channel_dim, 0)
    return np.ascontiguousarray(array)


def as_stored(
    array: npt.NDArray[Any], meta: Mapping[str, Any], filename: PathLike
) -> npt.NDArray[Any]:
    """Cast to the stored dtype; integers are rounded and clipped to what the source can hold.

    Values that a restoring transform has already rounded and clipped do not change.

    Args:
        array: values in stored units.
        meta: sample meta with ``sr_dtype`` and ``sr_storable``.
        filename: named in the message.

    Returns:
        Array of dtype ``sr_dtype``.

    Raises:
        OutputError: NaN or infinity in a result whose format stores integers.
    """
    dtype = np.dtype(str(meta["sr_dtype"]))
    if dtype.kind == "f" or array.dtype == dtype:
        return array.astype(dtype, copy=False)
    return to_integers(array, dtype, np.asarray(meta["sr_storable"]).tolist(), filename)


def in_rows(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay the rows of transposed planes one behind the other in memory.

    Shape: (N, H, W) -> the same, in C order.
    """
    result = np.empty(planes.shape, planes.dtype)
    for target, plane in zip(result, planes, strict=True):
        # It copies in blocks that fit a cache: ten times as fast as numpy.
        torch.from_numpy(target).copy_(torch.from_numpy(plane))
    return result


def source_path(meta: Mapping[str, Any] | None, expected: str, filename: PathLike) -> Path:
    """Return the file that a result derives from.

    Args:
        meta: sample meta with ``sr_format`` and ``sr_files``.
        expected: format that the writer serves.
        filename: named in the message.

    Returns:
        The first source.

    Raises:
        OutputError: the sample came from another reader, or the source is gone.
    """
    if not meta or meta.get("sr_format") != expected:
        found = (meta or {}).get("sr_format", "a sample of another reader")
        raise OutputError(
            f"{filename}: this writer needs a sample read as {expected}, got {found}; "
            "use the reader and the writer of the same format."
        )
    source = Path(json.loads(str(meta["sr_files"]))[0])
    if not source.is_file():
        raise OutputError(
            f"{filename}: its source {source.name} must still exist, got no such file; "
            "keep the inputs in place until the results are written."
        )
    return source


def provenance_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts on a result's making; empty where there are none."""
    facts: dict[str, Any] = json.loads(str(meta.get("sr_provenance") or "{}"))
    return facts


def disclaimer(provenance: Mapping[str, Any]) -> str:
    """Return what every result says of itself.

    Args:
        provenance: see :func:`provenance_of`.
    """
    return CODES_DISCLAIMER if provenance.get("resampling") else DISCLAIMER


def software(meta: Mapping[str, Any]) -> str:
    """Return name and version for a software field, "monai-sr" without provenance.

    Args:
        meta: sample meta, ``sr_provenance`` optional.

    Returns:
        For example "monai-sr 0.1.0".
    """
    facts = provenance_of(meta)
    return f"{facts.get('software', 'monai-sr')} {facts.get('version', '')}".strip()
