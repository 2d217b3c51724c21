"""Say how long the systems of the papers were trained here, and which of them were not.

A network that lies under bicubic by PSNR and by LPIPS says nothing of its architecture: training
did not come past where it starts. Such a system has no row of figures, but a command.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_sr.core.types import PathLike
from monai_sr.evaluation.benchmark import BICUBIC
from monai_sr.evaluation.facts import Facts
from monai_sr.evaluation.rows import Row
from monai_sr.networks.systems import generator_class

_HOURS_FROM_MINUTES = 90
Key = tuple[str, int, str]
"""System, scale, SHA-256 of the weights."""


def key_of(row: Row | Facts) -> Key:
    """Return what training is told of."""
    return (row.system, row.scale, row.weights_sha256)


def learns(content: Mapping[str, Any]) -> bool:
    """Tell whether a system has weights, by the content of its YAML file."""
    definition = content.get("network_def")
    return definition is not None and generator_class(definition).info.learns != "nothing"


def find_untrained(
    rows: Sequence[Row], systems: Mapping[str, Mapping[str, Any]]
) -> dict[Key, tuple[float, float]]:
    """Return systems that lie under bicubic by PSNR and by LPIPS, means over all that was measured.

    Args:
        rows: every measured row.
        systems: name -> content of its YAML file; only those that learn are looked at.

    Returns:
        Differences to bicubic on the same images: PSNR in dB, LPIPS.
    """
    base = {_image(row): row for row in rows if row.system == BICUBIC.name}
    trained = {name for name, content in systems.items() if learns(content)}
    pairs: dict[Key, list[tuple[float, float]]] = {}
    for row in rows:
        other = base.get(_image(row))
        if row.system in trained and other is not None:
            difference = (row.psnr - other.psnr, row.lpips - other.lpips)
            if all(map(math.isfinite, difference)):
                pairs.setdefault(key_of(row), []).append(difference)
    means = {
        key: (statistics.fmean(a for a, _ in found), statistics.fmean(b for _, b in found))
        for key, found in pairs.items()
    }
    return {key: mean for key, mean in means.items() if mean[0] < 0 < mean[1]}


def _image(row: Row) -> tuple[str, int, str, str, str]:
    return (row.set, row.scale, row.protocol, row.label, row.image)


def untrained_section(
    systems: Mapping[str, Mapping[str, Any]],
    untrained: Mapping[Key, tuple[float, float]],
    rows: Sequence[Row],
    facts: Sequence[Facts],
) -> list[str]:
    """Return the lines that name the systems without figures, and how a GPU trains them.

    Args:
        systems: name -> content of its YAML file.
        untrained: what :func:`find_untrained` found.
        rows: every measured row; a system that learns and has none is named, too.
        facts: costs and training of the systems.
    """
    domains = {key_of(fact): fact.domain for fact in facts}
    named = {
        (key[0], domains.get(key, "natural"), key[1]): f"{psnr:+.2f} dB and {lpips:+.4f} LPIPS"
        for key, (psnr, lpips) in untrained.items()
    }
    measured = {row.system for row in rows}
    for name, content in systems.items():
        if learns(content) and name not in measured:
            named[name, "natural", 4] = "no weights"
    if not named:
        return []
    lines = [
        "### Not trained here\n",
        "What a processor's time did not bring over bicubic, by PSNR and by LPIPS, means over all "
        "images measured, has no row of figures. A GPU trains it:\n",
        "| system | domain | scale | command | beside bicubic |",
        "|---|---|---:|---|---:|",
    ]
    for (name, domain, scale), found in sorted(named.items()):
        stages = " --stages 2" if "discriminator_def" in systems[name] else ""
        command = (
            f"monai-sr train --bundle {domain}_sr --system {name} --scale {scale}{stages} "
            f"--dataset_dir DIR --minutes 60 -o runs/{name}"
        )
        lines.append(f"| {name} | {domain} | x{scale} | `{command}` | {found} |")
    return [*lines, ""]


def campaign_curves(results: PathLike) -> dict[str, list[Path]]:
    """Return the learning curves that the campaign keeps: network and scale -> files, in order.

    Args:
        results: folder that holds ``campaign/<bundle>-<network>_x<scale>-stage_<n>.csv``.
    """
    found: dict[str, list[Path]] = {}
    for file in sorted(Path(results).glob("campaign/*-*-stage_*.csv")):
        found.setdefault(file.stem.split("-")[1], []).append(file)
    return found


def curves_section(results: PathLike) -> list[str]:
    """Return the lines that show the curves, drawn by ``benchmarks/curves.py``."""
    networks = campaign_curves(results)
    if not networks:
        return []
    lines = [
        "## Learning curves\n",
        "Of every run of the campaign, over minutes of training (`python benchmarks/curves.py`); "
        "PSNR is that of the validation images.\n",
    ]
    lines += [f"![Learning curves of {name}](curves/{name}.png)\n" for name in networks]
    return lines


def told_time(facts: Iterable[Facts]) -> str:
    """Return how long systems were trained, from what was written down; empty where nothing was.

    Args:
        facts: of one system, maybe at several scales.
    """
    known = [(f.scale, _time(f.minutes)) for f in facts if not math.isnan(f.minutes)]
    times = list(dict.fromkeys(text for _, text in known))
    if not times:
        return ""
    if len(times) == 1:
        return times[0]
    return ", ".join(f"{text} (x{scale})" for scale, text in known)


def _time(minutes: float) -> str:
    if minutes < _HOURS_FROM_MINUTES:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.1f} hours"
