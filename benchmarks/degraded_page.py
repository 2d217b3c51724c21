"""Write the section of the results page on degraded input: a table a domain, and who wins where."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from degraded_input import CLEAN, CONDITIONS, FACES, STRENGTHS, Domain, load_domains
from degraded_rows import EDGE, DegradedRow
from summary import fixed

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.evaluation import BICUBIC

ORDER = (BICUBIC.name, *FACES)
_HEADS = ("input", "face", "PSNR", "below bicubic", "noise gain", "fine noise", "MTF50")
Cells = dict[tuple[str, str], list[DegradedRow]]
"""(strength, face) -> its rows, images and edges."""

INTRODUCTION = """\
## Degraded input

What faces make of input as sensors deliver it: the sensor models of `configs/degradations` at three
fixed strengths (`benchmarks/degraded.yaml`), all stages one after the other, on small images that
bicubic reduction made. Strong is near the end of what robust weights are trained over; few devices
show all of it at once. Every face gets the same noise. From `python benchmarks/degraded.py`.

- PSNR: dB by the protocol of the set, against the original. Below bicubic: images whose PSNR is
  lower than that of bicubic on the same input.
- Noise gain: root mean square of what the noise changes in the result, over that of the noise in
  the input. 1 passes it on as strong as it was.
- Fine noise: share of the power of what the noise changes beyond the Nyquist frequency of the small
  image, in percent. No input holds anything so fine: it is noise that was sharpened into specks
  (bicubic's few percent are the side lobes of its kernel).
- MTF50: where a slanted edge (ISO 12233) from 0.3 to 0.7, degraded and enlarged as the images are,
  has lost half of its contrast, in cycles a small pixel, whose Nyquist frequency is 0.5; mean of
  four directions. It is about one large edge, which networks know well, and no word on texture.
- Bold: the best of PSNR, fine noise and MTF50 at each strength. No figure decides alone: bicubic is
  calm and blurred.
"""


def standing_faces(
    rows: Sequence[DegradedRow], domains: Mapping[str, Domain]
) -> tuple[list[DegradedRow], list[DegradedRow]]:
    """Divide rows into those of the weights that bundles have now, or of none, and those of others.

    Rows of a domain that is measured no more are others, too.
    """
    present = {
        (name, face): weights_sha256(file)
        for name, domain in domains.items()
        for face, file in domain.faces.items()
    }
    present |= {(name, BICUBIC.name): "" for name in domains}
    kept: list[DegradedRow] = []
    stale: list[DegradedRow] = []
    for row in rows:
        is_present = present.get((row.domain, row.face)) == row.weights_sha256
        (kept if is_present else stale).append(row)
    return kept, stale


def degraded_section(
    rows: Sequence[DegradedRow], domains: Mapping[str, Domain] | None = None
) -> list[str]:
    """Return the lines of the section; none if nothing was measured.

    Args:
        rows: of any domains and scales.
        domains: those of benchmarks/degraded.yaml by default.
    """
    domains = load_domains() if domains is None else domains
    kept, stale = standing_faces(rows, domains)
    lines = [INTRODUCTION] if kept else []
    for name, domain in domains.items():
        for scale in sorted({row.scale for row in kept if row.domain == name}):
            part, others = (
                [row for row in group if (row.domain, row.scale) == (name, scale)]
                for group in (kept, stale)
            )
            lines += _domain_lines(domain, scale, part, others)
    return lines


def _domain_lines(
    domain: Domain, scale: int, rows: Sequence[DegradedRow], stale: Sequence[DegradedRow]
) -> list[str]:
    cells: Cells = {
        (strength, face): found
        for strength in CONDITIONS
        for face in ORDER
        if (found := [row for row in rows if (row.strength, row.face) == (strength, face)])
    }
    images = len({(row.set, row.image) for row in rows if row.set != EDGE})
    sets = ", ".join(f"`{name}`" for name in domain.sets)
    return [
        f"### {domain.title} x{scale}, degraded\n",
        f"{images} images of {sets}; faces of `{domain.bundle}`. {_strengths_line(domain)}\n",
        f"| {' | '.join(_HEADS)} |",
        f"|---|---|{'---:|' * (len(_HEADS) - 2)}",
        *(line for strength in CONDITIONS for line in _strength_lines(cells, strength)),
        "",
        *(line for strength in CONDITIONS for line in _winner_line(cells, strength)),
        "",
        *_missing_note(domain, rows, stale),
    ]


def _strengths_line(domain: Domain) -> str:
    """Return what the stages do at each strength."""
    stages = domain.sensors[STRENGTHS[0]].stages
    told = []
    for stage, given in zip(stages, domain.stages, strict=True):
        values = [
            f"{name} {' / '.join('-' if v is None else f'{v:g}' for v in each)}"
            for name, each in given.items()
        ]
        told.append(f"{type(stage).__name__} ({', '.join(values)})")
    return f"{' / '.join(STRENGTHS)}: {', '.join(told)}."


def _strength_lines(cells: Cells, strength: str) -> list[str]:
    found = {face: cells[strength, face] for face in ORDER if (strength, face) in cells}
    psnr = {face: _mean(rows, "psnr") for face, rows in found.items()}
    sharp = {face: _mean(rows, "mtf50") for face, rows in found.items()}
    fine = {face: _mean(rows, "fine_noise") for face, rows in found.items()}
    lines = []
    for face, rows in found.items():
        texts = [
            strength,
            face,
            _marked(fixed(psnr[face], 2), fixed(max(psnr.values()), 2)),
            _losing(rows, found.get(BICUBIC.name, [])),
            fixed(_mean(rows, "noise_gain"), 2),
            _marked(fixed(fine[face], 1), fixed(min(fine.values()), 1)),
            _marked(fixed(sharp[face], 3), fixed(max(sharp.values()), 3)),
        ]
        lines.append(f"| {' | '.join(texts)} |")
    return lines


def _marked(text: str, best: str) -> str:
    return f"**{text}**" if text == best != "-" else text


def _losing(rows: Sequence[DegradedRow], bicubic: Sequence[DegradedRow]) -> str:
    base = _by_image(bicubic)
    lost = [value < base[image] for image, value in _by_image(rows).items() if image in base]
    is_base = bool(rows) and rows[0].face == BICUBIC.name
    return "-" if is_base or not lost else f"{sum(lost)} of {len(lost)}"


def _by_image(rows: Sequence[DegradedRow]) -> dict[tuple[str, str], float]:
    return {(row.set, row.image): row.psnr for row in rows if math.isfinite(row.psnr)}


def _winner_line(cells: Cells, strength: str) -> list[str]:
    """Say which face has the highest mean PSNR, by how much, and on how many images it is best."""
    each = {face: _by_image(cells.get((strength, face), ())) for face in ORDER}
    each = {face: values for face, values in each.items() if values}
    means = {face: statistics.fmean(values.values()) for face, values in each.items()}
    if len(means) < 2:
        return []
    first, second = sorted(means, key=lambda face: -means[face])[:2]
    images = each[first]
    best = sum(
        all(value >= other.get(image, -math.inf) for other in each.values())
        for image, value in images.items()
    )
    lead = f"{means[first] - means[second]:.2f} dB before {second}"
    against = means[first] - means.get(BICUBIC.name, math.nan)
    above = f", {against:+.2f} dB to bicubic" if BICUBIC.name not in (first, second) else ""
    return [
        f"- {strength}: **{first}** wins by PSNR, {lead}{above}; best on {best} of {len(images)} "
        f"images.{_calmest(cells, strength)}"
    ]


def _calmest(cells: Cells, strength: str) -> str:
    if strength == CLEAN:
        return ""
    gains = {face: _mean(cells.get((strength, face), ()), "noise_gain") for face in ORDER}
    known = {face: gain for face, gain in gains.items() if math.isfinite(gain)}
    if not known:
        return ""
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    return f" Calmest: {low} ({known[low]:.2f}); loudest: {high} ({known[high]:.2f})."


def _missing_note(
    domain: Domain, rows: Sequence[DegradedRow], stale: Sequence[DegradedRow]
) -> list[str]:
    shown, others = ({row.face for row in group} for group in (rows, stale))
    old = sorted(others - shown, key=ORDER.index)
    unmeasured = [face for face in domain.faces if face not in shown | others]
    lacking = [face for face in FACES if face not in domain.faces]
    notes = []
    if old:
        notes.append(f"Left out, for the bundle has other weights now: {', '.join(old)}.")
    if unmeasured:
        notes.append(f"Not measured yet: {', '.join(unmeasured)}.")
    if lacking:
        notes.append(f"`{domain.bundle}` has no weights: {', '.join(lacking)}.")
    return [f"{' '.join(notes)}\n"] if notes else []


def _mean(rows: Sequence[DegradedRow], name: str) -> float:
    values = [value for row in rows if math.isfinite(value := getattr(row, name))]
    return statistics.fmean(values) if values else math.nan
