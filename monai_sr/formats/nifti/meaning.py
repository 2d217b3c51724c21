"""What a NIfTI file says about the meaning of its values: header, name and the values.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (intent_code); BIDS 1.10 names files by what
they hold (dseg, mask, probseg, part-phase) and keeps ImageType in a JSON file beside.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import intent_codes

from monai_sr.formats.meaning import (
    CODES,
    COMPLEX,
    DOSE,
    FRACTION,
    GRAY,
    LABEL,
    NO_SAMPLES,
    PART_TYPES,
    PHASE,
    PHASE_TYPES,
    VECTOR,
    Meaning,
    Tally,
    by_name,
    few_colors,
    few_values,
    is_sure_phase,
    many_values,
    packed,
    phase_turn,
)
from monai_sr.formats.wrapping import volume_by_turn, volumes_by_turn

_INTENTS = {1002: "LABEL", 1003: "NEURONAMES"}  # both are indices into a list of names
# Coefficients of FSL, and points and triangles of a mesh.
_NO_SAMPLES = frozenset({1008, 1009, 2002, 2007, 2008, 2009, 2016, 2017})
_UNSIGNED = (0.0, np.inf)
# Real values that a statistic can have: of tests, distributions, and probabilities.
_NATURAL = {2: (-1.0, 1.0), 7: (0.0, 1.0), 22: (0.0, 1.0)} | dict.fromkeys(
    (4, 6, 8, 9, 10, 12, 13, 19, 20, 23, 24), _UNSIGNED
)
_QUATERNION = 1010
_LEAST_VECTORS, _UNIT, _MOST_UNIT = 64, 0.02, 0.98
# Of axes without a sense: cosine of neighbors, and share of those that lie along one line; share
# of these that point opposite ways, and how long they are.
_ALONG, _OPPOSITE, _FULL = 0.7, 0.05, 0.7
_PAIRS = (slice(1, None), slice(-1))
_ROUNDED = 1e-3
_WORD = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
_DOSE_NAMES = re.compile(
    _WORD.format(
        r"(?:rt|plan|planned|total|physical|absorbed|biological|accumulated)[_-]?dose|"
        r"dose[_-]?(?:map|grid|distribution|sum|total|gy)"
    )
)
# Of dcm2niix, and in full.
_PART_NAMES = re.compile(
    _WORD.format(r"imag|imaginary|(?:real|imag|imaginary)[_-]?part") + r"|(?<=[_-])real$"
)
# FSL's partial volumes, SPM's tissue classes, and maps of probability.
_SHARE_NAMES = re.compile(
    _WORD.format(r"pve(?:_?\d+)?|prob|probs|probmap|probabilit(?:y|ies)|tpm")
    + r"|^(?:m?w|r)?c[1-6](?=[a-z_-])|^m?w[cp][1-6](?=[a-z_-])"
)
_MOST_NAMED = 64  # values that a name makes labels, whatever their regions are
# Pictures have such names, too (a template of an atlas, an image within a region of interest).
_REGION_NAMES = re.compile(
    r"(?<![a-z0-9])(?:[a-z]*parc(?:ellations?|els?|s)?|\d*parcels?|atlas(?:es)?|rois?|regions?)"
    r"(?![a-z0-9])"
)


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
    said = _said(path, intent, channels, rescaling)
    found = said or volume_by_turn(
        path, channels[0], lambda seen: nifti_turn(channels, *rescaling, seen=seen)
    )
    if found is not None or len(channels) == 1:
        return found
    phases = volumes_by_turn(
        path, [*channels], lambda volume, seen: nifti_turn(volume[None], *rescaling, seen=seen)
    )
    names = ", ".join(str(number + 1) for number in phases)
    return Meaning(GRAY, f"phases in bands {names}", phases) if phases else None


def meaning_of_colors(path: Path, channels: npt.NDArray[Any]) -> Meaning | None:
    """Return what colors say: those of classes or regions, between which there is nothing.

    Shape: channels (3, X, Y[, Z]) or more, red, green and blue of all times one after another.

    Args:
        path: the file for a warning where that stays open.
        channels: its values.
    """
    images = np.moveaxis(channels.reshape(3, -1, *channels.shape[1:]), 1, 0)
    few = few_colors(images)
    if few is not None or channels.dtype != np.uint8:
        return few
    return many_values(path, [packed(image) for image in images])


def _said(
    path: Path, intent: int, channels: npt.NDArray[Any], rescaling: tuple[float, float]
) -> Meaning | None:
    """Return what header, name and regions say."""
    if intent in _INTENTS:
        return Meaning(LABEL, f"intent {_INTENTS[intent]}")
    if intent in _NO_SAMPLES:
        return Meaning(NO_SAMPLES, f"intent {intent_codes.label[intent].strip()}")
    for known, kind in ((PHASE_TYPES, PHASE), (PART_TYPES, COMPLEX)):
        if known & _image_types(path):
            return Meaning(kind, "ImageType of its JSON")
    if intent == _QUATERNION or _are_unit_vectors(channels):
        return Meaning(VECTOR, "all of length 1" if intent != _QUATERNION else "intent Quaternion")
    if _are_axes(channels):
        return Meaning(VECTOR, "neighbors point opposite ways, as axes of fibers do")
    stem = _stem(path)
    if refused := _refused_by_name(stem, channels, rescaling):
        return refused
    return _by_name_and_values(path, stem, channels, rescaling)


def _by_name_and_values(
    path: Path, stem: str, channels: npt.NDArray[Any], rescaling: tuple[float, float]
) -> Meaning | None:
    named = by_name(stem)
    if named is not None and named.kind == PHASE:
        is_sure = is_sure_phase(stem)
        return named if is_sure or nifti_turn(channels, *rescaling, is_sure=False) else None
    if named is not None and named.kind in (FRACTION, COMPLEX):
        return named
    tally = Tally()
    goes_on = all(tally.add(volume, is_named=named is not None) for volume in channels)
    if named is None:
        few = few_values(tally) if goes_on else None
        return few or many_values(path, channels, named=_regions_by_name(stem))
    is_few = goes_on and few_values(tally) is not None
    if is_few or (tally.are_whole and len(tally.values) <= _MOST_NAMED):
        return named
    if many_values(path, channels, named=named):
        return named
    low, high = float(channels.min()), float(channels.max())
    is_share = named.kind in CODES and not tally.are_whole and low >= 0 and high <= 1
    return Meaning(FRACTION, named.reason) if is_share else None


def _are_unit_vectors(channels: npt.NDArray[Any]) -> bool:
    """Tell whether components, three by three, are those of directions, as of fibers.

    A direction and its negative are the same fiber: their mean is nothing.
    """
    if len(channels) % 3 or channels.dtype.kind != "f":
        return False
    return all(_is_unit_vector(channels[i : i + 3]) for i in range(0, len(channels), 3))


def _are_axes(channels: npt.NDArray[Any]) -> bool:
    """Tell whether the first of components, three by three, are those of axes without a sense.

    Neighbors lie along one line and often point opposite ways at full length. Those of a field
    do so where it passes through zero, and noise lies along no line.
    """
    if len(channels) % 3 or channels.dtype.kind != "f":
        return False
    vectors = channels[:3].astype(np.float64)
    length = np.linalg.norm(vectors, axis=0)
    is_known = (length > 0) & np.isfinite(length)
    if np.count_nonzero(is_known) < _LEAST_VECTORS:
        return False
    cosines, shorter = [], []
    for axis in range(length.ndim):
        ahead, behind = (np.moveaxis(vectors, axis + 1, 1)[:, part] for part in _PAIRS)
        long, other = (np.moveaxis(length, axis, 0)[part] for part in _PAIRS)
        known, beside = (np.moveaxis(is_known, axis, 0)[part] for part in _PAIRS)
        both = known & beside
        cosines.append((ahead * behind).sum(axis=0)[both] / (long * other)[both])
        shorter.append(np.minimum(long, other)[both])
    cosine, least = np.concatenate(cosines), np.concatenate(shorter)
    is_along, is_opposite = np.abs(cosine) > _ALONG, cosine < -_ALONG
    opposite = np.count_nonzero(is_opposite)
    if not opposite or opposite < _OPPOSITE * np.count_nonzero(is_along):
        return False
    is_full = np.median(least[is_opposite]) >= _FULL * np.median(length[is_known])
    return bool(np.mean(is_along) >= _ALONG and is_full)


def _is_unit_vector(components: npt.NDArray[Any]) -> bool:
    """Tell whether three components are those of directions; zeros are none."""
    length = np.linalg.norm(components.astype(np.float64), axis=0)
    known = length[(length > 0) & np.isfinite(length)]
    if known.size < _LEAST_VECTORS or np.mean(np.abs(known - 1) < _UNIT) < _MOST_UNIT:
        return False
    return bool(np.ptp(components[np.isfinite(components)]) > _UNIT)


def _refused_by_name(
    stem: str, channels: npt.NDArray[Any], rescaling: tuple[float, float]
) -> Meaning | None:
    """Return doses, shares of tissue and complex parts by names of usual programs."""
    if match := _DOSE_NAMES.search(stem):
        return Meaning(DOSE, f"named {match.group()!r}")
    low, high = float(np.nanmin(channels)), float(np.nanmax(channels))
    match = _PART_NAMES.search(stem)
    if match and low < 0:
        return Meaning(COMPLEX, f"named {match.group()!r}")
    slope, intercept = rescaling
    first, last = sorted((low * slope + intercept, high * slope + intercept))
    match = _SHARE_NAMES.search(stem)
    if match and first >= -_ROUNDED and 0 < last <= 1 + _ROUNDED and not _is_mask(channels):
        return Meaning(FRACTION, f"named {match.group()!r}")
    return None


def _is_mask(channels: npt.NDArray[Any]) -> bool:
    return bool(((channels == channels.min()) | (channels == channels.max())).all())


def natural_bounds(
    intent: int, channels: int, rescaling: tuple[float, float]
) -> npt.NDArray[np.float64] | None:
    """Return the stored values that an intent allows: (C, 2), maybe infinite; None for all.

    Args:
        intent: intent_code: 2 correlation, 22 p-value, 4 F, ...
        channels: number of them.
        rescaling: slope and intercept of real values.
    """
    if intent not in _NATURAL:
        return None
    slope, intercept = rescaling
    return np.tile(np.sort((np.array(_NATURAL[intent]) - intercept) / slope), (channels, 1))


def nifti_turn(
    channels: npt.NDArray[Any],
    slope: float = 1.0,
    intercept: float = 0.0,
    *,
    is_sure: bool = True,
    seen: float = math.nan,
) -> tuple[float, float] | None:
    """Return the stored values of one turn of phase, None where they stay open."""
    values = channels[np.isfinite(channels)] if channels.dtype.kind == "f" else channels
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    return phase_turn(low, high, slope=slope, intercept=intercept, is_sure=is_sure, seen=seen)


def _regions_by_name(stem: str) -> Meaning | None:
    match = _REGION_NAMES.search(stem)
    return Meaning(LABEL, f"named {match.group()!r}") if match else None


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
