"""Measure what faces make of input as sensors deliver it: all domains, three strengths and clean.

Example: ``python benchmarks/degraded.py --root DATA --sets xray --faces robust``; writes
benchmarks/results/degraded.csv and docs/results.md. What is measured says benchmarks/degraded.yaml.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from command import exit_code
from degraded_input import FACES, Domain, load_domains
from degraded_page import ORDER
from degraded_rows import DEGRADED_TABLE, FILE, DegradedRow, judge_edges, judge_images
from results_page import OUTPUT, RESULTS, write_table

from monai_sr.evaluation import BICUBIC, System, first_of_classes, load_benchmark
from monai_sr.evaluation.candidates import find_candidates


def find_system(domain: Domain, face: str, scale: int) -> System:
    """Build bicubic or a face of the domain's bundle.

    Raises:
        SRError: if its weights are missing or do not fit.
    """
    if face == BICUBIC.name:
        return BICUBIC
    candidate = find_candidates(domain.bundle, scale, [FACES[face]])[-1]
    return candidate.build()[0]


def judge(
    domain: Domain, face: str, root: Path, scale: int, per_class: int | None
) -> Iterator[DegradedRow]:
    """Judge a face on all images of a domain, and on edges."""
    system = find_system(domain, face, scale)
    for name in domain.sets:
        benchmark = load_benchmark(name)
        images = list(first_of_classes(benchmark.images(root), per_class))
        yield from judge_images(domain, benchmark, images, face, system, scale)
    channels = benchmark.load(images[0]).shape[1]
    yield from judge_edges(domain, benchmark.protocol, channels, face, system, scale)


def run(options: argparse.Namespace) -> None:
    """Measure face after face; rows are kept after each."""
    domains = load_domains()
    for domain in (domains[name] for name in options.sets):
        per_class = options.per_class or domain.per_class
        for face in options.faces or [BICUBIC.name, *domain.faces]:
            start = time.monotonic()
            rows = list(judge(domain, face, options.root, options.scale, per_class))
            DEGRADED_TABLE.write(options.results / FILE, rows)
            seconds = time.monotonic() - start
            logging.info("%s x%d %s: %.0f s", domain.name, options.scale, face, seconds)
    write_table(options.results, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds the images")
    names = list(load_domains())
    parser.add_argument("--sets", nargs="+", default=names, choices=names, help="domains")
    parser.add_argument(
        "--faces", nargs="+", choices=ORDER, help="all that the bundle has weights of by default"
    )
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--per-class", type=int, help="judge that many images of each class")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
