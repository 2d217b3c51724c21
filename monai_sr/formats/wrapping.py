"""Finds quantities on a circle by their values: phases, directions, hues, longitudes.

Such a field runs smoothly up to the end of its turn, jumps back by nearly all of it between two
neighbors, and goes on with the same slope. Edges of pictures do not: what lies beside them is flat,
or blurred towards the other side.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import get_logger
from monai_sr.formats.meaning import PHASE, Meaning

logger = get_logger(__name__)

Ends = tuple[float, float] | None

_JUMP, _LARGE = 0.75, 0.5  # shares of the range
_LEAST_JUMPS, _LEAST_SHARE = 12, 5e-4
_RARE = 0.5  # steps between _LARGE and _JUMP, for each jump
_GOES_ON = 0.7  # share of jumps before and after which values go on in the same direction
_SPREAD = 0.03  # of the turn that jumps complete, as a share of it
_BACKGROUND = 0.1
_MOST_PX = 2**22
_MOST_VOLUMES = 32
_SLICES = 8  # of a volume that are looked at, or a few more


def turn_of(images: Sequence[npt.NDArray[Any]], nodata: float | None = None) -> float | None:
    """Return the turn after which values begin anew, None where they do not.

    Args:
        images: parts of one image, or its slices, (X, Y) each.
        nodata: a value that does not count.

    Example:
        >>> rising = np.add.outer(np.arange(60.0), np.arange(60.0))
        >>> round(turn_of([rising * 7 % 360]))
        360
        >>> turn_of([rising]) is None
        True
    """
    parts = [_valued(image, nodata) for image in images]
    known = [part[np.isfinite(part)] for part in parts]
    known = [values for values in known if values.size]
    if not known:
        return None
    low, high = min(v.min() for v in known), max(v.max() for v in known)
    pairs = sum(values.size for values in known)
    span = float(high - low)
    if not span > 0:
        return None
    # Where whole numbers rise slowly along one axis, they stay the same beside most jumps.
    turns = (_along([p.T if axis else p for p in parts], span, pairs) for axis in range(2))
    return next((turn for turn in turns if turn is not None), None)


def _along(parts: Sequence[npt.NDArray[Any]], span: float, pairs: int) -> float | None:
    """Return the turn that jumps along the first axis complete."""
    steps = [np.diff(part, axis=0) for part in parts]
    sizes = [np.abs(each) for each in steps]
    completed = [_completed(d, s > _JUMP * span) for d, s in zip(steps, sizes, strict=True)]
    found = np.concatenate([each.ravel() for each in completed])
    large = sum(np.count_nonzero((s > _LARGE * span) & (s <= _JUMP * span)) for s in sizes)
    if len(found) < max(_LEAST_JUMPS, _LEAST_SHARE * pairs) or large > _RARE * len(found):
        return None
    goes_on = found[np.isfinite(found)]
    if len(goes_on) < _GOES_ON * len(found):
        return None
    turn = float(np.median(goes_on))
    return turn if float(np.median(np.abs(goes_on - turn))) <= _SPREAD * turn else None


def _completed(steps: npt.NDArray[Any], is_jump: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return for each jump the turn that it completes, NaN where values do not go on after it."""
    inner = is_jump[1:-1]
    jump = steps[1:-1][inner]
    before, after = steps[:-2][inner], steps[2:][inner]
    back = -np.sign(jump)
    before, after = before * back, after * back
    goes_on = (before > 0) & (after > 0)  # beside a code for no value it stands still
    return np.where(goes_on, np.abs(jump) + (before + after) / 2, np.nan)


def _valued(image: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.float64]:
    """Return values with NaN in place of what is none: nodata, and a background of zeros."""
    rows = max(_MOST_PX // max(image.shape[1], 1), 3)
    values: npt.NDArray[np.float64] = image[:rows].astype(np.float64)
    if nodata is not None:
        values[values == nodata] = np.nan
    if np.count_nonzero(values == 0) > _BACKGROUND * values.size:
        values[values == 0] = np.nan
    values[~np.isfinite(values)] = np.nan
    return values


def warn_of_turn(name: object, turn: float) -> None:
    """Say that values begin anew after a turn that nothing declares, and are enlarged as amounts.

    Args:
        name: what the log calls the image, or a band of it.
        turn: from :func:`turn_of`.
    """
    logger.warning(
        "%s: its values begin anew after about %.4g, as directions and phases do, and are enlarged "
        "as amounts, wrong where they jump; add --kind phase and, for one turn, --range, or --kind "
        "intensity", name, turn,
    )  # fmt: skip


def by_turn(found: float | None, ends: Callable[[float], Ends]) -> Meaning | None:
    """Return that values are phases, where a turn that they show is one that is known.

    Args:
        found: from :func:`turn_of`.
        ends: tells by the turn that was seen the stored values of the begin and the end of a known
            one; None for none.
    """
    known = None if found is None else ends(found)
    if found is None or known is None:
        return None
    if not math.isclose(found, known[1] - known[0], rel_tol=0.05):
        return None
    return Meaning(PHASE, f"values that begin anew after {found:.4g}", turn=known)


def volume_by_turn(
    name: object,
    volume: npt.NDArray[Any],
    ends: Callable[[float], Ends],
    nodata: float | None = None,
) -> Meaning | None:
    """Return what jumps between neighbors of an image say; warn where their turn is unknown.

    Shape: volume (X, Y[, ...]).

    Args:
        name: what the log calls it.
        volume: stored values.
        ends: as of :func:`by_turn`.
        nodata: a value that does not count.
    """
    found = _volume_turn(volume, nodata)
    meaning = by_turn(found, ends)
    if found is not None and meaning is None:
        warn_of_turn(name, found)
    return meaning


def volumes_by_turn(
    name: object,
    volumes: Sequence[npt.NDArray[Any]],
    ends: Callable[[npt.NDArray[Any], float], Ends],
) -> tuple[int, ...]:
    """Return which of several volumes hold phases, as beside magnitudes; warn of unknown turns.

    Shape: (X, Y[, ...]) each.

    Args:
        name: what the log calls the image.
        volumes: stored values; of more than some dozen, as are times, none is looked at.
        ends: as of :func:`by_turn`, of a volume.
    """
    found = []
    for number, volume in enumerate(volumes if len(volumes) <= _MOST_VOLUMES else ()):
        turn = _volume_turn(volume, None)
        if by_turn(turn, partial(ends, volume)) is not None:
            found.append(number)
        elif turn is not None:
            warn_of_turn(f"{name}: band {number + 1}", turn)
    return tuple(found)


def _volume_turn(volume: npt.NDArray[Any], nodata: float | None) -> float | None:
    slices = volume.reshape(*volume.shape[:2], -1)
    step = max(slices.shape[2] // _SLICES, 1)
    return turn_of([slices[..., k] for k in range(0, slices.shape[2], step)], nodata)
