"""Compare our figures of opensr-test with those of the package, on the images of satellite_sr.

Example: ``python benchmarks/opensr_package.py --root DATA``, where opensr-test is installed; writes
benchmarks/results/opensr_package.csv and docs/results.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from command import exit_code
from opensr_package_rows import PACKAGE, PACKAGE_TABLE, PackageRow, compare_figures
from results_page import OUTPUT, RESULTS, write_table

from monai_sr.evaluation import enlarge_image, load_benchmark
from monai_sr.evaluation.candidates import find_candidates
from monai_sr.metrics.protocol import to_stored

SETS = ("naip", "landsat", "ucmerced")
FACES = ("model", "perceptual")


def rows(root: str, scale: int) -> Iterator[PackageRow]:
    """Yield every figure of every image, for bicubic and two faces."""
    for candidate in find_candidates("satellite_sr", scale, FACES):
        system, _ = candidate.build()
        for name in SETS:
            benchmark = load_benchmark(name)
            for image in benchmark.images(root):
                found = enlarge_image(benchmark, image, system, scale)
                stored = (
                    to_stored(each, found.protocol)[0] for each in (found.sr, found.hr, found.lr)
                )
                parts = (each / found.protocol.data_range for each in stored)
                yield from compare_figures(
                    *parts, set=name, image=image.name, scale=scale, system=system.name
                )
            logging.info("%s x%d %s", name, scale, system.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the benchmark images")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)

    def work() -> None:
        PACKAGE_TABLE.write(options.results / PACKAGE, rows(options.root, options.scale))
        write_table(options.results, options.output)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
