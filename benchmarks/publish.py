"""Copy measured figures to where people read them: README, bundle documents, metadata, results.

``python benchmarks/publish.py`` writes docs/results.md, rewrites the tables between the marks
``<!-- figures -->`` and ``<!-- /figures -->`` (``invented`` beside perceptual weights) and the
``eval_metrics`` of every bundle, all from ``benchmarks/results/*.csv``. It refuses rows that were
measured with other weights than a bundle ships, or on fewer images than bicubic. ``--check`` only
compares. The table of docs/xray-protocol.md shows the systems of :data:`BY_CLASS`, class by class.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from facts import read_facts
from invented_rows import FILE as INVENTED
from invented_rows import perceptual_block, present_rows, read_invented
from results_page import FACTS, OUTPUT, render
from summary import Summary, standing, summarize

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.models import WAYS, weighed_models
from monai_sr.evaluation import BICUBIC, Row, load_benchmark, mean_interval, read_rows
from monai_sr.metrics import FAST

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHOWN = {
    "natural_sr": [(name, scale) for scale in (4, 2) for name in ("set5", "set14", "bsd100")],
    "xray_sr": [("xray", 4), ("xray", 2)],
    "ct_sr": [("ct", 4), ("ct", 2)],
    "mri_sr": [("mr", 4), ("mr", 2)],
    "satellite_sr": [(name, scale) for scale in (4, 2) for name in ("ucmerced", "naip", "landsat")],
}
VOLUMES = {"mri_sr": [("mr_volumes", 2)]}
NAMES = {"set5": "Set5", "set14": "Set14", "bsd100": "BSD100", "xray": "chest X-rays",
         "mr": "brain MR slices", "mr_volumes": "brain MR volumes", "ucmerced": "UC Merced chips",
         "naip": "NAIP, bands", "landsat": "Landsat, bands",
         "ct": "CT slices"}  # fmt: skip
BY_CLASS = (BICUBIC.name, "srcnn", "edsr_baseline", "xray_sr")
Figures = dict[tuple[str, int], tuple[Summary, Summary, Summary, float]]
"""(set, scale) -> means of bicubic, of ours, of our fast size, median gain of ours over the images.
"""


def measured(bundle: str) -> Figures:
    """Return the figures of a bundle's present weights.

    Raises:
        SystemExit: if a set was not measured with these weights.
    """
    models = ROOT / "bundles" / bundle / "models"
    files = {bundle: models / "model.pt", f"{bundle}, fast": models / "model_fast.pt"}
    weights = {system: weights_sha256(file) for system, file in files.items()}
    found: Figures = {}
    for name, scale in SHOWN[bundle]:
        rows = [r for r in read_rows(RESULTS / f"{name}.csv") if r.scale == scale]
        ours, fast = (
            [row for row in _of(rows, system) if row.weights_sha256 == present]
            for system, present in weights.items()
        )
        if not ours or not fast:
            raise SystemExit(f"{name} x{scale}: not measured with {bundle}'s present weights; "
                             "run benchmarks/quality.py")  # fmt: skip
        bicubic = _of(rows, BICUBIC.name)
        if not len(ours) == len(fast) == len(bicubic):
            raise SystemExit(f"{name} x{scale}: must be measured on {len(bicubic)} images, got "
                             f"{len(ours)} and {len(fast)}; run benchmarks/quality.py")  # fmt: skip
        before = {(row.label, row.image): row["psnr"] for row in bicubic}
        gain = statistics.median(row["psnr"] - before[row.label, row.image] for row in ours)
        found[name, scale] = (summarize(bicubic), summarize(ours), summarize(fast), gain)
    return found


def _of(rows: Iterable[Row], system: str) -> list[Row]:
    return [row for row in rows if row.system == system]


def table(figures: Figures) -> str:
    """Format figures as a Markdown table."""
    lines = [
        "| images | scale | bicubic | ours | gain | median gain | SSIM | LR-PSNR | `--size fast` |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, scale), (bicubic, ours, fast, median) in figures.items():
        lines.append(
            f"| {NAMES[name]} | ×{scale} | {bicubic['psnr']:.2f} | {ours['psnr']:.2f} "
            f"| {ours['psnr'] - bicubic['psnr']:+.2f} | {median:+.2f} "
            f"| {ours['ssim']:.4f} | {ours['lr_psnr']:.1f} | {fast['psnr']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def class_table() -> str:
    """Format what the protocol for chest X-rays finds, a line for each scale and system."""
    benchmark = load_benchmark("xray")
    rows, _ = standing(read_rows(RESULTS / "xray.csv"), read_facts(RESULTS / FACTS))
    before = {(r.scale, r.label, r.image): r["psnr"] for r in _of(rows, BICUBIC.name)}
    heads = [f"{label} ({count})" for label, count in benchmark.classes.items()]
    lines = [
        f"| scale | system | {' | '.join(heads)} | all | gain over bicubic (95 %) | images |",
        f"|---|---|{'---:|' * (len(heads) + 3)}",
    ]
    for scale in (2, 4):
        for system in BY_CLASS:
            part = [row for row in _of(rows, system) if row.scale == scale]
            groups = [[row for row in part if row.label == label] for label in benchmark.classes]
            means = [summarize(group) for group in (*groups, part)]
            gains = [row["psnr"] - before[scale, row.label, row.image] for row in part]
            gain = mean_interval(gains, [_owner(row) for row in part])
            cells = [
                f"×{scale}",
                system,
                *(f"{mean['psnr']:.2f} / {mean['ssim']:.4f}" for mean in means),
                f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})"
                if system != BICUBIC.name
                else "-",
                str(len(part)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _owner(row: Row) -> str:
    """Return the patient, or the image where that is not known, as the protocol says."""
    found = re.match("([0-9]{8})_", row.image)
    return found[1] if found else row.image


def metadata(path: Path, figures: Figures) -> str:
    """Return a bundle's metadata with its measured means."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["eval_metrics"] = {
        f"{name}_x{scale}_{metric}": round(ours[metric], 4)
        for (name, scale), (_, ours, *_) in figures.items()
        for metric in FAST
    }
    content["model_figures"] = {
        way: found
        for way, entry in weighed_models(path.parents[1]).items()
        if (found := _model_figures(path.parents[1], way, entry))
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _model_figures(bundle: Path, way: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was measured with the present weights of one model: speed, and means of sets."""
    ways = {"best": "", "perceptual": ", perception 1"}
    system = bundle.name + ways.get(way, f", {way}") if way in WAYS else way
    sums = {scale: weights_sha256(bundle / file) for scale, file in entry["weights"].items()}
    found: dict[str, Any] = {}
    for facts in read_facts(RESULTS / FACTS):
        is_it = facts.system == system and facts.weights_sha256 in sums.values()
        if is_it and facts.scale == 4 and not math.isnan(facts.output_mp_per_s):
            found |= {"output_mp_per_s": facts.output_mp_per_s, "threads": int(facts.threads)}
            found |= {"hardware": facts.device}
    sets: dict[str, Any] = {}
    for name, scale in (*SHOWN[bundle.name], *VOLUMES.get(bundle.name, ())):
        rows = [r for r in read_rows(RESULTS / f"{name}.csv") if r.scale == scale]
        present = sums.get("any", sums.get(str(scale)))
        ours = [row for row in _of(rows, system) if row.weights_sha256 == present]
        bicubic = _of(rows, BICUBIC.name)
        if present and len(ours) == len(bicubic):
            mean, before = summarize(ours), summarize(bicubic)
            sets[f"{NAMES[name]} x{scale}"] = {
                "psnr": round(mean["psnr"], 4),
                "gain_over_bicubic": round(mean["psnr"] - before["psnr"], 4),
                **{metric: round(mean[metric], 4) for metric in ("ssim", "lpips", "lr_psnr")},
            }
    return found | ({"sets": sets} if sets else {})


def main() -> int:
    """Rewrite or check every file; return 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    options = parser.parse_args()
    wanted: dict[Path, str] = {}
    everything: Figures = {}
    invented = present_rows(read_invented(RESULTS / INVENTED))
    for bundle in SHOWN:
        figures = measured(bundle)
        everything |= figures
        document = ROOT / "bundles" / bundle / "docs" / "README.md"
        text = _filled(document.read_text(encoding="utf-8"), table(figures))
        if (document.parents[1] / "models" / "model_perceptual.pt").is_file():
            text = _filled(text, perceptual_block(bundle, invented), "invented")
        wanted[document] = text
        description = ROOT / "bundles" / bundle / "configs" / "metadata.json"
        wanted[description] = metadata(description, figures)
    for path, lines in (
        (ROOT / "README.md", table(everything)),
        (ROOT / "docs" / "xray-protocol.md", class_table()),
    ):
        wanted[path] = _filled(path.read_text(encoding="utf-8"), lines)
    wanted[ROOT / OUTPUT] = render(RESULTS)
    stale = [p for p, text in wanted.items() if p.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'is stale' if options.check else 'written'}")
        if not options.check:
            path.write_text(wanted[path], encoding="utf-8")
    return int(bool(stale) and options.check)


def _filled(text: str, lines: str, mark: str = "figures") -> str:
    """Put lines between two marks of a text."""
    block = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    filled, count = block.subn(lambda match: match[1] + lines + match[2], text)
    if not count:
        raise SystemExit(f"<!-- {mark} --> and <!-- /{mark} --> must stand in the document")
    return filled


if __name__ == "__main__":
    sys.exit(main())
