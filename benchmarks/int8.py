"""Measure what 8-bit integers cost in decibels: the same images in float32 and in int8.

Writes ``benchmarks/results/int8.csv``, one row for each set, scale, weights and runtime; rows of
other sets stay. Example: ``python benchmarks/int8.py --root DATA --bundle natural_sr
--sets Set5 Set14``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import SRError
from monai_sr.evaluation import evaluate, load_benchmark
from monai_sr.evaluation.candidates import Candidate
from monai_sr.runtimes import find_runtime

RESULTS = Path(__file__).parent / "results" / "int8.csv"
FIELDS = (
    "set", "scale", "bundle", "weights", "runtime", "version", "images", "psnr_float32",
    "psnr_int8", "loss", "worst_loss", "lr_psnr_float32", "lr_psnr_int8",
)  # fmt: skip
_KEY = FIELDS[:5]
FACES = {
    "model": {},
    "fast": {"size": "fast"},
    "robust": {"robust": True},
    "perceptual": {"perception": 1.0},
}


def measure(options: argparse.Namespace, name: str, scale: int, runtime: str) -> dict[str, object]:
    """Return one row of the table."""
    benchmark = load_benchmark(name)
    rows = []
    for choice in ({}, {"runtime": runtime, "precision": "int8"}):
        candidate = Candidate(options.bundle, scale, {**FACES[options.weights], **choice})
        system = candidate.build()[0]
        rows.append(list(evaluate(benchmark, options.root, system, scale, per_class=options.first)))
    exact, integer = rows
    losses = [a["psnr"] - b["psnr"] for a, b in zip(exact, integer, strict=True)]
    count = len(losses)
    return {
        "set": name,
        "scale": scale,
        "bundle": options.bundle,
        "weights": options.weights,
        "runtime": runtime,
        "version": find_runtime(runtime).version(),
        "images": count,
        "psnr_float32": f"{sum(r['psnr'] for r in exact) / count:.4f}",
        "psnr_int8": f"{sum(r['psnr'] for r in integer) / count:.4f}",
        "loss": f"{sum(losses) / count:.4f}",
        "worst_loss": f"{max(losses):.4f}",
        "lr_psnr_float32": f"{sum(r['lr_psnr'] for r in exact) / count:.2f}",
        "lr_psnr_int8": f"{sum(r['lr_psnr'] for r in integer) / count:.2f}",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder of the benchmarks")
    parser.add_argument("--bundle", default="natural_sr")
    parser.add_argument("--weights", default="model", choices=sorted(FACES))
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14"])
    parser.add_argument("--scales", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--runtimes", nargs="+", default=["openvino"])
    parser.add_argument("--first", type=int, help="images of each class")
    options = parser.parse_args(argv)
    for name in options.sets:
        for scale in options.scales:
            for runtime in options.runtimes:
                row = measure(options, name, scale, runtime)
                print("  ".join(f"{key} {row[key]}" for key in FIELDS), flush=True)
                keep(row)
    return 0


def keep(row: dict[str, object]) -> None:
    """Put a row into the table, in place of an older one."""
    kept = []
    if RESULTS.is_file():
        with RESULTS.open(encoding="utf-8", newline="") as stream:
            kept = list(csv.DictReader(stream))
    same = [str(row[key]) for key in _KEY]
    lines = [line for line in kept if [line[key] for key in _KEY] != same] + [row]
    lines.sort(key=lambda line: [str(line[key]) for key in _KEY])
    with atomic_file(RESULTS) as partial, partial.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"int8: error: {error}")
