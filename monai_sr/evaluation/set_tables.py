"""Format the measured rows of one benchmark at one scale as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai_sr.evaluation.benchmark import BICUBIC
from monai_sr.evaluation.facts import Facts, find_facts
from monai_sr.evaluation.rows import Row
from monai_sr.evaluation.summary import Summary, fixed, short, summaries, summarize

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
    whole, parts = _divided(rows)
    lines = _table(whole, rows, expected, facts, is_luma=is_luma) if whole else []
    if parts:
        lines += [
            "Over part of the set: means of other images than above, in order of the names. Only Δ "
            "compares, with bicubic on the same images.\n",
            *_table(parts, rows, expected, facts, is_luma=is_luma, marks_best=False),
        ]
    lines += [
        f"{s.system}: {s.left_out} of {s.images} results equal the reference; their infinite PSNR "
        "is left out of the mean.\n"
        for s in (*whole, *parts)
        if s.left_out
    ]
    return lines


def _divided(rows: Sequence[Row]) -> tuple[list[Summary], list[Summary]]:
    """Divide systems into those of all images and those of fewer, these in order of their names."""
    found = summaries(rows)
    images = {s.system: {(r.label, r.image) for r in rows if r.system == s.system} for s in found}
    every = set().union(*images.values())
    whole = [s for s in found if images[s.system] == every]
    parts = [s for s in found if images[s.system] != every]
    return whole, sorted(parts, key=lambda s: (s.system != BICUBIC.name, s.system))


def _table(
    systems: Sequence[Summary],
    rows: Sequence[Row],
    expected: int | None,
    facts: Sequence[Facts],
    *,
    is_luma: bool,
    marks_best: bool = True,
) -> list[str]:
    best = _best(systems) if marks_best else {}
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
                f"**{text}**" if text == best.get(name) else text
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
    return [*lines, ""]


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
    whole, parts = _divided(rows)
    for summary in (*whole, *parts):
        cells = [summary.system]
        for label in labels:
            part = [r for r in rows if r.label == label and r.system == summary.system]
            cells.append(_class_cell(part, counts[label]))
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _class_cell(rows: Sequence[Row], whole: int) -> str:
    if not rows:
        return "-"
    s = summarize(rows)
    text = " / ".join(fixed(getattr(s, name), digits) for name, digits, _ in _MEASURES)
    return text if len(rows) == whole else f"{text} ({len(rows)} of {whole})"


def _best(systems: Sequence[Summary]) -> dict[str, str]:
    """Return the text of the best figures."""
    if len(systems) == 1:
        return {}
    found = {}
    for name, digits, is_more_better in _MEASURES:
        values = [getattr(s, name) for s in systems]
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
