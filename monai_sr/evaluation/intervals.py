"""Say how sure a mean is: percentile intervals of the bootstrap, drawing whole patients.

Images of one patient resemble one another; drawn one by one they would make an interval too narrow.
Where patients are known each draw takes a patient with all images (cluster bootstrap), else an
image.

References:
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13 (percentiles).
    Field and Welsh (2007), Bootstrapping clustered data, doi:10.1111/j.1467-9868.2007.00593.x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


def mean_interval(
    values: Sequence[float], owners: Sequence[str], *, seed: int = 0, draws: int = DRAWS
) -> Mean:
    """Average figures and bound the mean.

    Args:
        values: one an image; infinite and NaN ones are left out and counted.
        owners: who each image is drawn with: a patient, or the image itself.
        seed: decides the draws; the same for all figures of one call.
        draws: how many times patients are drawn.
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
        sizes.size, np.full(sizes.size, 1 / sizes.size), size=draws
    )
    means = (weights @ sums) / (weights @ sizes)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Mean(mean, float(low), float(high), **counted)
