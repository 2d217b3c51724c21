"""Keep and show how many values lie within their interval: a row a set and strength."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from degraded_input import CLEAN
from interval_samples import Sample
from tables import Table

from monai_sr.core.atomic import atomic_file
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.registry import find_bundle
from monai_sr.evaluation import load_benchmark
from monai_sr.transforms import Widening, activity

FILE = "coverage.csv"
"""Name of the table among the measured rows."""
FAILS = 85.0
"""Percent of its values: an image of which fewer lie within is counted."""
_FLAT, _EDGES = 0.5, 0.8  # quantiles of the activity: half of the values, and a fifth of them

INTRODUCTION = """\
## Uncertainty: does the 90 % interval hold?

Share of the values of the truth that lie within the interval of `--uncertainty`, in percent, mean
of the images; 88 to 92 is calibrated. From `python benchmarks/coverage.py`: the middle 128 x 128
pixels of up to 8 images a set, which nothing was fitted on. That the power of the spread is 1/2 and
its floor a quarter was chosen with these images in view: for one number in all bundles and scales.

- Plain: as it was fitted on clean images: factor (spread^2 + floor^2)^(1/4). Widened: what users
  get: half width^2 = plain^2 + (g noise)^2 + (a lack activity)^2, where noise and a lack of fine
  detail are measured in the input ([how](formats.md#uncertainty)).
- Flat, edges: the half of the values with the least, the fifth with the most going on around.
- Below 85: images less than 85 % of whose values lie within the widened interval.
- Told: images of which the log and the manifest say, before they are enlarged, that the interval
  was not fitted on their like, or is wider for them.
- Strengths are those of `benchmarks/degraded.yaml`; foreign sets are clean.
"""
_HEADS = (
    "input", "scale", "plain", "widened", "flat", "edges", "below 85", "told", "half width",
    "images",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """Hold what was measured on a set at a strength; shares in percent, widths in % of the range.

    Args:
        bundle: its name.
        scale: the enlargement.
        set: the benchmark.
        is_foreign: whether the bundle was trained on other images.
        strength: of the degradation.
        images: how many.
        plain: share within the interval of clean images.
        widened: share within the interval.
        flat: of values with little activity.
        edges: of those with much.
        low: images below :data:`FAILS`.
        told: images that something is said of.
        plain_width: mean half width of the interval of clean images.
        width: mean half width.
        weights_sha256: of the weights file.
    """

    bundle: str
    scale: int
    set: str
    is_foreign: bool
    strength: str
    images: int
    plain: float
    widened: float
    flat: float
    edges: float
    low: int
    told: int
    plain_width: float
    width: float
    weights_sha256: str

    @property
    def key(self) -> tuple[str, int, bool, str, int]:
        """Where it stands in the table."""
        order = (CLEAN, "weak", "medium", "strong")
        return (self.bundle, self.scale, self.is_foreign, self.set, order.index(self.strength))


COVERAGE_TABLE = Table(
    CoverageRow,
    "benchmarks/coverage.py",
    "{:.3f}".format,
    group=lambda r: (r.bundle, r.scale),
    order=lambda r: r.key,
)


def row_of(
    samples: Sequence[Sample],
    told: Sequence[bool],
    factor: float,
    widening: Widening,
    **named: str | int | bool,
) -> CoverageRow:
    """Judge the samples of a set; each image counts alike.

    Args:
        samples: of the images.
        told: of which of them something is said.
        factor: of the interval.
        widening: likewise.
        **named: bundle, scale, set, is_foreign, strength, weights_sha256.
    """
    plain, held, flat, edges, widths = [], [], [], [], []
    for sample in samples:
        covered = sample.covered(factor, widening)
        around = activity(sample.result, sample.scale)
        low, high = np.quantile(around, (_FLAT, _EDGES))
        held.append(covered.mean())
        flat.append(covered[around <= low].mean())
        edges.append(covered[around >= high].mean())
        before = widening.plain(factor, sample.spread)
        plain.append((sample.error <= before).mean())
        widths.append([before.mean(), sample.half_width(factor, widening).mean()])
    means = {"plain": plain, "widened": held, "flat": flat, "edges": edges}
    width = 100 * np.mean(widths, axis=0)
    return CoverageRow(
        images=len(samples),
        low=sum(100 * share < FAILS for share in held),
        told=sum(told),
        plain_width=float(width[0]),
        width=float(width[1]),
        **{name: 100 * float(np.mean(values)) for name, values in means.items()},
        **named,  # type: ignore[arg-type]
    )


def keep_measured(metadata: Path, rows: Sequence[CoverageRow]) -> None:
    """Keep beside a bundle's factors what the intervals of one scale held: see interval_basis.

    ``uncertainty`` / ``measured`` / scale: ``like``, the mean share of the bundle's own sets, and
    ``unlike``, least and greatest share of foreign ones; all of clean images, in [0, 1].

    Args:
        metadata: ``metadata.json`` of the bundle.
        rows: of one scale.
    """
    content = json.loads(metadata.read_text(encoding="utf-8"))
    own = [row.widened for row in rows if not row.is_foreign and row.strength == CLEAN]
    foreign = [row.widened for row in rows if row.is_foreign]
    told: dict[str, object] = {}
    if own:
        told["like"] = round(float(np.mean(own)) / 100, 3)
    if foreign:
        told["unlike"] = [round(share / 100, 3) for share in (min(foreign), max(foreign))]
    content["uncertainty"].setdefault("measured", {})[str(rows[0].scale)] = told
    with atomic_file(metadata) as partial:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


def coverage_section(rows: Sequence[CoverageRow]) -> list[str]:
    """Return the lines of the section; rows of weights that a bundle has no more are left out."""
    present: Mapping[str, str] = {
        name: weights_sha256(find_bundle(name) / "models" / "model.pt")
        for name in sorted({row.bundle for row in rows})
    }
    standing = [row for row in rows if present[row.bundle] == row.weights_sha256]
    lines = [INTRODUCTION] if standing else []
    for bundle in present:
        part = [row for row in standing if row.bundle == bundle]
        if part:
            lines += [
                f"### {bundle}\n",
                f"| {' | '.join(_HEADS)} |",
                f"|---|{'---:|' * (len(_HEADS) - 1)}",
                *map(_line, part),
                "",
            ]
    return lines


def _line(row: CoverageRow) -> str:
    benchmark = load_benchmark(row.set)
    name = f"{benchmark.title}, {'foreign' if row.is_foreign else row.strength}"
    shares = [f"{value:.1f}" for value in (row.plain, row.widened, row.flat, row.edges)]
    width = f"{row.width:.2g} %" if math.isclose(row.width, row.plain_width) else (
        f"{row.plain_width:.2g} → {row.width:.2g} %"
    )  # fmt: skip
    cells = [name, f"x{row.scale}", *shares, str(row.low), str(row.told), width, str(row.images)]
    return f"| {' | '.join(cells)} |"
