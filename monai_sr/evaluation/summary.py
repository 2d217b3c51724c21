"""Average the rows of a system, and write numbers as a table shows them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from monai_sr.core.errors import OptionError
from monai_sr.evaluation.benchmark import BICUBIC
from monai_sr.evaluation.rows import Row
from monai_sr.metrics.base import finite_mean


@dataclass(frozen=True)
class Summary:
    """Hold the means of one system on one group of images; infinite PSNRs are left out.

    ``lpips``, ``gmsd`` and ``dss`` are NaN where an image lacks them.
    """

    system: str
    images: int
    psnr: float
    ssim: float
    lpips: float
    gmsd: float
    dss: float
    lr_psnr: float
    left_out: int
    weights: str


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
    mean_psnr, left_out = finite_mean([row.psnr for row in rows])
    return Summary(
        system=rows[0].system,
        images=len(rows),
        psnr=mean_psnr,
        ssim=finite_mean([row.ssim for row in rows])[0],
        lpips=finite_mean([row.lpips for row in rows])[0],
        gmsd=finite_mean([row.gmsd for row in rows])[0],
        dss=finite_mean([row.dss for row in rows])[0],
        lr_psnr=finite_mean([row.lr_psnr for row in rows])[0],
        left_out=left_out,
        weights=weights[0],
    )


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Average each system; bicubic first, the others by rising PSNR."""
    found = [summarize(group) for _, group in grouped(rows, lambda row: row.system)]
    return sorted(found, key=lambda s: (s.system != BICUBIC.name, s.psnr, s.system))


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


def short(value: float) -> str:
    """Write a number with three digits and a unit prefix; a dash where it is unknown.

    Example:
        >>> short(1548547), short(75), short(0.05), short(float("nan"))
        ('1.55 M', '75', '0.05', '-')
    """
    if math.isnan(value):
        return "-"
    for limit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit * 0.9995:
            value /= limit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{prefix}"
    return f"{value:.3g}"
