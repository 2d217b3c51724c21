"""Sum up what observers saw of lesions: curves with intervals.

auc
    The model observer tells places with a lesion from places without, the signal known exactly.
lost
    Share of lesions that the blob detector marks in the reference and not in the result. Lesions
    where it marks the reference without lesions, too, do not count.
invented
    Marks a megapixel of body in the result of the image without lesions, where the reference
    without lesions has none of even half the height within reach. Marks count that are higher than
    the threshold; of a contrast, those as high as that of a lesion of this contrast, in
    tissue of median intensity.
gain
    Mean AUC over all contrasts less that of bicubic, on the same images, lesions and draws.
threshold
    Contrast at which the AUC reaches 0.75, between contrasts along their logarithm; 0 where it is
    reached at the smallest already, infinite where it is not reached.

Intervals are 95 % percentiles of a bootstrap that draws images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.evaluation.detection import Floats, are_marked, count_ordered
from monai_sr.evaluation.intervals import CONFIDENCE, DRAWS
from monai_sr.evaluation.lesions import Case, LesionTest, Seen, lesion_heights

AUC_OF_THRESHOLD = 0.75
_HALF = 0.5
"""Marks of the reference that forbid to call one invented: of this share of its height."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Hold one measured figure.

    Attributes:
        figure: auc, lost, invented, gain or threshold.
        diameter: of the lesions, in small pixels.
        contrast: NaN for a figure of all of them, or of none.
        value: shares are in 0 ... 1, invented marks a megapixel.
        low: lower end of the 95 % interval.
        high: its upper end.
        count: lesions (auc, gain, threshold), lesions marked in the reference (lost) or invented
            marks.
    """

    figure: str
    diameter: float
    contrast: float
    value: float
    low: float
    high: float
    count: int


def figures(
    test: LesionTest,
    cases: Sequence[Case],
    seen: Sequence[Seen],
    *,
    thresholds: Sequence[float],
    reference: Sequence[Seen],
    base: Sequence[Seen],
) -> list[Figure]:
    """Sum up what the observers saw in all cases.

    Args:
        test: what was tested.
        cases: the images.
        seen: what was seen in a system's results.
        thresholds: of the blob detector, see :func:`monai_sr.evaluation.lesions.calibrate`.
        reference: what was seen in the references.
        base: what was seen in the results of the system that gains are over.
    """
    # The same draws for every system: their differences are not those of draws.
    count = len(cases)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    weights = np.concatenate([np.ones((1, count)), drawn])
    found = []
    for number, diameter in enumerate(test.diameters):
        lesions = [len(test.contrasts) * number + n for n in range(len(test.contrasts))]
        curve = _areas(cases, seen, weights, number, lesions)
        counts = [sum(int((case.condition == n).sum()) for case in cases) for n in lesions]
        lost = _lost(cases, (reference, seen), number, lesions)
        heights = [*lesion_heights(test, cases, number), thresholds[number]]
        *as_strong, invented = (
            _invented(test, cases, (reference, seen), number, height) for height in heights
        )
        for index, contrast in enumerate(test.contrasts):
            found.append(_figure("auc", diameter, contrast, curve[:, index], counts[index]))
            found.append(_share("lost", diameter, contrast, lost[:, index], weights))
            found.append(_share("invented", diameter, contrast, as_strong[index], weights))
        crossing = np.array([crossing_of(areas, test.contrasts) for areas in curve])
        gain = (curve - _areas(cases, base, weights, number, lesions)).mean(1)
        found += [
            _figure("threshold", diameter, math.nan, crossing, sum(counts)),
            _figure("gain", diameter, math.nan, gain, sum(counts)),
            _share("lost", diameter, math.nan, lost.sum(1), weights),
            _share("invented", diameter, math.nan, invented, weights),
        ]
    return found


def _areas(
    cases: Sequence[Case],
    seen: Sequence[Seen],
    weights: Floats,
    number: int,
    lesions: Sequence[int],
) -> Floats:
    """Return the AUC of each contrast of a diameter: (draws, contrasts)."""
    absent = [each.absent[number] for each in seen]
    without = weights @ np.array([len(scores) for scores in absent])
    curve = []
    for wanted in lesions:
        present = [
            each.present[case.condition == wanted] for case, each in zip(cases, seen, strict=True)
        ]
        pairs = np.array([[count_ordered(p, a) for a in absent] for p in present])
        sizes = np.array([len(scores) for scores in present])
        ordered = ((weights @ pairs) * weights).sum(1)
        curve.append(_ratio(ordered, (weights @ sizes) * without))
    areas: Floats = np.array(curve).T
    return areas


def crossing_of(areas: Floats, contrasts: Sequence[float]) -> float:
    """Return the contrast at which a curve of AUC reaches 0.75 first; see the module."""
    above = np.flatnonzero(np.asarray(areas) >= AUC_OF_THRESHOLD)
    if not len(above):
        return math.inf
    first = int(above[0])
    if first == 0:
        return 0.0
    low, high = areas[first - 1], areas[first]
    share = (AUC_OF_THRESHOLD - low) / (high - low)
    before, after = contrasts[first - 1], contrasts[first]
    return float(before * (after / before) ** share)


def _lost(
    cases: Sequence[Case],
    pair: tuple[Sequence[Seen], Sequence[Seen]],
    number: int,
    lesions: Sequence[int],
) -> Floats:
    """Count lesions that were lost, and those of which they are: (cases, contrasts, 2)."""
    found = []
    for case, before, after in zip(cases, *pair, strict=True):
        counts = before.is_found & ~before.is_marked[number]
        each = [counts & (case.condition == wanted) for wanted in lesions]
        found.append([[(base & ~after.is_found).sum(), base.sum()] for base in each])
    return np.array(found, dtype=np.float64)


def _invented(
    test: LesionTest,
    cases: Sequence[Case],
    pair: tuple[Sequence[Seen], Sequence[Seen]],
    number: int,
    height: float,
) -> Floats:
    """Count marks that were invented, and megapixels in which they were looked for: (cases, 2)."""
    near = test.near_px(test.radii_px[number])
    found = []
    for case, before, after in zip(cases, *pair, strict=True):
        faint = before.marks[number][before.heights[number] > _HALF * height]
        high = after.marks[number][after.heights[number] > height]
        invented = ~are_marked(high, faint, near)
        found.append([invented.sum(), int(case.body.sum()) / 1e6])
    return np.array(found, dtype=np.float64)


def _share(name: str, diameter: float, contrast: float, counts: Floats, weights: Floats) -> Figure:
    """Return the ratio of counts (cases, 2), with how many were lost from or were invented."""
    above, below = (weights @ counts).T
    total = counts.sum(0)[1 if name == "lost" else 0]
    return _figure(name, diameter, contrast, _ratio(above, below), int(total))


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    found = np.full(len(below), math.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _figure(figure: str, diameter: float, contrast: float, draws: Floats, count: int) -> Figure:
    """Take the first as the figure, the others as draws of the bootstrap."""
    known = draws[1:][~np.isnan(draws[1:])]
    tail = 50 * (1 - CONFIDENCE)
    # Nearest: between a number and infinity there is nothing.
    ends = [math.nan, math.nan]
    if len(known):
        ends = np.percentile(known, [tail, 100 - tail], method="nearest").tolist()
    return Figure(
        figure=figure,
        diameter=diameter,
        contrast=contrast,
        value=float(draws[0]),
        low=ends[0],
        high=ends[1],
        count=count,
    )
