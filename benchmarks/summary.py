"""Average measured rows, and say which of them may stand in published tables.

Published figures of grey images in sets of color images are of their luma, for the scripts read
every image as RGB: 16 to 235 where ours are compared as stored, 0 to 255. Differences shrink by
219 / 255, so PSNR grows by 20 log10(255 / 219) = 1.32 dB on such an image.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from facts import Facts

from monai_sr.core.errors import OptionError
from monai_sr.evaluation import BICUBIC, Benchmark, Row, load_benchmark
from monai_sr.functional.color import LUMA_SWING
from monai_sr.metrics import STANDARD
from monai_sr.metrics.base import finite_mean

GREY_GAIN_DB = -20 * math.log10(LUMA_SWING)


@dataclass(frozen=True)
class Summary:
    """Hold the means of one system on one group of images.

    Infinite figures are left out of them; ``left_out`` counts the infinite PSNRs. A mean is NaN
    where an image lacks the figure.
    """

    system: str
    images: int
    means: Mapping[str, float]
    left_out: int
    weights: str

    def __getitem__(self, measure: str) -> float:
        """Return one mean by the name of its measure."""
        return self.means[measure]


def summarize(rows: Sequence[Row]) -> Summary:
    """Average the rows of one system.

    Raises:
        OptionError: if there are no rows, or they come from different weights.
    """
    weights = sorted({row.weights_sha256 for row in rows})
    if len(weights) != 1:
        raise OptionError(
            f"rows: must come from one weights file, got {len(weights)}; evaluate again"
        )
    means = {name: finite_mean([row[name] for row in rows]) for name in STANDARD}
    return Summary(
        system=rows[0].system,
        images=len(rows),
        means={name: math.nan if lacking else mean for name, (mean, _, lacking) in means.items()},
        left_out=means["psnr"][1],
        weights=weights[0],
    )


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Average each system; bicubic first, the others by rising PSNR."""
    found = [summarize(group) for _, group in grouped(rows, lambda row: row.system)]
    return sorted(found, key=lambda s: (s.system != BICUBIC.name, s["psnr"], s.system))


def grouped(rows: Iterable[Row], key: Callable[[Row], object]) -> list[tuple[object, list[Row]]]:
    """Collect rows of equal keys, in the order in which the keys appear."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.items())


def fixed(value: float, digits: int) -> str:
    """Write a number with that many decimals; a dash where it is unknown."""
    if math.isnan(value):
        return "-"
    return "∞" if value == float("inf") else f"{value:.{digits}f}"


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
    finite = [row for row in rows if math.isfinite(row["psnr"])]
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
