"""Says what the values of an image mean: the one question before anything is enlarged.

Gray values and colors may be interpolated. Between the codes of two classes or two bit masks lies
nothing, a phase jumps where it wraps, and doses, complex parts and shares of a voxel obey laws that
a network trained on pictures does not know. Names: BIDS 1.10 (dseg, probseg, part-phase), Sen2Cor
(SCL), Landsat Collection 2 (QA_PIXEL); NIfTI intent codes; DICOM PS3.3 C.7.6.16.2 and C.8.20.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError, OptionError, get_logger
from monai_sr.formats.facts import Facts
from monai_sr.formats.regions import LIKELY, SURE, region_share

logger = get_logger(__name__)

GRAY, COLOR, LABEL, BITS, PHASE = "gray", "color", "label", "bits", "phase"
DOSE, COMPLEX, FRACTION, NO_SAMPLES = "dose", "complex", "fraction", "no samples"
VECTOR, MOSAIC = "unit vector", "color mosaic"
CODES = (LABEL, BITS)
"""Kinds whose values are names, not amounts."""

AUTO, INTENSITY = "auto", "intensity"
ASKED = (AUTO, INTENSITY, LABEL, BITS, PHASE)
"""What a user may say: by the file, gray or color, or one of the others."""

_SEQUENCES = ("", "_FFE", "_SE", "_IR", "_PCA")  # Philips
PHASE_TYPES = frozenset({"PHASE", "PHASE MAP", "VELOCITY MAP"} | {f"P{s}" for s in _SEQUENCES})
PART_TYPES = frozenset({"REAL", "IMAGINARY"} | {f"{p}{s}" for p in "RI" for s in _SEQUENCES})
MAGNITUDE_TYPES = frozenset({"MAGNITUDE"} | {f"M{s}" for s in _SEQUENCES})
"""What ImageType says of phases, of parts of a complex image of MR, and of its magnitude."""

_REFUSED = {
    DOSE: "a radiation dose, whose sums a network does not keep",
    COMPLEX: "a part of a complex image; take its magnitude",
    NO_SAMPLES: "coefficients of a transform, or points or indices of a mesh",
    VECTOR: "unit vectors or rotations, whose length and sign a network does not keep",
    MOSAIC: "raw data of a camera, whose neighbors are other colors; develop it to RGB first",
    FRACTION: "shares of a class in each pixel, which a network does not keep within 0 to 1",
}
_HOW = {
    LABEL: "nearest neighbor",
    BITS: "nearest neighbor",
    PHASE: "the network, as cosine and sine",
}
_MOST_CODES = 32  # without a name that says so; CORINE has 44, land cover of the world 11
_MOST_NAMED = 64
_LEAST_PIXELS = 64
_FLAT = 0.8  # share of neighbors that are equal: classes lie in patches, pictures vary
_FLAT_NAMED = 0.6
_FEW = 5  # more values than this are levels of gray where neighbors differ by one step
_STEPWISE = 0.75

_WORD = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
_BIT_NAMES = re.compile(
    _WORD.format(
        r"qa_?pixel|pixel_?qa|qa_?radsat|radsat_?qa|sr_?qa_?aerosol|sr_?aerosol|sr_?cloud_?qa|"
        r"cloud_?qa|qa[126]0|bqa|fmask|state_?(?:1km|500m)|qc_?(?:day|night|\d+m|b\d+)|qc|"
        r"detailed_?qa|summary_?qa|quality_?flags?|bit_?mask|flags|vi_?quality|"
        r"pixel_?reliability|(?:mandatory|data)_?quality(?:_?band\d)?"
    )
)
_LABEL_NAMES = re.compile(
    _WORD.format(
        r"scl|dseg|(?:\w*-)?a?seg|segm?|aparc|labels?|labelmap|[a-z]*masks?|segmentations?|"
        r"class(?:es|ification|ified)?|[a-z]*land_?cover|land_?use|lulc|lccs|worldcover|"
        r"world_?cover|corine|u?\d*clc\d*|nlcd|cdl|cfmask|msk_?(?:classi|detfoo)\w*|"
        r"lc_?type\d?|dynamic_?world|ground_?truth|udm[12]?"
    )
)
_COMPLEX_NAMES = re.compile(_WORD.format("part-(?:real|imag)"))
_FRACTION_NAMES = re.compile(_WORD.format("probseg"))
_PHASE_NAMES = re.compile(_WORD.format(r"part-phase|phasediff|phase[12]"))
_PHASE_WORD = re.compile(_WORD.format(r"phase|pha?"))  # the values must agree: soils have a pH, too
_UNWRAPPED = re.compile(_WORD.format(r"unw|unwrapped|unwrap"))
# In real units: radians, thousandths of them (GE), degrees, hundredths of them (Landsat).
_TURNS = (2 * math.pi, 2000 * math.pi, 360.0, 36000.0)
# Of axes without a sense, such as those of fibers and strata: where values jump by it alone, for
# other phases may span no more than this.
_HALF_TURNS = (math.pi, 180.0)
_SEEN_ALIKE = 0.05
# Siemens: 12 bits, with a slope of 2 or without; all of 16 bits.
_CODED_TURNS = (4096.0, 8192.0, 65536.0)
_TURN_SEEN = (0.9, 1.005)  # share of a turn that a phase image spans


@dataclass(frozen=True)
class Meaning:
    """What values are, and why that is thought.

    Attributes:
        kind: one of the kinds of this module.
        reason: a few words for the log.
        bands: numbers from 0 of the bands that are codes, where others are not.
        turn: of phases the stored values where one turn begins and ends, if that is known.
    """

    kind: str
    reason: str
    bands: tuple[int, ...] = ()
    turn: tuple[float, float] | None = None


AS_IT_IS = Meaning(GRAY, "by default")
AS_ASKED = "as asked"
"""Reason of a meaning that the user named."""


def decided(asked: str, found: Meaning | None, name: object, is_rgb: bool = False) -> Meaning:
    """Answer the question: what a user says, else what a file declares, else gray or color.

    Args:
        asked: one of ``ASKED``.
        found: what the reader found out; None where nothing speaks against gray or color.
        name: the file for messages.
        is_rgb: whether the bands are colors.

    Raises:
        BadImageError: the values are none that can be enlarged, and nobody said otherwise.
    """
    plain = Meaning(COLOR if is_rgb else GRAY, AS_ASKED if asked == INTENSITY else "by default")
    if asked == INTENSITY:
        return plain
    if asked != AUTO:
        return Meaning(asked, AS_ASKED)
    if found is not None and found.kind in _REFUSED:
        raise BadImageError(
            f"{name}: must hold values that can be enlarged, got {_REFUSED[found.kind]} "
            f"({found.reason}); leave it out, or add --kind intensity to enlarge it as gray values"
        )
    if found is not None and found.kind == GRAY:
        return Meaning(plain.kind, found.reason, found.bands)
    return found or plain


def check_asked(kind: str) -> None:
    """Check what a user says.

    Raises:
        OptionError: it is none of ``ASKED``.
    """
    if kind not in ASKED:
        raise OptionError(f"kind: must be {', '.join(ASKED)}, got {kind!r}; leave --kind out")


def kind_of(meta: Mapping[str, Any] | None) -> str:
    """Return what the metadata of an image, or of a batch of them, say; gray where nothing.

    Raises:
        OptionError: if the images of a batch differ.
    """
    found = np.unique(Facts(meta).kind.astype(str))
    if len(found) > 1:
        raise OptionError(f"batch: its images must share their kind, got {found}; use batch_size 1")
    return (str(found[0]) if found.size else "") or GRAY


def announce(name: object, meta: Mapping[str, Any]) -> None:
    """Say in the log what is no gray value or color, how it is enlarged, and how to object.

    Where intervals of uncertainty are asked for, also what they were, or were not, fitted on.

    Args:
        name: what the log calls the image.
        meta: of the image.
    """
    kind, bands = kind_of(meta), Facts(meta).code_bands
    if told := " ".join(filter(None, (Facts(meta).unusual, Facts(meta).interval))):
        logger.warning("%s: uncertainty: %s", name, told)
    elif basis := Facts(meta).basis:
        logger.info("%s: uncertainty: the interval was %s", name, basis)
    if kind not in _HOW and not bands.size:
        return
    logger.info(
        "%s: %s%s (%s): enlarged by %s; --kind intensity enlarges it as a picture",
        name, kind, " with codes" if bands.size else "",
        Facts(meta).kind_reason, _HOW.get(kind, "the network, codes by nearest neighbor"),
    )  # fmt: skip


class Tally:
    """Counts the values of an image part by part, as far as they may be codes.

    Args:
        nodata: a value that does not count; NaN does not, either.
    """

    def __init__(self, nodata: float | None = None) -> None:
        self.values: set[float] = set()
        self.are_whole = True
        self._nodata = nodata
        self._pixels = 0
        self._pairs: Counter[int] = Counter()  # neighbors along each axis
        self._equal: Counter[int] = Counter()
        self._steps: Counter[tuple[float, float]] = Counter()

    def add(self, part: npt.NDArray[Any], *, is_named: bool) -> bool:
        """Count a part (X, Y[, Z]); tell whether it is worth while to count on."""
        valid = np.ones(part.shape, dtype=bool) if part.dtype.kind != "f" else np.isfinite(part)
        if self._nodata is not None:
            valid &= part != self._nodata
        known = np.unique(part[valid])
        self.values.update(known.tolist())
        self.are_whole &= not bool((known != np.rint(known)).any())
        if len(self.values) > _MOST_CODES and not (is_named and self.are_whole):
            return False
        self._pixels += int(valid.sum())
        for axis in range(part.ndim):
            values, counted = np.moveaxis(part, axis, 0), np.moveaxis(valid, axis, 0)
            both = counted[1:] & counted[:-1]
            differ = both & (values[1:] != values[:-1])
            self._pairs[axis] += int(both.sum())
            self._equal[axis] += int(both.sum()) - int(differ.sum())
            pairs = np.sort(np.stack([values[1:][differ], values[:-1][differ]]), axis=0)
            steps, counts = np.unique(pairs, axis=1, return_counts=True)
            self._steps.update(
                {(a, b): int(n) for (a, b), n in zip(steps.T.tolist(), counts, strict=True)}
            )
        return True

    @property
    def flat(self) -> float:
        """Share of neighbors that are equal, of volumes along their two flattest axes.

        Slices may be thick, so that neighbors in two of them are far from each other.
        """
        axes = sorted((a for a, n in self._pairs.items() if n), key=self._share, reverse=True)[:2]
        pairs = sum(self._pairs[axis] for axis in axes)
        return sum(self._equal[axis] for axis in axes) / pairs if pairs else 0.0

    def _share(self, axis: int) -> float:
        return self._equal[axis] / self._pairs[axis]

    @property
    def stepwise(self) -> float:
        """Share of unequal neighbors that are one step apart, as levels of gray and height are."""
        rank = {value: i for i, value in enumerate(sorted(self.values))}
        near = sum(n for (a, b), n in self._steps.items() if rank[b] - rank[a] == 1)
        return near / max(self._steps.total(), 1)

    def are_codes(self, *, is_named: bool) -> bool:
        """Tell whether these are few values in patches; a name that says so is half the proof."""
        if is_named and self.are_whole:
            return len(self.values) <= _MOST_NAMED or self.flat >= _FLAT_NAMED
        count = len(self.values)
        is_few = 2 <= count <= _MOST_CODES and self._pixels >= _LEAST_PIXELS
        has_levels = count > _FEW and self.stepwise > _STEPWISE
        return is_few and self.flat >= _FLAT and not has_levels


def by_name(name: str) -> Meaning | None:
    """Return what the name of a file or band says; whether it is true, its values must tell."""
    text = name.lower()
    for kind, pattern in (
        (FRACTION, _FRACTION_NAMES),
        (COMPLEX, _COMPLEX_NAMES),
        (BITS, _BIT_NAMES),
        (PHASE, _PHASE_NAMES),
        (LABEL, _LABEL_NAMES),
        (PHASE, _PHASE_WORD),
    ):
        match = pattern.search(text)
        if match and not (kind == PHASE and _UNWRAPPED.search(text)):
            return Meaning(kind, f"named {match.group()!r}")
    return None


def is_sure_phase(name: str) -> bool:
    """Tell whether a name says phase in the words of BIDS; a contrast phase is another thing."""
    return bool(_PHASE_NAMES.search(name.lower()))


def few_values(tally: Tally) -> Meaning | None:
    """Return what the values alone say."""
    if not tally.are_codes(is_named=False):
        return None
    whole = "whole " if tally.are_whole else ""
    return Meaning(LABEL, f"{len(tally.values)} {whole}values in patches")


def packed(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return one number for each color.

    Shape: (3, ...) of bytes, red, green and blue -> (...).
    """
    red, green, blue = image[:3].astype(np.int32)
    codes: npt.NDArray[np.int32] = (red << 16) + (green << 8) + blue
    return codes


def few_colors(images: Iterable[npt.NDArray[Any]]) -> Meaning | None:
    """Return what few colors in patches say: those of classes, between which there is nothing.

    Shape: (3, ...) of bytes each, red, green and blue.
    """
    tally = Tally()
    for image in images:
        if image.dtype != np.uint8:
            return None
        if not tally.add(packed(image), is_named=False):
            return None
    found = tally.are_codes(is_named=False)
    return Meaning(LABEL, f"{len(tally.values)} colors in patches") if found else None


def many_values(
    name: object,
    images: Iterable[npt.NDArray[Any]],
    *,
    named: Meaning | None = None,
    nodata: float | None = None,
) -> Meaning | None:
    """Return what the regions say that values form, where these are too many to say it themselves.

    Args:
        name: the file for a warning where that stays open.
        images: one or more, (X, Y[, Z]) each.
        named: what a name says, which is half the proof for any number of values.
        nodata: a value that does not count.
    """
    most, least = 0, 1.0
    for image in images:
        count, share = region_share(image, nodata)
        if count == 1:
            continue
        if share < LIKELY:
            return None
        most, least = max(most, count), min(least, share)
    if named is not None and most:
        return named
    if most <= _MOST_CODES:
        return None
    if least >= SURE:
        return Meaning(LABEL, f"{most} whole values in patches")
    warn_of_labels(name, most)
    return None


def warn_of_labels(name: object, count: int) -> None:
    """Say that values look like labels and are enlarged as a picture.

    Args:
        name: what the log calls the image.
        count: number of the values.
    """
    logger.warning(
        "%s: its %d whole values may be labels, but are enlarged as a picture; add --kind label to "
        "keep them, or --kind intensity", name, count,
    )  # fmt: skip


def phase_turn(
    low: float,
    high: float,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    storable: tuple[float, float] = (-math.inf, math.inf),
    is_sure: bool = True,
    seen: float = math.nan,
) -> tuple[float, float] | None:
    """Return the stored values of the begin and the end of one turn; None where they stay open.

    Args:
        low: smallest stored value.
        high: largest one.
        slope: of real values.
        intercept: of real values.
        storable: smallest and largest value that the file can hold.
        is_sure: whether the values are known to be phases.
        seen: stored turn after which they begin anew, where that was seen.

    Example:
        >>> phase_turn(2, 4095, slope=2, intercept=-4096, storable=(0, 4095))
        (0.0, 4096.0)
    """
    first, last = sorted((low * slope + intercept, high * slope + intercept))
    shown = [t for t in _HALF_TURNS if math.isclose(seen * abs(slope), t, rel_tol=_SEEN_ALIKE)]
    for turn in (*_TURNS, *(_CODED_TURNS if is_sure else ()), *shown):
        begin = -turn / 2 if first < 0 else 0.0
        slack = (_TURN_SEEN[1] - 1) * turn
        is_inside = begin - slack <= first and last <= begin + turn + slack
        if is_inside and last - first >= _TURN_SEEN[0] * turn:
            ends = sorted(((begin - intercept) / slope, (begin + turn - intercept) / slope))
            slack = (_TURN_SEEN[1] - 1) * (ends[1] - ends[0])
            # Velocities of +-165 cm/s are no degrees: a file holds a whole turn.
            if storable[0] - slack <= ends[0] and ends[1] <= storable[1] + 1 + slack:
                return ends[0], ends[1]
    width = storable[1] - storable[0] + 1
    if is_sure and math.isfinite(width) and high - low >= _TURN_SEEN[0] * width:
        return storable[0], storable[0] + width
    return None
