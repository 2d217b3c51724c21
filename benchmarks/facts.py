"""Keep what a measured system costs and how it was trained: one line a system, domain and scale."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError
from monai_sr.core.text import safe_cell, true_cell
from monai_sr.core.types import PathLike

T = TypeVar("T")

UNDERTRAINED_MEGAPIXELS = 20.0
"""Rows whose training saw less say so: it is 130 photographs of 481 x 321 pixels, seen once."""

_TEXT = ("system", "domain", "device", "loss_features", "weights_sha256", "note")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Hold the costs and the training of one weights file at one scale; NaN where unknown.

    Args:
        system: as in the rows of measured images.
        domain: kind of images it was trained for, such as ``natural``.
        scale: the enlargement.
        parameters: learned values.
        multiply_adds_per_output_pixel: see :mod:`monai_sr.evaluation.candidates`.
        output_mp_per_s: pixels of the result in millions a second, all channels at once.
        threads: of the CPU.
        device: name of the processor that the speed was measured on.
        hr_megapixels_seen: high-resolution pixels of all training batches, both stages.
        minutes_stage_1: time of training with a pixel loss.
        minutes_stage_2: time of adversarial training.
        steps_stage_1: iterations of the first stage.
        steps_stage_2: iterations of the second one.
        loss_features: network whose features a loss used, such as ``squeezenet1_1``.
        weights_sha256: SHA-256 of the weights file, empty where it has none.
        note: what else a reader must know.
    """

    system: str
    domain: str
    scale: int
    parameters: float = math.nan
    multiply_adds_per_output_pixel: float = math.nan
    output_mp_per_s: float = math.nan
    threads: float = math.nan
    device: str = ""
    hr_megapixels_seen: float = math.nan
    minutes_stage_1: float = math.nan
    minutes_stage_2: float = math.nan
    steps_stage_1: float = math.nan
    steps_stage_2: float = math.nan
    loss_features: str = ""
    weights_sha256: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """Order lines by system, domain and scale."""
        return (self.system, self.domain, self.scale)

    @property
    def minutes(self) -> float:
        """Minutes of both stages; NaN where neither is known."""
        known = [m for m in (self.minutes_stage_1, self.minutes_stage_2) if not math.isnan(m)]
        return sum(known) if known else math.nan

    @property
    def is_undertrained(self) -> bool:
        """Whether training is known to have seen too little to judge the architecture by."""
        return self.hr_megapixels_seen < UNDERTRAINED_MEGAPIXELS

    @property
    def uses_lpips_features(self) -> bool:
        """Whether a loss compared features of the network behind our LPIPS."""
        return self.loss_features.startswith("squeezenet")

    def cells(self) -> list[str]:
        """Return the line as text, in the order of the fields."""
        return [_cell(getattr(self, f.name)) for f in fields(self)]


HEADER = [f.name for f in fields(Facts)]


def find_facts(
    facts: Iterable[Facts], system: str, scale: int, weights: str, set_name: str
) -> Facts:
    """Return the line of a weights file; without one, a line in which everything is unknown.

    Args:
        facts: where to look.
        system: name in the rows.
        scale: the enlargement.
        weights: SHA-256 of the weights that the rows were measured with.
        set_name: the benchmark; where weights serve several domains, the one of its name is meant.
    """
    found = sorted(
        (f for f in facts if (f.system, f.scale, f.weights_sha256) == (system, scale, weights)),
        key=lambda f: (f.domain != set_name, f.domain),
    )
    return found[0] if found else Facts(system=system, domain="", scale=scale)


def marked_name(system: str, facts: Facts) -> str:
    """Return the name of a system with the marks that its training asks for."""
    dagger = " †" if facts.uses_lpips_features else ""
    return system + dagger + (" *undertrained*" if facts.is_undertrained else "")


def read_facts(path: PathLike) -> list[Facts]:
    """Read a CSV file of facts; an absent file has none.

    Raises:
        BadImageError: if the file holds something else.
    """
    return read_table(path, HEADER, _facts, "benchmarks/systems.py")


def write_facts(path: PathLike, facts: Iterable[Facts]) -> None:
    """Put lines into a CSV file in place of those of the same system, domain and scale.

    A line without a speed keeps the line of the same weights that has one.

    Raises:
        OutputError: if the file cannot be written.
    """
    lines = {line.key: line for line in read_facts(path)}
    for line in facts:
        before = lines.get(line.key, line)
        loses_speed = math.isnan(line.output_mp_per_s) and not math.isnan(before.output_mp_per_s)
        if not (loses_speed and line.weights_sha256 == before.weights_sha256):
            lines[line.key] = line
    write_table(path, HEADER, (lines[key].cells() for key in sorted(lines)))


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return str(int(value)) if value == int(value) else f"{value:.5g}"


def _facts(text: dict[str, str]) -> Facts:
    words = {name: text[name] for name in _TEXT}
    numbers = {k: float(v or "nan") for k, v in text.items() if k not in (*_TEXT, "scale")}
    return Facts(scale=int(text["scale"]), **words, **numbers)  # type: ignore[arg-type]


def read_table(
    path: PathLike, header: Sequence[str], make: Callable[[dict[str, str]], T], script: str
) -> list[T]:
    """Read a table; an absent file has no lines.

    Args:
        path: the file.
        header: its columns.
        make: builds what is returned of a line; may raise ValueError.
        script: what writes the table, for the remedy of an error.

    Raises:
        BadImageError: if the file holds something else.
    """
    if not Path(path).exists():
        return []
    with Path(path).open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    try:
        if lines[0] != list(header):
            raise ValueError("another header")
        return [make(dict(zip(header, map(true_cell, cells), strict=True))) for cells in lines[1:]]
    except (ValueError, IndexError) as error:
        raise BadImageError(
            f"{path}: must be a table with the columns {', '.join(header)}, got {error}; "
            f"move it away and run {script} again"
        ) from error


def write_table(path: PathLike, header: Sequence[str], lines: Iterable[Iterable[str]]) -> None:
    """Write a table; it appears whole.

    Raises:
        OutputError: if the file cannot be written.
    """
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(safe_cell, line) for line in lines)
