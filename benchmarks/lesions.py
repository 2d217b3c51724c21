"""Measure how many small synthetic lesions every face of X-ray and MR bundles keeps and invents.

Example: ``python benchmarks/lesions.py --root DATA``; writes benchmarks/results/lesions.csv,
docs/lesions_*.svg and docs/results.md. What is inserted and how it is looked for says
benchmarks/lesions.yaml; faces are bicubic and all whose weights are in the bundle. Needs
matplotlib: ``pip install 'monai-sr[plot]'``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from command import exit_code
from lesion_plot import draw
from lesion_rows import CLEAN, DEGRADED, FILE, LESION_TABLE, REFERENCE, LesionRow, rows_of
from monai.bundle import ConfigParser
from results_page import OUTPUT, RESULTS, write_table
from torch import Tensor

from monai_sr.core.models import list_models
from monai_sr.core.registry import find_bundle
from monai_sr.evaluation import Benchmark, System, first_of_classes, load_benchmark
from monai_sr.evaluation.candidates import Candidate, find_candidates
from monai_sr.evaluation.lesion_figures import figures
from monai_sr.evaluation.lesions import Case, Corrupt, LesionTest, calibrate, look, make_case
from monai_sr.metrics import modcrop
from monai_sr.training import SensorDegradation

_logger = logging.getLogger("monai_sr.lesions")
PLAN = Path(__file__).with_name("lesions.yaml")
FACES = ("fast", "perceptual", "robust")
_SEED_DIGITS = 8


def middle(image: Tensor, side: int | None, scale: int) -> Tensor:
    """Cut the middle out, at most ``side`` wide and high, at whole small pixels; (H, W)."""
    for axis in (0, 1):
        kept = min(image.shape[axis], side or image.shape[axis])
        first = (image.shape[axis] - kept) // (2 * scale) * scale
        image = image.narrow(axis, first, kept)
    return image


def make_cases(
    test: LesionTest, benchmark: Benchmark, root: str, entry: Mapping[str, Any]
) -> list[Case]:
    """Return the images of a set with their lesions."""
    found = []
    for image in first_of_classes(benchmark.images(root), entry.get("per_class")):
        reference = modcrop(benchmark.load(image), test.scale)[0, 0]
        reference = middle(reference, entry.get("side_px"), test.scale)
        seed = int(image.digest[:_SEED_DIGITS], 16)
        found.append(make_case(test, reference, benchmark.protocol, name=image.name, seed=seed))
    return found


def candidates(bundle: str, scale: int) -> list[Candidate]:
    """Return bicubic and each face of a bundle that has weights."""
    known = list_models(find_bundle(bundle))
    return find_candidates(bundle, scale, ["model", *(face for face in FACES if face in known)])


def systems(bundle: str, scale: int) -> Iterator[System]:
    """Build bicubic and each face of a bundle that has weights, one after the other."""
    for candidate in candidates(bundle, scale):
        yield candidate.build()[0]


def sensor(stages: Sequence[Mapping[str, Any]]) -> Corrupt:
    """Return what the stages of a degradation do to a small image."""
    parser = ConfigParser({"stages": list(stages)})
    degradation = SensorDegradation(parser.get_parsed_content("stages"))
    return lambda lr, seed: degradation.corrupt(lr, torch.tensor([seed]))


def judge(name: str, plan: Mapping[str, Any], root: str) -> list[LesionRow]:
    """Judge all faces on a set, on clean and on degraded input."""
    entry, benchmark = plan["sets"][name], load_benchmark(name)
    test = LesionTest(**plan["test"], **entry["test"])
    cases = make_cases(test, benchmark, root, entry)
    thresholds = calibrate(test, cases)
    reference = [look(test, case, thresholds, None) for case in cases]
    inputs: dict[str, Corrupt | None] = {CLEAN: None, DEGRADED: sensor(entry["degraded"])}
    base: dict[str, Any] = {}
    shared = {"set_name": name, "scale": test.scale, "images": len(cases)}
    rows: list[LesionRow] = []

    def add(seen: Any, system: str, kind: str, weights: str) -> None:
        found = figures(
            test, cases, seen, thresholds=thresholds, reference=reference, base=base[kind]
        )
        rows.extend(rows_of(found, system=system, kind=kind, weights=weights, **shared))
        _logger.info("%s x%d %s, %s input", name, test.scale, system, kind)

    for system in systems(entry["bundle"], test.scale):
        for kind, corrupt in inputs.items():
            seen = [look(test, case, thresholds, system, corrupt) for case in cases]
            base.setdefault(kind, seen)
            add(seen, system.name, kind, system.weights_sha256)
    for kind in inputs:
        add(reference, REFERENCE, kind, "")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the benchmark images")
    parser.add_argument("--sets", nargs="+", default=list(plan["sets"]), choices=list(plan["sets"]))
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)

    def work() -> None:
        for name in options.sets:
            LESION_TABLE.write(options.results / FILE, judge(name, plan, options.root))
        draw(options.results / FILE, options.output.parent)
        write_table(options.results, options.output)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
