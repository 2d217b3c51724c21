"""Say how sure means and scores of blind comparisons are: percentile intervals of the bootstrap.

Images of one patient resemble one another; drawn one by one they would make an interval too narrow.
Where patients are known each draw takes a patient with all images (cluster bootstrap), else an
image.

References:
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13 (percentiles).
    Field and Welsh (2007), Bootstrapping clustered data, doi:10.1111/j.1467-9868.2007.00593.x.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from monai_sr.core import OptionError

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """Hold a mean over images with its interval.

    Args:
        mean: over the images that have a finite figure; NaN where none has.
        low: lower end of the 95 % interval; NaN where fewer than two were drawn from.
        high: upper end.
        images: how many images have a finite figure.
        infinite: how many were left out for an infinite figure (a result equal to its reference).
        missing: how many have no figure.
    """

    mean: float
    low: float
    high: float
    images: int
    infinite: int = 0
    missing: int = 0


def mean_interval(values: Sequence[float], owners: Sequence[str], *, seed: int = 0) -> Mean:
    """Average figures and bound the mean.

    Args:
        values: one an image; infinite and NaN ones are left out and counted.
        owners: who each image is drawn with: a patient, or the image itself.
        seed: decides the draws; the same for all figures of one call.
    """
    every = np.asarray(values, dtype=np.float64)
    kept = np.isfinite(every)
    missing = int(np.isnan(every).sum())
    counted = {
        "images": int(kept.sum()),
        "infinite": int(every.size - kept.sum()) - missing,
        "missing": missing,
    }
    if not kept.any():
        has_infinite = bool(counted["infinite"])
        return Mean(math.inf if has_infinite else math.nan, math.nan, math.nan, **counted)
    _, groups = np.unique(np.asarray(owners, dtype=str)[kept], return_inverse=True)
    sums = np.bincount(groups, every[kept])
    sizes = np.bincount(groups).astype(np.float64)
    mean = float(every[kept].mean())
    if sizes.size < 2:
        return Mean(mean, math.nan, math.nan, **counted)
    weights = np.random.default_rng(seed).multinomial(
        sizes.size, np.full(sizes.size, 1 / sizes.size), size=DRAWS
    )
    means = (weights @ sums) / (weights @ sizes)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Mean(mean, float(low), float(high), **counted)


@dataclass(frozen=True)
class Choice:
    """One pair that a reader has judged.

    Attributes:
        reader: who.
        image: of which image.
        first: one system.
        second: the other.
        share: 1 where the first was better, 0 where the second was, 0.5 for no difference.
    """

    reader: str
    image: str
    first: str
    second: str
    share: float


@dataclass(frozen=True)
class Preference:
    """How a system fared.

    Attributes:
        system: its name.
        wins: pairs in which it was better.
        ties: pairs without a difference.
        losses: pairs in which the other was better.
        score: mean of 1 for a win, 1/2 for a tie and 0 for a loss.
        low: lower end of the 95 % interval of the score.
        high: upper end.
        strength: by Bradley and Terry; of two systems the better one wins with probability
            1 / (1 + exp(-difference)). The mean of all systems is 0.
    """

    system: str
    wins: int
    ties: int
    losses: int
    score: float
    low: float
    high: float
    strength: float


def score_systems(choices: Sequence[Choice], seed: int = 0) -> list[Preference]:
    """Score every system, the best first.

    The interval is that of a percentile bootstrap which draws readers and images at once, both with
    replacement: another panel and other images would give such scores.

    Args:
        choices: all pairs of all readers.
        seed: of the draws.

    Raises:
        OptionError: if there is no choice.

    References:
        Bradley, Terry (1952), doi:10.2307/2334029. Owen (2007), The pigeonhole bootstrap,
        doi:10.1214/07-AOAS122.
    """
    if not choices:
        raise OptionError("choices: must hold at least one judged pair, got none; judge some first")
    systems = sorted({name for c in choices for name in (c.first, c.second)})
    first, second = (
        np.array([systems.index(name) for name in names])
        for names in ([c.first for c in choices], [c.second for c in choices])
    )
    share = np.array([c.share for c in choices])
    draws = _bootstrap(choices, first, second, share, len(systems), seed)
    tail = (1 - CONFIDENCE) / 2
    strengths = bradley_terry(first, second, share, len(systems))
    found = []
    for index, name in enumerate(systems):
        own = np.concatenate([share[first == index], 1 - share[second == index]])
        low, high = np.nanquantile(draws[:, index], [tail, 1 - tail])
        found.append(
            Preference(
                system=name,
                wins=int((own == 1).sum()),
                ties=int((own == 0.5).sum()),
                losses=int((own == 0).sum()),
                score=float(own.mean()),
                low=float(low),
                high=float(high),
                strength=float(strengths[index]),
            )
        )
    return sorted(found, key=lambda p: (-p.score, p.system))


def bradley_terry(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    share: npt.NDArray[np.float64],
    count: int,
) -> npt.NDArray[np.float64]:
    """Return the strengths that make the choices most likely.

    A tie is half a win for each. Every two systems that met get one tie more than there was:
    without it, a system that won all its pairs would be infinitely strong.

    Shape: first, second and share (N,) -> (count,), mean 0.
    """
    met = np.unique(np.sort(np.stack([first, second], axis=1), axis=1), axis=0)
    a, b = (np.concatenate([x, y]) for x, y in ((first, met[:, 0]), (second, met[:, 1])))
    won = np.concatenate([share, np.full(len(met), 0.5)])

    def cost(strength: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        gap = strength[a] - strength[b]
        value = -(won * log_expit(gap) + (1 - won) * log_expit(-gap)).sum()
        slope = expit(gap) - won
        gradient = np.bincount(a, slope, count) - np.bincount(b, slope, count)
        return float(value), gradient.astype(np.float64)

    found = minimize(cost, np.zeros(count), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return np.asarray(found - found.mean())


def _bootstrap(
    choices: Sequence[Choice],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    share: npt.NDArray[np.float64],
    count: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return scores of drawn panels and images.

    Shape: (draws, systems); NaN where a draw holds no pair of a system.
    """
    random = np.random.default_rng(seed)
    weights = np.ones((DRAWS, len(choices)))
    for names in ([c.reader for c in choices], [c.image for c in choices]):
        unique, index = np.unique(names, return_inverse=True)
        times = random.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), DRAWS)
        weights *= times[:, index]
    scores = np.full((DRAWS, count), np.nan)
    for system in range(count):
        own = share * (first == system) + (1 - share) * (second == system)
        total = weights @ ((first == system) | (second == system)).astype(np.float64)
        np.divide(weights @ own, total, out=scores[:, system], where=total > 0)
    return scores
