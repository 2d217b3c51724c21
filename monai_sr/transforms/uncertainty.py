"""Reads the factor that makes of a spread the half width of a 90 % interval.

A bundle's ``metadata.json`` keeps it as ``uncertainty``, fitted for one weights file by
``benchmarks/fit_uncertainty.py``. With others it would promise a coverage that nobody measured.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from monai_sr.core import OptionError, PathLike, weights_sha256

COVERAGE = 0.9


def interval_factor(
    metadata: PathLike,
    weights: PathLike | None,
    scale: int,
    enabled: bool = True,
    consistency: int = 2,
    others: Sequence[object] = (),
) -> float:
    """Return the factor for a bundle's own weights.

    Args:
        metadata: ``metadata.json`` of the bundle.
        weights: weights file in use; None where nothing was learned.
        scale: factor of the enlargement.
        enabled: whether it is asked for at all.
        consistency: back-projection steps.
        others: further choices that change results, each false where it was not made.

    Returns:
        The factor; 0 where it is not asked for.

    Raises:
        OptionError: the factor was fitted for other weights, or for none.
    """
    if not enabled:
        return 0.0
    entry = json.loads(Path(metadata).read_text(encoding="utf-8")).get("uncertainty", {})
    factor = entry.get("factors", {}).get(str(scale))
    own = weights is not None and weights_sha256(weights) == entry.get("weights_sha256")
    if factor is None or not own or consistency != entry.get("consistency") or any(others):
        raise OptionError(
            "uncertainty: its interval was not fitted for these weights and options; leave "
            "--uncertainty out, or fit it with benchmarks/fit_uncertainty.py"
        )
    return float(factor)
