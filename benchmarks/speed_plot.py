"""Draw decibels against speed of all systems from benchmarks/results/*.csv to docs/speed.svg.

Speed is that of networks in PyTorch (systems.csv) and of the bundles' models with each runtime
(speed.csv, kind ``memory``, else ``rgb``), in output megapixels per second on a logarithmic axis;
decibels are the mean PSNR on Set14 x 4 (set14.csv). Needs matplotlib:
``pip install 'monai-sr[plot]'``.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import mean

from monai_sr.core.optional import import_extra

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCALE, DOMAIN, BUNDLE = "4", "natural", "natural_sr"
_KINDS = ("memory", "rgb")
_LOWEST = 22.0  # dB: what a misused system gives is no matter of speed


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table, none where it is not there."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def quality() -> dict[str, float]:
    """Return the mean PSNR of each system."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows("set14"):
        if row["scale"] == SCALE and row["psnr"]:
            values[row["system"]].append(float(row["psnr"]))
    return {name: mean(found) for name, found in values.items()}


def points() -> list[tuple[str, float, float, bool]]:
    """Return name, speed, decibels and whether it is a model of ours."""
    psnr, found = quality(), []
    for row in rows("systems"):
        name, speed = row["system"], row["output_mp_per_s"]
        is_shown = (row["domain"], row["scale"]) == (DOMAIN, SCALE)
        if is_shown and speed and psnr.get(name, 0) >= _LOWEST:
            found.append((name, float(speed), psnr[name], False))
    ours = [r for r in rows("speed") if r.get("model") == BUNDLE and r["scale"] == SCALE]
    kind = next((k for k in _KINDS if any(r["kind"] == k for r in ours)), "")
    for row in ours:
        is_fast = row["size"] == "fast"
        name = f"{BUNDLE}, fast" if is_fast else BUNDLE
        if row["kind"] == kind and name in psnr:
            label = f"{'fast' if is_fast else 'best'}, {row['runtime']} {row['precision']}"
            found.append((label, float(row["output_mp_per_s"]), psnr[name], True))
    return found


def main() -> None:
    """Write the picture."""
    plot = import_extra("matplotlib.pyplot", extra="plot")
    plot.rcParams["svg.fonttype"] = "none"  # text stays text: a small file
    figure, axes = plot.subplots(figsize=(7.5, 4.5))
    for is_ours, color in ((False, "0.5"), (True, "C0")):
        chosen = [p for p in points() if p[3] == is_ours]
        axes.scatter([p[1] for p in chosen], [p[2] for p in chosen], s=14, color=color)
        for name, speed, decibels, _ in chosen:
            axes.annotate(
                name, (speed, decibels), xytext=(3, 3), textcoords="offset points", fontsize=7,
                color=color,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("output megapixels per second")
    axes.set_ylabel("PSNR on Set14 × 4 (dB, luminance)")
    axes.grid(visible=True, linewidth=0.3)
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "speed.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
