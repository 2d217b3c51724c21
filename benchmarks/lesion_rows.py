"""Keep what observers saw of small lesions, and write the section of docs/results.md on them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from summary import fixed
from tables import Table

from monai_sr.evaluation.lesion_figures import Figure

FILE = "lesions.csv"
"""Name of the table among the measured rows."""
CLEAN, DEGRADED = "clean", "degraded"
REFERENCE = "reference"
"""The row of the large image itself: the most that can be seen."""
FEWEST = 10
"""A share of fewer lesions than that is not told."""
_PERCENT = 100


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """Hold one figure of one system; see :mod:`monai_sr.evaluation.lesion_figures`.

    Args:
        set: the benchmark.
        scale: the enlargement.
        input: clean or degraded.
        system: what was judged.
        figure: auc, lost, invented, gain or threshold.
        diameter: of the lesions, in small pixels.
        contrast: NaN for a figure of all of them, or of none.
        value: shares are in 0 ... 1, invented marks a megapixel.
        low: lower end of the 95 % interval.
        high: its upper end.
        count: lesions or marks that it is of.
        images: that it is of.
        weights_sha256: of the weights file, empty where there is none.
    """

    set: str
    scale: int
    input: str
    system: str
    figure: str
    diameter: float
    contrast: float
    value: float
    low: float
    high: float
    count: int
    images: int
    weights_sha256: str = ""


LESION_TABLE = Table(
    LesionRow,
    "benchmarks/lesions.py",
    "{:.5g}".format,
    group=lambda r: (r.set, r.scale),
    order=lambda r: (r.set, r.scale),
)


def rows_of(
    figures: Iterable[Figure],
    *,
    set_name: str,
    scale: int,
    images: int,
    system: str,
    kind: str,
    weights: str,
) -> list[LesionRow]:
    """Return figures as rows of a table."""
    shared = {"set": set_name, "scale": scale, "images": images, "weights_sha256": weights}
    return [
        LesionRow(system=system, input=kind, **shared, **dataclasses.asdict(figure))
        for figure in figures
    ]


_INTRODUCTION = """\
Discs with blurred edges are inserted into the reference before it is made small. They are \
synthetic: the figures say what an enlargement does to a signal of known contrast and size, and \
nothing about diagnosis. From `python benchmarks/lesions.py`; choices in `benchmarks/lesions.yaml`.

- Seen at: contrast, as a share of the intensity around, at which a model observer tells places \
with the lesion from places without in 75 % of pairs (AUC 0.75; d' 0.95). It knows signal and \
place: a non-prewhitening matched filter with an eye filter (ICRU 54; Burgess, 1994, \
doi:10.1364/JOSAA.11.001237); anatomy is its noise. Less is better; ≤: seen at the least contrast \
tested, ∞: not at the highest.
- ΔAUC: mean AUC over all contrasts, less that of bicubic of the same input. More is better.
- Lost: share of the lesions that a blob detector (Laplacian of Gaussian) marks in the reference, \
and not in the result. Less is better; where much is invented, some marks fall near a lesion by \
chance and make it less.
- Invented: its marks a megapixel of body in results of images without lesions, where the \
reference has none of even half the height. Less is better. Its threshold is that of a fixed rate \
of marks in references without lesions; in the pictures marks count that are as high as those of \
lesions of a contrast.
- In brackets: 95 % of a bootstrap over images; those of mr are slices of one person.
- Degraded input: noise and blur of medium strength on the small image; the reference \
stays clean.
"""


def lesion_section(rows: Sequence[LesionRow]) -> list[str]:
    """Return the lines of the section on small lesions: one table a set, scale and input."""
    lines = ["## Small lesions\n", _INTRODUCTION]
    for name, scale, kind in dict.fromkeys((row.set, row.scale, row.input) for row in rows):
        part = [row for row in rows if (row.set, row.scale, row.input) == (name, scale, kind)]
        contrasts = sorted({row.contrast for row in part if row.figure == "auc"})
        if kind == CLEAN:
            told = f"Lesions of {name} seen, lost, invented over contrast; dotted: degraded input"
            lines.append(f"![{told}](lesions_{name}.svg)\n")
        lines += [
            f"### {name} x{scale}, {kind} input, {part[0].images} images\n",
            f"Contrasts: {', '.join(f'{c:g}' for c in contrasts)}.\n",
            "| lesion | system | seen at | ΔAUC | lost | invented |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for diameter in sorted({row.diameter for row in part}):
            for system in dict.fromkeys(row.system for row in part):
                of_all = {
                    row.figure: row
                    for row in part
                    if (row.diameter, row.system) == (diameter, system) and math.isnan(row.contrast)
                }
                lines.append(_line(diameter, system, of_all, contrasts[0]))
        lines.append("")
    return lines


def _line(diameter: float, system: str, rows: dict[str, LesionRow], least: float) -> str:
    lost = rows["lost"]
    cells = [
        f"{diameter:g} px",
        system,
        _cell(rows["threshold"], lambda value: _contrast(value, least)),
        _cell(rows["gain"], lambda value: f"{value:+.3f}") if system != "bicubic" else "-",
        _cell(lost, lambda value: f"{value * _PERCENT:.0f} %") if lost.count >= FEWEST else "-",
        _cell(rows["invented"], lambda value: f"{value:.1f}"),
    ]
    if system == REFERENCE:
        cells[-2:] = ["-", "-"]
    return f"| {' | '.join(cells)} |"


def _contrast(value: float, least: float) -> str:
    return f"≤ {least:g}" if value == 0 else fixed(value, 3)


def _cell(row: LesionRow, text: Callable[[float], str]) -> str:
    return f"{text(row.value)} ({text(row.low)} to {text(row.high)})"
