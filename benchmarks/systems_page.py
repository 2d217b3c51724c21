"""Format what the papers' systems cost, how they were trained, and their claims beside our figures.

A claim is an entry of ``claims`` in a system's YAML file: ``set`` (several joined by "+" are
pooled), ``scale`` (null where the paper does not state it), ``psnr``, ``ssim``, ``lpips`` as far as
stated, ``rank`` where a paper gives no figure (see :mod:`order_page`), ``source``, and ``why`` our
figure differs, to which the time of training is added.

A network that lies under bicubic by PSNR and by LPIPS says nothing of its architecture: training
did not come past where it starts. Such a system has no row of figures, but a command.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facts import Facts, marked_name
from summary import expected_images, fixed, grouped, literature_gain, summarize

from monai_sr.core.types import PathLike
from monai_sr.evaluation import BICUBIC, OUTPUT_SIZE, Row, short
from monai_sr.metrics import MEASURES
from monai_sr.networks.systems import generator_class

_HOURS_FROM_MINUTES = 90
Key = tuple[str, int, str]
"""System, scale, SHA-256 of the weights."""
_ORDER = ("proposal", "baseline", "variant", "shipped")
_DIGITS = {"psnr": 2, "ssim": 4, "lpips": 3}


def system_section(
    systems: Mapping[str, Mapping[str, Any]], rows: Sequence[Row], facts: Sequence[Facts]
) -> list[str]:
    """Return the lines of the section "The systems of the papers"; none without systems.

    Args:
        systems: name -> content of its YAML file.
        rows: every measured row.
        facts: costs and training of the systems.
    """
    if not systems:
        return []
    names = sorted(systems, key=lambda name: (_rank(systems[name].get("row")), name))
    lines = ["## The systems of the papers\n"]
    lines += _names(names, systems)
    lines += _shrunk_otherwise(names, systems)
    lines += _costs([f for name in names for f in facts if f.system == name])
    lines += _claims(names, systems, rows, facts)
    return lines


def _rank(kind: object) -> int:
    return _ORDER.index(str(kind)) if kind in _ORDER else len(_ORDER)


def _names(names: Sequence[str], systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["| system | title | row | paper |", "|---|---|---|---|"]
    for name in names:
        content = systems[name]
        cells = [name, *(_plain(content.get(key)) for key in ("title", "row", "paper"))]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _shrunk_otherwise(names: Sequence[str], systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say whose small images were made in another way than those of the sets above."""
    found: dict[str, list[str]] = {}
    for name in names:
        target = (systems[name].get("degradation") or {}).get("_target_", "")
        if target:
            found.setdefault(target.rpartition(".")[2], []).append(name)
    return [
        f"{', '.join(group)} learn from images that `{way}` shrinks, as their paper does, and "
        "are judged on such: photos have tables of their own above.\n"
        for way, group in found.items()
    ]


def _costs(facts: Sequence[Facts]) -> list[str]:
    if not facts:
        return []
    pixels = math.prod(OUTPUT_SIZE)
    heads = [
        "system", "domain", "scale", "parameters", "MACs/px", "MACs of 1280x720", "MP/s",
        "measured on", "HR MP seen", "minutes 1 + 2", "steps 1 + 2", "note",
    ]  # fmt: skip
    lines = [
        "### What they cost and how they were trained\n",
        f"| {' | '.join(heads)} |",
        f"|---|---|{'---:|' * 5}---|---:|---:|---:|---|",
    ]
    for f in facts:
        threads = "" if math.isnan(f.threads) else f", {f.threads:.0f} threads"
        cells = [
            marked_name(f.system, f),
            f.domain,
            f"x{f.scale}",
            short(f.parameters),
            short(f.multiply_adds_per_output_pixel),
            short(f.multiply_adds_per_output_pixel * pixels),
            short(f.output_mp_per_s),
            (f.device or "-") + threads,
            short(f.hr_megapixels_seen),
            f"{short(f.minutes_stage_1)} + {short(f.minutes_stage_2)}",
            f"{fixed(f.steps_stage_1, 0)} + {fixed(f.steps_stage_2, 0)}",
            f.note or "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _claims(
    names: Sequence[str],
    systems: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Row],
    facts: Sequence[Facts],
) -> list[str]:
    claims = [(name, claim) for name in names for claim in systems[name].get("claims") or ()]
    if not claims:
        return []
    lines = [
        "### What the papers claim, beside our figures\n",
        "PSNR (dB) / SSIM / LPIPS as far as the paper states them; ours on the same set by the "
        "protocol above, at every measured scale where the paper names none; in brackets PSNR as "
        "the literature counts grey images, and how many images, where not all.\n",
        "| system | set | scale | claimed | ours | source | why they differ |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for name, claim in claims:
        stated = [measure for measure in _DIGITS if claim.get(measure) is not None]
        scale = claim.get("scale")
        cells = [
            name,
            _plain(claim.get("set")),
            f"x{scale}" if scale else "not stated",
            " / ".join(_figure(measure, float(claim[measure])) for measure in stated) or "-",
            _ours(name, claim, stated, rows, is_trained=_is_trained(name, systems[name], rows)),
            _plain(claim.get("source")),
            _why(name, claim, rows, facts, is_gan="discriminator_def" in systems[name]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _is_trained(name: str, content: Mapping[str, Any], rows: Sequence[Row]) -> bool:
    return not learns(content) or any(row.system == name for row in rows)


def _why(
    name: str,
    claim: Mapping[str, Any],
    rows: Sequence[Row],
    facts: Sequence[Facts],
    *,
    is_gan: bool,
) -> str:
    """Return the reason that the claim gives, how long training was here, and what it left out."""
    wanted = {_key(part) for part in str(claim.get("set", "")).split("+")}
    scale = claim.get("scale")
    weights = {key_of(r) for r in rows if r.system == name and _key(r.set) in wanted}
    own = [f for f in facts if f.system == name and scale in (None, f.scale)]
    meant = [f for f in own if key_of(f) in weights]
    meant = meant or [f for f in own if f.domain == "natural"]
    time = told_time(meant)
    told = f"trained here for {time}" if time else ""
    if told and is_gan and all(f.minutes_stage_2 == 0 for f in meant):
        told += ", without its adversarial stage"
    if told and not any(row.system == name for row in rows):
        told = f"{time} of training here were not enough"
    return "; ".join(filter(None, (_plain(claim.get("why")), told)))


def _ours(
    name: str,
    claim: Mapping[str, Any],
    stated: Sequence[str],
    rows: Sequence[Row],
    *,
    is_trained: bool,
) -> str:
    """Return our means of the stated measures on the claim's sets, for one scale or for each."""
    if not stated:
        return "-"
    wanted = {_key(part) for part in str(claim.get("set", "")).split("+")}
    scale = claim.get("scale")
    found = [r for r in rows if r.system == name and _key(r.set) in wanted]
    texts = []
    for each, group in sorted(grouped(found, lambda row: row.scale), key=lambda g: str(g[0])):
        if scale in (None, each) and {_key(r.set) for r in group} == wanted:
            summary = summarize(group)
            figures = " / ".join(_figure(m, summary[m]) for m in stated)
            figures += _remark(group, stated)
            texts.append(figures if scale else f"x{each}: {figures}")
    return ", ".join(texts) or ("not measured" if is_trained else "not trained here")


def _remark(rows: Sequence[Row], stated: Sequence[str]) -> str:
    """Return what keeps our means from being read as the literature's, in brackets."""
    gain, expected = literature_gain(rows), expected_images(rows)
    remarks = []
    if gain and "psnr" in stated:
        remarks.append(f"grey as luma {_figure('psnr', summarize(rows)['psnr'] + gain)}")
    if expected > len(rows):
        remarks.append(f"{len(rows)} of {expected} images")
    return f" ({'; '.join(remarks)})" if remarks else ""


def _figure(measure: str, value: float) -> str:
    return fixed(value, _DIGITS[measure])


def _key(name: str) -> str:
    """Bring "X-ray" and "Set 5" to the names of files."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _plain(value: object) -> str:
    """Return text that fits in one cell."""
    return " ".join(str(value or "-").replace("|", "/").split())


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
            difference = (row["psnr"] - other["psnr"], row["lpips"] - other["lpips"])
            if all(map(math.isfinite, difference)):
                pairs.setdefault(key_of(row), []).append(difference)
    means = {
        key: (statistics.fmean(a for a, _ in found), statistics.fmean(b for _, b in found))
        for key, found in pairs.items()
    }
    judges = [MEASURES.get(name) for name in ("psnr", "lpips")]
    return {
        key: mean
        for key, mean in means.items()
        if all(judge.gain(change, 0) < 0 for judge, change in zip(judges, mean, strict=True))
    }


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
        rows: every measured row; a system that learns and has none of photos is named, too.
        facts: costs and training of the systems.
    """
    domains = {key_of(fact): fact.domain for fact in facts}
    named = {
        (key[0], domains.get(key, "natural"), key[1]): f"{psnr:+.2f} dB and {lpips:+.4f} LPIPS"
        for key, (psnr, lpips) in untrained.items()
    }
    measured = {row.system for row in rows if domains.get(key_of(row), "natural") == "natural"}
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


def trials_section(results: PathLike) -> list[str]:
    """Return the lines on ways to get more from training, tried by ``benchmarks/trials.py``."""
    file = Path(results) / "trials.csv"
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        trials = list(csv.DictReader(stream))
    lines = [
        "## Ways to get more from training\n",
        "Short runs of `natural_sr`, fast, at x4, each from the shipped weights, with one thing "
        "changed (`python benchmarks/trials.py`, `benchmarks/trials.yaml`). PSNR and LPIPS are "
        "those of the validation photos; another seed says what is chance. The trials named after "
        "their convolutions are networks of equal arithmetic that start from nothing; those that "
        "name no optimizer have Adam. Minutes are of one core, validation included; MP are "
        "megapixels of high-resolution patches.\n",
        "| trial | minutes | steps | MP | PSNR (dB) | LPIPS | against the start (dB) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| {' | '.join(trial.values())} |" for trial in trials]
    return [*lines, ""]


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
