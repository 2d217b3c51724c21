"""Measure what noise and blur in the input cost: bicubic, faithful, perceptual and robust.

Example: ``python benchmarks/degraded.py --root DATA``; writes benchmarks/results/degraded.csv and
docs/results.md. X-rays are also given to the natural bundle's perceptual and robust weights, for
the X-ray bundle has none of its own.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from degraded_rows import FILE, judge_degraded, write_degraded
from results_page import OUTPUT, RESULTS, write_table

from monai_sr.core.errors import SRError
from monai_sr.evaluation import first_of_classes, load_benchmark
from monai_sr.evaluation.candidates import find_candidates

JUDGED = {
    "set14": [("natural_sr", ["model", "perceptual", "robust"])],
    "xray": [("xray_sr", ["model"]), ("natural_sr", ["perceptual", "robust"])],
}
"""Benchmark -> bundles and what of them is judged, beside bicubic."""


def run(options: argparse.Namespace) -> None:
    """Measure system after system; rows are kept after each."""
    for name in options.sets:
        benchmark = load_benchmark(name)
        images = list(first_of_classes(benchmark.images(options.root), options.per_class))
        judged = {
            candidate.name: candidate
            for bundle, faces in JUDGED[name]
            for candidate in find_candidates(bundle, options.scale, faces)
        }
        for candidate in judged.values():
            system, _ = candidate.build()
            rows = list(judge_degraded(benchmark, images, system, options.scale))
            write_degraded(options.results / FILE, rows)
            logging.info("%s x%d %s", name, options.scale, system.name)
    write_table(options.results, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the benchmark images")
    parser.add_argument("--sets", nargs="+", default=list(JUDGED), choices=list(JUDGED))
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--per-class", type=int, help="judge that many images of each class")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)
    try:
        run(options)
    except SRError as error:
        sys.stderr.write(f"monai-sr: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
