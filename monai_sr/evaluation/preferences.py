"""Scores from blind comparisons: what share of its pairs a system wins, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from monai_sr.core.errors import OptionError

_COVERAGE = 0.95
_DRAWS = 2000


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
    tail = (1 - _COVERAGE) / 2
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
    weights = np.ones((_DRAWS, len(choices)))
    for names in ([c.reader for c in choices], [c.image for c in choices]):
        unique, index = np.unique(names, return_inverse=True)
        times = random.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), _DRAWS)
        weights *= times[:, index]
    scores = np.full((_DRAWS, count), np.nan)
    for system in range(count):
        own = share * (first == system) + (1 - share) * (second == system)
        total = weights @ ((first == system) | (second == system)).astype(np.float64)
        np.divide(weights @ own, total, out=scores[:, system], where=total > 0)
    return scores
