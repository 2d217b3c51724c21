"""Train systems under one equal budget of wall time a stage; called again, it goes on.

Example: ``python benchmarks/train_systems.py --bundle natural_sr --dataset_dir DIR --minutes 4``.
Stage 1 is the bundle's ``train.yaml``, stage 2 its ``train_gan.yaml`` for systems that have a
discriminator. Each run's ``done.json`` tells minutes, steps and high-resolution megapixels seen.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from monai_sr.apps.bundles import find_bundle
from monai_sr.core.atomic import atomic_file
from monai_sr.networks import find_system, list_systems, read_system
from monai_sr.networks.registry import GENERATORS

Job = tuple[str, int]
"""(system, scale)"""
DOUBLED = ("srcnn", "vdsr", "edsr_baseline", "hybrid_cnn_gan")
"""Systems that are trained for x2 too; those that serve both scales need no second run."""


def jobs(names: Sequence[str]) -> list[Job]:
    """List the runs of some systems, or of all that learn: x4 first, then x2."""
    learned = [
        name
        for name in names or list_systems()
        if GENERATORS.get(read_system(name)["network_def"]["name"]).info.learns != "nothing"
    ]
    return [(n, 4) for n in learned] + [(n, 2) for n in learned if n in DOUBLED]


def train(job: Job, options: argparse.Namespace) -> None:
    """Run what is missing of the stages of one system."""
    name, scale = job
    content = read_system(name)
    folder: Path = options.runs / find_bundle(options.bundle).name / f"{name}_x{scale}"
    stages = [("train", folder / "stage_1", [])]
    if "discriminator_def" in content:
        start = ["--pretrained", str(folder / "stage_1" / "model.pt")]
        stages.append(("train_gan", folder / "stage_2", start))
    for config, output, extra in stages:
        if (output / "done.json").exists():
            continue
        print(f"{name} x{scale} {config} ...", flush=True)
        output.mkdir(parents=True, exist_ok=True)
        with (output / "log.txt").open("a") as log:
            status = subprocess.run(
                [*command(config, name, options), "--scale", str(scale),
                 "--output_dir", str(output), *extra],
                stdout=log, stderr=log, check=False,
                env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
            ).returncode  # fmt: skip
        if status:
            print(f"{name} x{scale} {config}: failed with {status}, see {output}/log.txt")
            return
        finish(output)


def command(config: str, system: str, options: argparse.Namespace) -> list[str]:
    """Build the bundle command of one stage."""
    root = find_bundle(options.bundle)
    files = [str(root / "configs" / f"{config}.yaml"), str(find_system(system))]
    words = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(root)]
    words += ["--config_file", str(files), "--minutes", str(options.minutes)]
    words += ["--dataset_dir", str(options.dataset_dir), "--precision", options.precision]
    words += ["--validate#dataset#largest_side", "256", "--train#state#every", "50"]
    if options.validation_dir:
        words += ["--validation_dir", str(options.validation_dir)]
    return words


def finish(output: Path) -> None:
    """Write down what a finished stage has seen."""
    facts: dict[str, float] = {}
    curve = output / "curve.csv"
    if curve.exists():
        with curve.open(newline="") as stream:
            last = list(csv.DictReader(stream))[-1]
        facts = {key: float(last[key]) for key in ("step", "minutes", "hr_megapixels")}
    with atomic_file(output / "done.json") as partial:
        partial.write_text(json.dumps(facts))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="natural_sr", help="whose configurations are used")
    parser.add_argument("--dataset_dir", required=True, help="folder of training images")
    parser.add_argument("--validation_dir", help="folder of validation images")
    parser.add_argument("--minutes", type=float, default=4.0, help="wall time a stage")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--systems", nargs="*", default=[], help="names; all that learn by default")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run")
    parser.add_argument("--runs", type=Path, default=Path("runs/systems"), help="folder of runs")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: train(job, options), jobs(options.systems)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
