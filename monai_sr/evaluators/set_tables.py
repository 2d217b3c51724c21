"""Format the measured rows of one benchmark at one scale as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai_sr.evaluators.benchmark import BICUBIC
from monai_sr.evaluators.facts import Facts, find_facts
from monai_sr.evaluators.rows import Row
from monai_sr.evaluators.summary import Summary, fixed, short, summaries, summarize

_MEASURES = (
    # field, decimals, whether more is better
    ("psnr", 2, True),
    ("ssim", 4, True),
    ("lpips", 4, False),
    ("gmsd", 4, False),
    ("dss", 4, True),
    ("lr_psnr", 2, True),
)


def main_table(
    rows: Sequence[Row], expected: int | None, facts: Sequence[Facts], *, is_luma: bool
) -> list[str]:
    """Return the lines of the table of means, one system a line, and the notes below it.

    Args:
        rows: of one set, scale and protocol.
        expected: how many images the whole set has, None where it is open.
        facts: costs and training of the systems.
        is_luma: whether PSNR and SSIM are those of luma.
    """
    systems = summaries(rows)
    best = _best(systems)
    plane = "-Y" if is_luma else ""
    heads = [
        "system", f"PSNR{plane} (dB)", f"SSIM{plane}", "LPIPS", "GMSD", "DSS", "LR-PSNR (dB)",
        "Δ PSNR", "Δ SSIM", "parameters", "MACs/px", "MP/s", "MP seen", "minutes",
        "images", "weights",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 2)}---|"]
    for s in systems:
        known = find_facts(facts, s.system, rows[0].scale, s.weights, rows[0].set)
        cells = [
            marked_name(s.system, known),
            *(
                f"**{text}**" if text == best.get(name) and s.images == _full(systems) else text
                for name, digits, _ in _MEASURES
                for text in [fixed(getattr(s, name), digits)]
            ),
            *_difference(rows, s.system),
            short(known.parameters),
            short(known.multiply_adds_per_output_pixel),
            short(known.output_mp_per_s),
            short(known.hr_megapixels_seen),
            short(known.minutes),
            f"{s.images} of {expected}" if expected not in (None, s.images) else str(s.images),
            f"`{s.weights[:12]}`" if s.weights else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [
        f"{s.system}: {s.left_out} of {s.images} results equal the reference; their infinite PSNR "
        "is left out of the mean.\n"
        for s in systems
        if s.left_out
    ]
    return lines


def marked_name(system: str, facts: Facts) -> str:
    """Return the name of a system with the marks that its training asks for."""
    dagger = " †" if facts.uses_lpips_features else ""
    return system + dagger + (" *undertrained*" if facts.is_undertrained else "")


def class_table(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """Return the lines of a table with one column for each class of images."""
    counts = {label: len({r.image for r in rows if r.label == label}) for label in labels}
    heads = [f"{label} ({counts[label]})" for label in labels]
    lines = [
        "By class, PSNR (dB) / SSIM / LPIPS / GMSD / DSS / LR-PSNR (dB):\n",
        f"| system | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(labels)}",
    ]
    for summary in summaries(rows):
        cells = [summary.system]
        for label in labels:
            part = [r for r in rows if r.label == label and r.system == summary.system]
            s = summarize(part) if part else None
            cells.append(
                " / ".join(fixed(getattr(s, name), digits) for name, digits, _ in _MEASURES)
                if s
                else "-"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _full(systems: Sequence[Summary]) -> int:
    return max(s.images for s in systems)


def _best(systems: Sequence[Summary]) -> dict[str, str]:
    """Return the text of the best figures, of systems that were run on all images."""
    if len(systems) == 1:
        return {}
    found = {}
    for name, digits, is_more_better in _MEASURES:
        values = [getattr(s, name) for s in systems if s.images == _full(systems)]
        values = [value for value in values if not math.isnan(value)]
        if values:
            found[name] = fixed(max(values) if is_more_better else min(values), digits)
    return found


def _difference(rows: Sequence[Row], system: str) -> tuple[str, str]:
    """Compare a system with bicubic on the images that both have."""
    base = {(r.label, r.image): r for r in rows if r.system == BICUBIC.name}
    pairs = [
        (row, base[row.label, row.image])
        for row in rows
        if row.system == system and (row.label, row.image) in base
    ]
    finite = [(a, b) for a, b in pairs if float("inf") not in (a.psnr, b.psnr)]
    if system == BICUBIC.name or not finite:
        return "-", "-"
    psnr = sum(a.psnr - b.psnr for a, b in finite) / len(finite)
    ssim = sum(a.ssim - b.ssim for a, b in pairs) / len(pairs)
    return f"{psnr:+.2f}", f"{ssim:+.4f}"
