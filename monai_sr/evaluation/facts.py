"""Keep what a measured system costs and how it was trained: one line a system, domain and scale."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from monai_sr.core.types import PathLike
from monai_sr.evaluation.csv_tables import read_table, write_table

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
        multiply_adds_per_output_pixel: see :mod:`monai_sr.evaluation.complexity`.
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


def read_facts(path: PathLike) -> list[Facts]:
    """Read a CSV file of facts; an absent file has none.

    Raises:
        BadImageError: if the file holds something else.
    """
    return read_table(path, HEADER, _facts, "benchmarks/systems.py")


def write_facts(path: PathLike, facts: Iterable[Facts]) -> None:
    """Put lines into a CSV file in place of those of the same system, domain and scale.

    Raises:
        OutputError: if the file cannot be written.
    """
    lines = {line.key: line for line in [*read_facts(path), *facts]}
    write_table(path, HEADER, (lines[key].cells() for key in sorted(lines)))


def hardware(device: torch.device) -> str:
    """Name the processor that a network runs on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.processor()


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
