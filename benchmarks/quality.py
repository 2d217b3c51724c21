"""Measure bicubic and bundles on benchmarks; writes benchmarks/results/*.csv and docs/results.md.

Example: ``python benchmarks/quality.py --root DATA --sets set5 xray --bundle natural_sr``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from command import exit_code
from facts import Facts, write_facts
from results_page import FACTS, OUTPUT, RESULTS, write_table

from monai_sr.evaluation import BICUBIC, System, evaluate, load_benchmark, write_rows
from monai_sr.evaluation.candidates import find_candidates
from monai_sr.metrics import FAST, STANDARD

_logger = logging.getLogger("monai_sr.quality")


def bundle_system(bundle: str, scale: int, options: argparse.Namespace) -> tuple[System, Facts]:
    """Wrap a bundle as a system, with its costs; its name tells what differs from its defaults."""
    (_, candidate) = find_candidates(
        bundle,
        scale,
        consistency=options.consistency,
        size=options.size,
        perception=options.perception,
        robust=options.robust,
    )
    system, costs = candidate.build()
    facts = Facts(
        system=system.name,
        domain=Path(bundle).name.removesuffix("_sr"),
        scale=scale,
        loss_features="squeezenet1_1" if options.perception else "",
        weights_sha256=system.weights_sha256,
        note="shipped; its training is described in the bundle's documentation",
        **costs,
    )
    return system, facts


def systems(options: argparse.Namespace) -> Iterator[tuple[int, System, Facts | None]]:
    """Build every system that was asked for, scale by scale."""
    for scale in options.scales:
        if not options.no_bicubic:
            yield scale, BICUBIC, None
        for bundle in options.bundle:
            yield scale, *bundle_system(bundle, scale, options)


def run(options: argparse.Namespace) -> None:
    """Evaluate, keep the rows and write the table."""
    benchmarks = [load_benchmark(name) for name in options.sets]
    for scale, system, facts in systems(options):
        for benchmark in benchmarks:
            measures = FAST if options.no_perceptual else STANDARD
            rows = list(evaluate(benchmark, options.root, system, scale, measures=measures))
            write_rows(options.results / f"{benchmark.name}.csv", rows)
            mean = sum(row["psnr"] for row in rows) / len(rows)
            _logger.info("%s x%d %s: %.2f dB", benchmark.name, scale, system.name, mean)
        if facts is not None:
            write_facts(options.results / FACTS, [facts])
    write_table(options.results, options.output)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the benchmark images")
    parser.add_argument("--sets", nargs="+", default=["set5", "set14", "bsd100", "xray"])
    parser.add_argument("--scales", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--bundle", nargs="*", default=[], help="names or paths of bundles")
    parser.add_argument("--consistency", type=int, help="steps; the bundle's own number by default")
    parser.add_argument("--size", choices=("best", "fast"), default="best")
    parser.add_argument("--perception", type=float, help="share of the perceptual weights")
    parser.add_argument("--robust", action="store_true", help="the weights for degraded input")
    parser.add_argument("--no-bicubic", action="store_true", help="keep the bicubic rows there are")
    parser.add_argument(
        "--no-perceptual", action="store_true", help="leave LPIPS, GMSD and DSS out"
    )
    parser.add_argument("--threads", type=int, help="CPU threads of the network")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
