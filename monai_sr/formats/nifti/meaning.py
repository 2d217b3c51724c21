"""What a NIfTI file says about the meaning of its values: header, name and the values.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (intent_code); BIDS 1.10 names files by what
they hold (dseg, mask, probseg, part-phase) and keeps ImageType
in a JSON file beside.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.formats.meaning import (
    CODES,
    FRACTION,
    LABEL,
    PHASE,
    Meaning,
    Tally,
    by_name,
    few_values,
    is_sure_phase,
    phase_turn,
)

_INTENT_LABEL = 1002
_PHASE_TYPES = frozenset({"P", "PHASE"})


def nifti_meaning(
    path: Path, intent: int, channels: npt.NDArray[Any], rescaling: tuple[float, float]
) -> Meaning | None:
    """Return what a file says; None where nothing speaks against gray values.

    Shape: channels (C, X, Y[, Z]) as stored.

    Args:
        path: the file.
        intent: its intent_code.
        channels: its values.
        rescaling: slope and intercept of real values.
    """
    if intent == _INTENT_LABEL:
        return Meaning(LABEL, "intent LABEL")
    if _PHASE_TYPES & _image_types(path):
        return Meaning(PHASE, "ImageType of its JSON")
    stem = _stem(path)
    named = by_name(stem)
    if named is not None and named.kind == PHASE:
        is_sure = is_sure_phase(stem)
        return named if is_sure or nifti_turn(channels, *rescaling, is_sure=False) else None
    if named is not None and named.kind == FRACTION:
        return named
    tally = Tally()
    goes_on = all(tally.add(volume, is_named=named is not None) for volume in channels)
    if named is None:
        return few_values(tally) if goes_on else None
    if tally.are_codes(is_named=True):
        return named
    low, high = float(channels.min()), float(channels.max())
    is_share = named.kind in CODES and not tally.are_whole and low >= 0 and high <= 1
    return Meaning(FRACTION, named.reason) if is_share else None


def nifti_turn(
    channels: npt.NDArray[Any], slope: float = 1.0, intercept: float = 0.0, *, is_sure: bool = True
) -> tuple[float, float] | None:
    """Return the stored values of one turn of phase, None where they stay open."""
    values = channels[np.isfinite(channels)] if channels.dtype.kind == "f" else channels
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    return phase_turn(low, high, slope=slope, intercept=intercept, is_sure=is_sure)


def _stem(path: Path) -> str:
    name = path.name.lower()
    for suffix in (".gz", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".zarr", ".ome"):
        name = name.removesuffix(suffix)
    return name


def _image_types(path: Path) -> set[str]:
    """Read ImageType from the JSON file that BIDS keeps beside an image."""
    beside = path.with_name(f"{path.name[: len(_stem(path))]}.json")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    types = content.get("ImageType") if isinstance(content, dict) else None
    return {str(value).upper() for value in types} if isinstance(types, list) else set()
