"""Measure what every face of the bundles invents, beside bicubic, and what of it is true.

Example: ``python benchmarks/invented.py --root DATA --bundle satellite_sr``; writes
benchmarks/results/invented.csv and docs/results.md. Judged are all weights that a bundle has. Where
opensr-test is measured, the reference stands for a result that is right: what a figure can reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from command import exit_code
from invented_rows import FILE, OPENSR, REFERENCE, SFRC, write_invented
from results_page import OUTPUT, RESULTS, write_table

from monai_sr.core.bundles import find_bundle
from monai_sr.core.models import list_models
from monai_sr.evaluation import (
    Benchmark,
    Row,
    System,
    evaluate,
    first_of_classes,
    load_benchmark,
    measure_image,
)
from monai_sr.evaluation.candidates import find_candidates
from monai_sr.functional import upsample
from monai_sr.metrics import Comparison, find_measures

JUDGED = {
    "satellite_sr": dict.fromkeys(("naip", "landsat", "ucmerced"), (*OPENSR, *SFRC)),
    "natural_sr": {"set14": SFRC},
    "xray_sr": {"xray": SFRC},
    "mri_sr": {"mr": SFRC},
}
"""Bundle -> benchmarks -> what is measured there, beside PSNR."""
PER_CLASS = {"xray": 6}
"""Benchmark -> how many images of each class are judged unless told otherwise; all of others."""
FACES = ("model", "fast", "perceptual", "robust")


def run(options: argparse.Namespace) -> None:
    """Measure system after system; rows are kept after each."""
    for bundle in options.bundle:
        having = {"model", *list_models(find_bundle(bundle))}
        faces = [face for face in FACES if face in having]
        systems = [c.build()[0] for c in find_candidates(bundle, options.scale, faces)]
        for name, measures in JUDGED[bundle].items():
            benchmark = load_benchmark(name)
            per_class = options.per_class or PER_CLASS.get(name)
            for system in systems:
                rows = evaluate(
                    benchmark, options.root, system, options.scale,
                    measures=measures, per_class=per_class,
                )  # fmt: skip
                write_invented(options.results / FILE, rows)
            if set(OPENSR) <= set(measures):
                rows = judge_reference(benchmark, options.root, options.scale, measures, per_class)
                write_invented(options.results / FILE, rows)
    write_table(options.results, options.output)


def judge_reference(
    benchmark: Benchmark, root: str, scale: int, measures: Sequence[str], per_class: int | None
) -> Iterator[Row]:
    """Judge the references as if a system had made them, one row at a time."""
    chosen, _ = find_measures(measures)
    system = System(REFERENCE, upsample)
    for image in first_of_classes(benchmark.images(root, scale), per_class):
        hr, lr = benchmark.load_pair(image, scale)
        found = Comparison(hr, hr, lr, scale, benchmark.protocol)
        yield measure_image(benchmark, image, system, found, chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the benchmark images")
    parser.add_argument("--bundle", nargs="+", default=list(JUDGED), choices=list(JUDGED))
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--per-class", type=int, help="judge that many images of each class")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
