"""Keep what a measured system costs and how it was trained: one line a system, domain and scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tables import Table

from monai_sr.core.types import PathLike

UNDERTRAINED_MEGAPIXELS = 20.0
"""Rows whose training saw less say so: it is 130 photographs of 481 x 321 pixels, seen once."""


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


def _text(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.5g}"


_TABLE = Table(
    Facts, "benchmarks/systems.py", _text, group=lambda line: line.key, order=lambda line: line.key
)


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
    return _TABLE.read(path)


def write_facts(path: PathLike, facts: Iterable[Facts]) -> None:
    """Put lines into a CSV file in place of those of the same system, domain and scale.

    A line without a speed keeps the line of the same weights that has one.

    Raises:
        OutputError: if the file cannot be written.
    """
    known = {line.key: line for line in read_facts(path)}
    _TABLE.write(path, [f for f in facts if not _loses_speed(f, known.get(f.key, f))])


def _loses_speed(new: Facts, old: Facts) -> bool:
    is_lost = math.isnan(new.output_mp_per_s) and not math.isnan(old.output_mp_per_s)
    return is_lost and new.weights_sha256 == old.weights_sha256
