"""Say which measured rows may stand in published tables, and what they would be in the literature.

Published figures of grey images in sets of color images are of their luma, for the scripts read
every image as RGB: 16 to 235 where ours are compared as stored, 0 to 255. Differences shrink by
219 / 255, so PSNR grows by 20 log10(255 / 219) = 1.32 dB on such an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from monai_sr.core.errors import OptionError
from monai_sr.evaluation.datasets import Benchmark, load_benchmark
from monai_sr.evaluation.facts import Facts
from monai_sr.evaluation.rows import Row
from monai_sr.functional.color import LUMA_SWING

GREY_GAIN_DB = -20 * math.log10(LUMA_SWING)


class _Measured(Protocol):
    @property
    def system(self) -> str: ...
    @property
    def scale(self) -> int: ...
    @property
    def weights_sha256(self) -> str: ...


R = TypeVar("R", bound=_Measured)


def standing(rows: Iterable[R], facts: Iterable[Facts]) -> tuple[list[R], list[R]]:
    """Divide rows into those of recorded weights, or of none, and those of others.

    Args:
        rows: measured on images.
        facts: the lines of systems.csv, one for each weights file and scale.

    Returns:
        Rows that may be published, and rows that are stale.
    """
    recorded = {(fact.system, fact.scale, fact.weights_sha256) for fact in facts}
    kept: list[R] = []
    stale: list[R] = []
    for row in rows:
        key = (row.system, row.scale, row.weights_sha256)
        (kept if not row.weights_sha256 or key in recorded else stale).append(row)
    return kept, stale


def described(name: str) -> Benchmark | None:
    """Look a benchmark up; None for a set that has no description."""
    try:
        return load_benchmark(name)
    except OptionError:
        return None


def literature_gain(rows: Sequence[Row]) -> float:
    """Return by how many dB the mean PSNR of rows grows where grey images count as luma.

    Args:
        rows: of one system; those of infinite PSNR are in no mean.
    """
    finite = [row for row in rows if math.isfinite(row.psnr)]
    grey = [row for row in finite if _is_grey(row)]
    return GREY_GAIN_DB * len(grey) / len(finite) if grey else 0.0


def expected_images(rows: Iterable[Row]) -> int:
    """Return how many images the sets of some rows have; 0 where that is open."""
    counts = [getattr(described(name), "expected", None) or 0 for name in {row.set for row in rows}]
    return sum(counts) if all(counts) else 0


def _is_grey(row: Row) -> bool:
    benchmark = described(row.set)
    if benchmark is None or row.image not in benchmark.grey:
        return False
    return benchmark.protocol.uses_luma and benchmark.protocol.name == row.protocol
