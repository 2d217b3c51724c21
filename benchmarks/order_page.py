"""Say which system is above which in each paper's own tables, and whether that is so here.

A table is what ``source`` of the claims names (see :mod:`systems_page`). Two systems of one table
are compared on the images that both were measured on, of the claim's sets where we have them, else
of :data:`SETS`. A claim without figures may give ``rank``, 1 for the best: systems of equal rank
are not compared. What is not as in the paper gets a reason that was measured: gains on the
validation images after each stage of training, from the ledger of ``benchmarks/campaign.py``.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts import Facts
from summary import fixed

from monai_sr.core.types import PathLike
from monai_sr.evaluation import Row
from monai_sr.metrics import MEASURES

LEDGER = "campaign.csv"
SETS = ("set5", "set14", "bsd100")
"""Judge the claims on sets that are not among ours."""
OPENCV = "_opencv"
"""With which names of sets end whose small images OpenCV makes."""
SCALE = 4
"""The one that is compared where a paper states none."""
_MEASURES = ("psnr", "ssim", "lpips")
_DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3}
_DOMAIN = "natural"  # of photos, which all these tables are about
_TABLE = re.compile(r".*?\b(?:tables?|figures?) [0-9]+(?: and [0-9]+)*")
_Claims = dict[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class Pair:
    """Two systems of one table, the better one first by what decides: the first measure stated.

    Args:
        above: the system that the paper has above the other.
        below: the other one.
        claimed: measure -> by how much ``above`` is better, mean over the sets; NaN where the paper
            only says so.
        ours: the same of our figures; empty where one of them has none.
        images: how many images both were measured on.
    """

    above: str
    below: str
    claimed: Mapping[str, float]
    ours: Mapping[str, float]
    images: int

    @property
    def agreeing(self) -> list[str]:
        """Measures by which ours are ordered as the paper's."""
        return [
            name
            for name, value in self.ours.items()
            if value * (1.0 if math.isnan(self.claimed[name]) else self.claimed[name]) > 0
        ]

    @property
    def verdict(self) -> str:
        """Whether the paper's order is ours."""
        if not self.ours:
            return "not measured"
        if len(self.agreeing) == len(self.ours):
            return "yes"
        by = ", ".join(MEASURES.get(name).label for name in self.agreeing)
        return f"by {by} only" if by else "no"


def order_section(
    systems: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Row],
    facts: Sequence[Facts],
    results: PathLike,
) -> list[str]:
    """Return the lines of the section "Who is above whom"; none without tables of two systems.

    Args:
        systems: name -> content of its YAML file.
        rows: every measured row that may be published.
        facts: training of the systems.
        results: folder that holds the ledger of the campaign.
    """
    gains = validation_gains(Path(results) / LEDGER)
    lines: list[str] = []
    for table, claims in _tables(systems).items():
        sets = _judges(claims, systems, rows)
        pairs = list(_pairs(claims, sets, rows))
        if pairs:
            lines += _table(table, sets, pairs, rows, facts, gains)
    if not lines:
        return []
    return [
        "### Who is above whom\n",
        "Each pair of systems in each table of the papers, the paper's better one first, and by "
        "how much: of its figures, and of ours, on the images that both were measured on, at "
        f"x{SCALE}. A positive figure means better, of LPIPS too. Where the order is another here, "
        "the last column says what was measured: PSNR over bicubic on the validation photos after "
        "stage 1 and after the adversarial stage (`benchmarks/results/campaign.csv`), or how long "
        "a system was trained that the campaign has not reached.\n",
        *lines,
    ]


def _tables(systems: Mapping[str, Mapping[str, Any]]) -> dict[str, _Claims]:
    """Return table -> system -> its claims there."""
    found: dict[str, _Claims] = {}
    for name, content in systems.items():
        for claim in content.get("claims") or ():
            match = _TABLE.match(str(claim.get("source", "")))
            if match is not None:
                found.setdefault(match[0], {}).setdefault(name, []).append(claim)
    return dict(sorted(found.items()))


def _pairs(claims: _Claims, sets: Sequence[str], rows: Sequence[Row]) -> Iterator[Pair]:
    for a, b in itertools.combinations(claims, 2):
        claimed = _claimed(claims[a], claims[b])
        if not claimed:
            continue
        above, below = a, b
        first = next(iter(claimed.values()))
        if first < 0:
            above, below = b, a
        sign = -1 if first < 0 else 1
        claimed = {name: sign * value for name, value in claimed.items()}
        if "rank" in claimed:
            claimed = dict.fromkeys(("psnr", "ssim"), math.nan)
        ours, images = _ours(above, below, claimed, sets, rows)
        yield Pair(above, below, claimed, ours, images)


def _claimed(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return measure -> by how much the first is better, mean over the sets; or their ranks'."""
    found: dict[str, float] = {}
    for name in _MEASURES:
        differences = [
            MEASURES.get(name).gain(float(one[name]), float(other[name]))
            for one in a
            for other in b
            if one.get("set") == other.get("set") and {name} <= one.keys() & other.keys()
        ]
        if differences:
            found[name] = statistics.fmean(differences)
    ranks = [claims[0].get("rank") for claims in (a, b)]
    if not found and None not in ranks and ranks[0] != ranks[1]:
        found["rank"] = float(ranks[1] - ranks[0])
    return found


def _judges(
    claims: _Claims, systems: Mapping[str, Mapping[str, Any]], rows: Sequence[Row]
) -> tuple[str, ...]:
    """Return the sets that a table is judged on: its own, where all of them are measured.

    Where its systems learn from images that were shrunk in another way, small images are made so.
    """
    named = {
        re.sub(r"[^a-z0-9]", "", part.lower())
        for each in itertools.chain.from_iterable(claims.values())
        for part in str(each.get("set", "")).split("+")
    }
    sets = tuple(sorted(named)) if named <= {row.set for row in rows} else SETS
    is_otherwise = any(systems[name].get("degradation") for name in claims)
    return tuple(f"{name}{OPENCV}" for name in sets) if is_otherwise else sets


def _ours(
    above: str, below: str, claimed: Mapping[str, float], sets: Sequence[str], rows: Sequence[Row]
) -> tuple[dict[str, float], int]:
    """Return by how much the one is better than the other, means over the images of both."""
    one, other = (
        {(r.set, r.image): r for r in rows
         if r.system == name and r.scale == SCALE and r.set in sets}
        for name in (above, below)
    )  # fmt: skip
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return {}, 0
    means = {
        name: statistics.fmean(
            MEASURES.get(name).gain(one[key][name], other[key][name]) for key in shared
        )
        for name in claimed
    }
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}, len(shared)


def _table(
    table: str,
    sets: Sequence[str],
    pairs: Sequence[Pair],
    rows: Sequence[Row],
    facts: Sequence[Facts],
    gains: Mapping[str, list[float]],
) -> list[str]:
    measured = [pair for pair in pairs if pair.ours]
    kept = sum(pair.verdict == "yes" for pair in measured)
    lines = [
        f"**{table}**: {kept} of {len(measured)} measured pairs as in the paper, on "
        f"{', '.join(sets)}.\n",
        "| above | below | claimed | ours | images | as in the paper | what was measured |",
        "|---|---|---|---|---:|---|---|",
    ]
    for pair in pairs:
        cells = [
            pair.above,
            pair.below,
            _told(pair.claimed),
            _told(pair.ours) or "-",
            str(pair.images or "-"),
            pair.verdict,
            "-" if pair.verdict == "yes" else _reason(pair, rows, facts, gains),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _told(figures: Mapping[str, float]) -> str:
    if figures and all(map(math.isnan, figures.values())):
        return "better, without figures"
    units = {"psnr": " dB"}
    return ", ".join(
        f"{MEASURES.get(name).label} {'+' if value >= 0 else ''}{fixed(value, _DIGITS[name])}"
        f"{units.get(name, '')}"
        for name, value in figures.items()
    )


def _reason(
    pair: Pair, rows: Sequence[Row], facts: Sequence[Facts], gains: Mapping[str, list[float]]
) -> str:
    told = []
    for name in (pair.above, pair.below):
        if not any(row.system == name and row.scale == SCALE for row in rows):
            told.append(f"{name} is not trained here")
        elif name in gains:
            told.append(f"{name} {' then '.join(f'{gain:+.2f} dB' for gain in gains[name])}")
        else:
            minutes = [f.minutes for f in facts if (f.system, f.domain, f.scale)
                       == (name, _DOMAIN, SCALE) and not math.isnan(f.minutes)]  # fmt: skip
            told += [f"{name} trained {minutes[0]:.0f} minutes"] if minutes else []
    return "; ".join(told) or "-"


def validation_gains(ledger: PathLike) -> dict[str, list[float]]:
    """Return system -> PSNR over bicubic on the validation photos after each stage, in dB.

    Args:
        ledger: table of the campaign; an absent one has nothing.
    """
    found: dict[str, list[float]] = {}
    for line in _ledger(ledger):
        if (system := _system_of(line["job"])) and line["val_psnr"]:
            gain = float(line["val_psnr"]) - float(line["bicubic_psnr"])
            found.setdefault(system, []).append(gain)
    return found


def _ledger(file: PathLike) -> list[dict[str, str]]:
    """Return the lines of a ledger, stages in order; an absent file has none."""
    if not Path(file).is_file():
        return []
    with Path(file).open(newline="", encoding="utf-8") as stream:
        return sorted(csv.DictReader(stream), key=lambda line: line["job"])


def _system_of(job: str) -> str:
    """Return the system of a job that is compared here, empty for another one."""
    bundle, network, _stage = job.split("/")
    system, _, scale = network.rpartition("_x")
    return system if (bundle, scale) == (f"{_DOMAIN}_sr", str(SCALE)) else ""
