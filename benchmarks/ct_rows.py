"""Keep what is measured on CT in Hounsfield units, one line a slice, and show the means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from summary import fixed
from tables import Table

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.evaluation import BICUBIC

ROOT = Path(__file__).resolve().parents[1]
CHOSEN = "ct_sr"
"""Bundle that the automatic choice takes for CT; a test holds it."""
FILE = "ct_hu.csv"
"""Name of the table among the measured rows."""
CLEAN, MEDIUM = "clean", "medium"
ORIGINAL, INPUT = "original", "input"
"""Systems of the rows that describe what results are held against."""
REGIONS = {"air": "air", "lung": "lung", "fat": "fat", "soft tissue": "soft", "bone": "bone"}
"""Region of benchmarks/ct.yaml -> column."""
DESCRIBED = (*REGIONS.values(), "lowest", "highest")
"""Columns that tell of an image itself."""


@dataclass(frozen=True, kw_only=True)
class CTRow:
    """Hold what was measured on one slice; NaN where it has no meaning.

    Args:
        set: name of the image in benchmarks/ct.yaml.
        image: of the slice.
        scale: the enlargement.
        system: what enlarged it.
        condition: ``clean`` or ``medium``, what the small image was.
        psnr: dB on the range of the file.
        ssim: likewise.
        psnr_soft: dB in the window of soft tissue, values held in it.
        ssim_soft: likewise.
        lr_psnr: dB on the range of the file, against the small image.
        lowest: smallest value of the result, HU.
        highest: largest value.
        air: mean of the result in a region, HU; likewise ``lung``, ``fat``, ``soft``, ``bone``.
        weights_sha256: of the system.
    """

    set: str
    image: str
    scale: int
    system: str
    condition: str
    psnr: float = math.nan
    ssim: float = math.nan
    psnr_soft: float = math.nan
    ssim_soft: float = math.nan
    lr_psnr: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    air: float = math.nan
    lung: float = math.nan
    fat: float = math.nan
    soft: float = math.nan
    bone: float = math.nan
    weights_sha256: str = ""


CT_TABLE = Table(
    CTRow,
    "benchmarks/ct.py",
    "{:.4f}".format,
    group=lambda r: (r.set, r.scale, r.system),
    order=lambda r: (r.set, r.scale, r.system, r.image, r.condition),
)


INTRODUCTION = f"""\
## CT in Hounsfield units

The automatic choice takes `{CHOSEN}` for CT. It was trained on that person's chest, so
it has no row there; [the decision](decisions/ct.md) says what training gained on slices of that
person that it did not see. Small files: bicubic, rounded to whole units; each is enlarged
as any file is. PSNR and SSIM: on the range of the original; soft: values held in -160 ... 240 HU
(center 40, width 400). Medium: blurred to 25 % at Nyquist and with the noise of filtered back
projection, 20 HU in the small image (`benchmarks/ct.yaml`); judged against the clean original.
LR-PSNR: against the small image as it was fed, with its noise. Seven slices of one person, one
slice each of two others and a phantom rank bundles and are too few for a claim on CT in general.
From `python benchmarks/ct.py`.
"""
_HEADS = ("PSNR", "SSIM", "PSNR soft", "SSIM soft", "LR-PSNR")
_FIELDS = ("psnr", "ssim", "psnr_soft", "ssim_soft", "lr_psnr")


def ct_section(measured: Sequence[CTRow]) -> list[str]:
    """Return the lines of the section on CT; none if nothing was measured.

    Rows of weights that no bundle has now are left out.

    Args:
        measured: of any images and scales.
    """
    present = {weights_sha256(file) for file in ROOT.glob("bundles/*/models/model*.pt")}
    rows = [row for row in measured if not row.weights_sha256 or row.weights_sha256 in present]
    lines = [INTRODUCTION] if rows else []
    for scale in sorted({row.scale for row in rows}):
        for name in dict.fromkeys(row.set for row in rows):
            part = [row for row in rows if (row.set, row.scale) == (name, scale)]
            lines += _table(name, scale, part)
        lines += _regions([row for row in rows if row.scale == scale], scale)
    return lines


def _table(name: str, scale: int, rows: Sequence[CTRow]) -> list[str]:
    slices = len({row.image for row in rows})
    heads = [f"{head}{mark}" for mark in ("", ", medium") for head in _HEADS]
    lines = [
        f"### {name} x{scale}, {slices} slice{'s' * (slices > 1)}\n",
        f"| system | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
    ]
    cells = _means(rows)
    systems = [s for s in dict.fromkeys(row.system for row in rows) if s not in (ORIGINAL, INPUT)]
    columns = [(field, c) for c in (CLEAN, MEDIUM) for field in _FIELDS]
    for system in systems:
        texts = [_figure(cells, system, field, condition, systems) for field, condition in columns]
        lines.append(f"| {system} | {' | '.join(texts)} |")
    return [*lines, ""]


def _digits(field: str) -> int:
    return 4 if field.startswith("ssim") else 2


def _figure(
    cells: Mapping[tuple[str, str, str], float],
    system: str,
    field: str,
    condition: str,
    systems: Sequence[str],
) -> str:
    value = cells[system, field, condition]
    if math.isnan(value):
        return "-"
    text = fixed(value, _digits(field))
    best = max(cells[each, field, condition] for each in systems)
    return f"**{text}**" if text == fixed(best, _digits(field)) else text


def _regions(rows: Sequence[CTRow], scale: int) -> list[str]:
    """Return means of regions of clean slices, and the ends of what results hold."""
    part = [row for row in rows if row.condition == CLEAN and not math.isnan(row.soft)]
    having = {name: {r.system for r in part if r.set == name} for name in {r.set for r in part}}
    part = [row for row in part if having[row.set] == {each.system for each in part}]
    if not part:
        return []
    cells = _means(part)
    heads = [*REGIONS, "smallest", "largest"]
    lines = [
        f"### Means of regions x{scale}, HU\n",
        "Of the slices in Hounsfield units that every system has, clean: mean of the values where "
        "the small image shows a region (limits in `benchmarks/ct.yaml`), in the original, in the "
        "small image, and in results; smallest and largest value of a slice, mean of the slices.\n",
        f"| | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
    ]
    named = dict.fromkeys(row.system for row in part)
    first = [s for s in (ORIGINAL, INPUT, BICUBIC.name) if s in named]
    for system in [*first, *(s for s in named if s not in first)]:
        texts = [fixed(cells[system, field, CLEAN], 1) for field in DESCRIBED]
        lines.append(f"| {system} | {' | '.join(texts)} |")
    return [*lines, ""]


def _means(rows: Sequence[CTRow]) -> dict[tuple[str, str, str], float]:
    """Return the mean of each figure: (system, field, condition) -> mean of the slices."""
    fields = (*_FIELDS, *DESCRIBED)
    found = {}
    for system in {row.system for row in rows}:
        for condition in (CLEAN, MEDIUM):
            group = [r for r in rows if (r.system, r.condition) == (system, condition)]
            for field in fields:
                values = [v for r in group if math.isfinite(v := getattr(r, field))]
                found[system, field, condition] = statistics.fmean(values) if values else math.nan
    return found
