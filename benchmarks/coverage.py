"""Measure whether the 90 % interval of uncertainty holds: clean, degraded and foreign input.

Example: ``python benchmarks/coverage.py --root DATA --bundle xray_sr``; writes
benchmarks/results/coverage.csv, docs/results.md, and into the bundle's ``metadata.json`` what maps
of uncertainty say of themselves. benchmarks/coverage.yaml says what is measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from command import exit_code
from coverage_rows import COVERAGE_TABLE, FILE, CoverageRow, keep_measured, row_of
from degraded_input import CLEAN, CONDITIONS, Domain, load_domains
from interval_samples import evenly, take_sample
from results_page import OUTPUT, RESULTS, write_table
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.core import find_bundle
from monai_sr.evaluation import Benchmark, load_benchmark
from monai_sr.transforms import compare_with_training, interval_widening

CONFIG = Path(__file__).with_name("coverage.yaml")
_SEED_DIGITS = 15


@dataclass(frozen=True)
class Judge:
    """A bundle at a scale, with its interval.

    Args:
        bundle: its name.
        scale: the enlargement.
        count: images of each set.
    """

    bundle: str
    scale: int
    count: int

    def rows(self, domain: Domain, foreign: Sequence[str], root: Path) -> Iterator[CoverageRow]:
        """Judge the bundle's own sets at all strengths, and foreign ones.

        Raises:
            SRError: if a set is incomplete, or nothing was fitted for the weights.
        """
        metadata = find_bundle(self.bundle) / "configs" / "metadata.json"
        given: dict[str, Any] = {"scale": self.scale, "device": "cpu", "uncertainty": True}
        resolver = SuperResolver.from_bundle(self.bundle, **given)
        factor = json.loads(metadata.read_text(encoding="utf-8"))["uncertainty"]["factors"]
        widening = interval_widening(metadata, self.scale)
        cells = [(name, False, strength) for name in domain.sets for strength in CONDITIONS]
        for name, is_foreign, strength in [*cells, *((name, True, CLEAN) for name in foreign)]:
            samples, told = [], []
            benchmark = load_benchmark(name)
            for lr, hr in self._pairs(benchmark, root, domain, strength, resolver.in_channels):
                sample = take_sample(resolver, lr, hr)
                unusual = compare_with_training(
                    [lr.numpy()], metadata, resolver.weights_sha256, self.scale
                )
                told.append(unusual.is_outside or bool(widening.told(sample.reading)))
                samples.append(sample)
            yield row_of(
                samples, told, factor[str(self.scale)], widening,
                bundle=self.bundle, scale=self.scale, set=name, is_foreign=is_foreign,
                strength=strength, weights_sha256=resolver.weights_sha256,
            )  # fmt: skip

    def _pairs(
        self, benchmark: Benchmark, root: Path, domain: Domain, strength: str, channels: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield small images as a sensor delivers them, and large ones, in channels of ours."""
        for image in evenly(benchmark.images(root), self.count):
            whole, small = benchmark.load_pair(image, self.scale)
            seed = int(image.digest[:_SEED_DIGITS], 16)
            lr, hr = domain.vary(small, whole, strength, seed)
            noisy = domain.spoil(lr, strength, seed, benchmark.protocol).noisy
            yield as_channels(noisy[0].float(), channels), as_channels(hr[0].float(), channels)


def as_channels(image: Tensor, channels: int) -> Tensor:
    """Return an image with as many channels: of color the mean, grey three times, bands the first.

    Shape: image (C, H, W) in [0, 1] -> (channels, H, W).
    """
    if image.shape[0] == channels:
        return image
    if channels == 1 and image.shape[0] == 3:
        return image.mean(0, keepdim=True)
    if image.shape[0] == 1:
        return image.expand(channels, -1, -1)
    return image[:channels]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    domains = {domain.bundle: domain for domain in load_domains().values()}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds the images")
    parser.add_argument("--bundle", nargs="+", default=list(domains), choices=list(domains))
    parser.add_argument("--scales", nargs="+", type=int, default=[4, 2])
    parser.add_argument("--count", type=int, default=content["count"], help="images of a set")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    options = parser.parse_args(arguments)

    def work() -> None:
        for bundle in options.bundle:
            for scale in options.scales:
                start = time.monotonic()
                judge = Judge(bundle, scale, options.count)
                foreign = [name for name in content["foreign"] if name not in domains[bundle].sets]
                rows = list(judge.rows(domains[bundle], foreign, options.root))
                COVERAGE_TABLE.write(options.results / FILE, rows)
                keep_measured(find_bundle(bundle) / "configs" / "metadata.json", rows)
                logging.info("%s x%d: %.0f s", bundle, scale, time.monotonic() - start)
        write_table(options.results, options.output)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
