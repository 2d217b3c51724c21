"""Keep and show how much of the added detail is in the reference, and how much was invented.

Whether it agrees with the input and what kind of detail was added, opensr-test tells of satellite
images (:mod:`monai_sr.metrics.opensr`); up to which fineness patches agree with the reference, sFRC
tells of all (:mod:`monai_sr.metrics.sfrc`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from opensr_package_rows import PACKAGE, PACKAGE_TABLE, agreement_lines
from summary import described, fixed
from tables import read_table, write_table

from monai_sr.core.bundles import list_bundles
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.models import weighed_models
from monai_sr.core.types import PathLike
from monai_sr.evaluation import BICUBIC, Row
from monai_sr.metrics import MEASURES, OpenSR

FILE = "invented.csv"
"""Name of the table among the measured rows."""
SFRC = ("sfrc", "sfrc_agreement")
OPENSR = tuple(f"opensr_{name}" for name in OpenSR._fields)
FIGURES = ("psnr", *OPENSR, *SFRC)
HEADER = ("set", "image", "class", "scale", "system", *FIGURES, "protocol", "weights_sha256")
REFERENCE = "the reference itself"
"""Name of the rows that tell what a figure can reach."""
PERCEPTUAL = ", perception 1"
"""With what names of rows of perceptual weights end."""


class Goal(NamedTuple):
    """State what a figure should reach.

    Attributes:
        figure: name of the measure.
        limit: the value itself still counts.
    """

    figure: str
    limit: float

    @property
    def is_floor(self) -> bool:
        """Whether the figure should be at least that much."""
        return MEASURES.get(self.figure).is_more_better is True

    @property
    def text(self) -> str:
        """The goal in words and figures."""
        label = MEASURES.get(self.figure).label
        return f"{label} {'≥' if self.is_floor else '≤'} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Tell by the value as it stands in the table, rounded."""
        rounded = round(value, MEASURES.get(self.figure).digits)
        return rounded >= self.limit if self.is_floor else rounded <= self.limit


GOALS = (
    Goal("opensr_reflectance", 0.0011),
    Goal("opensr_spectral", 0.22),
    Goal("opensr_improvement", 0.20),
    Goal("opensr_hallucination", 0.10),
)

_PUBLISHED = """\
Published figures, of other images: those of opensr-test, whose input comes from Sentinel-2 and
whose reference from another sensor. They were not at hand, so these rows and the tables above say
nothing about each other but the order of magnitude. SEN2SR and its bicubic:
doi:10.1016/j.rse.2025.115222; the others: README of opensr-test at commit b42b1cb, means of its
five sets, shares by the normalized difference, as ours.

| system | reflectance | spectral (degrees) | improvement | hallucination |
|---|---:|---:|---:|---:|
| bicubic, as published beside SEN2SR | 0.0028 | 0.601 | 0.102 | 0.068 |
| SEN2SR | 0.0025 | 0.665 | 0.150 | 0.091 |
| superimage (CNN) | 0.0068 | 1.8977 | 0.1686 | 0.2026 |
| opensrmodel (latent diffusion) | 0.0076 | 1.9739 | 0.1976 | 0.3431 |
"""


def write_invented(path: PathLike, rows: Iterable[Row]) -> None:
    """Put rows into a CSV file in place of those of the same set, scale and system.

    Raises:
        OutputError: if the file cannot be written.
    """
    new = list(rows)
    replaced = {(row.set, row.scale, row.system) for row in new}
    kept = [r for r in read_invented(path) if (r.set, r.scale, r.system) not in replaced]
    ordered = sorted([*kept, *new], key=lambda r: (r.set, *r.key))
    write_table(path, HEADER, (row.cells(HEADER) for row in ordered))


def read_invented(path: PathLike) -> list[Row]:
    """Read a CSV file of rows; an absent file has none.

    Raises:
        BadImageError: if the file holds something else.
    """
    return read_table(path, HEADER, _row, "benchmarks/invented.py")


def _row(text: dict[str, str]) -> Row:
    return Row(
        set=text["set"],
        image=text["image"],
        label=text["class"],
        scale=int(text["scale"]),
        system=text["system"],
        seconds=math.nan,
        protocol=text["protocol"],
        weights_sha256=text["weights_sha256"],
        figures={name: float(text[name]) for name in FIGURES if text[name]},
    )


def shipped_weights() -> set[str]:
    """Return the hashes of the weights of all models that come with the bundles."""
    return {
        weights_sha256(bundle / file)
        for bundle in list_bundles().values()
        for entry in weighed_models(bundle).values()
        for file in entry["weights"].values()
    }


def present_rows(rows: Iterable[Row]) -> list[Row]:
    """Leave out what was measured with weights that are shipped no more."""
    shipped = shipped_weights()
    return [row for row in rows if not row.weights_sha256 or row.weights_sha256 in shipped]


Means = Mapping[str, Mapping[str, float]]
"""system -> figure -> mean over the images that have it; NaN where none has."""


def means(rows: Sequence[Row]) -> Means:
    """Average each system's rows, in the order in which the systems appear."""
    found = {}
    names = {row.system for row in rows}
    systems = sorted(names, key=lambda s: (s == REFERENCE, s != BICUBIC.name, s))
    for system in systems:
        part = [row for row in rows if row.system == system]
        values = {name: [v for row in part if not math.isnan(v := row[name])] for name in FIGURES}
        found[system] = {k: sum(v) / len(v) if v else math.nan for k, v in values.items()}
    return found


def invented_section(results: PathLike) -> list[str]:
    """Return the lines of the section on invented detail; none where nothing was measured."""
    every = read_invented(Path(results) / FILE)
    rows = present_rows(every)
    if not rows:
        return []
    lines = [_introduction()]
    for name, scale in dict.fromkeys((row.set, row.scale) for row in rows):
        part = [row for row in rows if (row.set, row.scale) == (name, scale)]
        lines += _set_lines(name, scale, part)
    stale = sorted({f"{r.system} ({r.set})" for r in every if r not in rows})
    if stale:
        lines.append(f"Left out, for their weights are shipped no more: {', '.join(stale)}.\n")
    lines += [_PUBLISHED, *agreement_lines(PACKAGE_TABLE.read(Path(results) / PACKAGE))]
    return lines


def _introduction() -> str:
    goals = ", ".join(goal.text for goal in GOALS)
    return (
        "## Invented detail\n\n"
        "The input is the reference reduced by bicubic interpolation, without noise: what a sensor "
        "gives is harder. From `python benchmarks/invented.py`.\n\n"
        "- opensr-test (Aybar et al., 2024, doi:10.1109/LGRS.2024.3401394): reflectance, spectral "
        "and spatial tell how far the result, made small again by an antialiased triangle, is from "
        "the input; the shares divide what differs into improvement (as in the reference), "
        "omission (as in the input) and hallucination (like neither). Its reduction "
        "is not the bicubic one of our input, so that even the reference itself, the last row, is "
        "not at 0.\n"
        "- The shares compare by |a − b| / (a + b), which says nothing where images are black: "
        "X-rays, MR and photographs have sFRC alone.\n"
        "- sFRC (Kc et al., 2026, arXiv:2603.04673), patches of 64 pixels: flagged are those "
        "that differ from the reference in what the input could hold (below 25 % of Nyquist at "
        "x4); agreement is the frequency up to which the median patch agrees with it.\n"
        f"- ✓: the goal is met: {goals}. Bold: best of the table.\n"
    )


def _set_lines(name: str, scale: int, rows: Sequence[Row]) -> list[str]:
    benchmark = described(name)
    found = means(rows)
    figures = [f for f in FIGURES if any(not math.isnan(found[s][f]) for s in found)]
    is_luma = bool(benchmark and benchmark.protocol.uses_luma)
    heads = [replace(MEASURES.get(f), variant="").title(is_luma=is_luma) for f in figures]
    images = {(row.label, row.image) for row in rows}
    lines = [
        f"### Invented detail, {benchmark.title if benchmark else name} x{scale}, "
        f"{len(images)} images\n",
        f"| system | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
    ]
    for system, values in found.items():
        rivals = [s for s in found if REFERENCE not in (s, system)]
        cells = [_cell(f, values[f], [found[s][f] for s in rivals]) for f in figures]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return [*lines, "", *_goal_lines(found)]


def _cell(figure: str, value: float, column: Sequence[float]) -> str:
    measure = MEASURES.get(figure)
    text = fixed(value, measure.digits)
    known = [v for v in column if not math.isnan(v)]
    best = fixed(measure.best(known), measure.digits) if known else ""
    if measure.is_more_better is not None and text == best:
        text = f"**{text}**"
    return text + " ✓" * any(goal.figure == figure and goal.is_met(value) for goal in GOALS)


def _goal_lines(found: Means) -> list[str]:
    """Say which goals no model reaches, and which of these not even the reference."""
    judged = [g for g in GOALS if any(not math.isnan(v[g.figure]) for v in found.values())]
    models = [v for s, v in found.items() if s not in (BICUBIC.name, REFERENCE)]
    missed = [g for g in judged if not any(g.is_met(v[g.figure]) for v in models)]
    top = found.get(REFERENCE)
    texts = []
    for goal in missed:
        is_out_of_reach = top is not None and not goal.is_met(top[goal.figure])
        texts.append(goal.text + " (by the reference, too)" * is_out_of_reach)
    return [f"Missed by every model: {', '.join(texts)}.\n"] if missed else []


def perceptual_block(bundle: str, rows: Sequence[Row]) -> str:
    """Return the Markdown table that stands beside a bundle's perceptual weights.

    Args:
        bundle: its name.
        rows: of present weights.

    Raises:
        SystemExit: if the bundle has perceptual weights that were not measured.
    """
    system = bundle + PERCEPTUAL
    sets = list(dict.fromkeys((row.set, row.scale) for row in rows if row.system == system))
    if not sets:
        raise SystemExit(f"{system}: its invented detail was not measured with its present weights;"
                         f" run benchmarks/invented.py --bundle {bundle}")  # fmt: skip
    lines = []
    for name, scale in sets:
        found = means([row for row in rows if (row.set, row.scale) == (name, scale)])
        figures = [f for f in _SHOWN if not math.isnan(found[system][f])]
        benchmark = described(name)
        heads = [replace(MEASURES.get(f), variant="").title() for f in figures]
        lines += ["" if lines else None, f"| {benchmark.title if benchmark else name} x{scale} "
                  f"| {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]  # fmt: skip
        lines += [
            f"| {each} | "
            + " | ".join(fixed(found[each][f], MEASURES.get(f).digits) for f in figures)
            + " |"
            for each in (BICUBIC.name, bundle, system)
            if each in found
        ]
    return "\n".join(line for line in lines if line is not None) + "\n"


_SHOWN = ("psnr", "opensr_improvement", "opensr_omission", "opensr_hallucination", *SFRC)
