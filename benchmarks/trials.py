"""Try ways to get more from the time of training: short runs of one job, judged on one set.

``python benchmarks/trials.py --data DATA`` trains the job of ``benchmarks/trials.yaml`` once for
each of its trials, from the same weights and for the same minutes, judges what they end with on
the campaign's validation images, and writes a line each to ``benchmarks/results/trials.csv``.
Those under ``from_scratch`` start from no weights: of other networks there are none. Nothing is
shipped. A trial whose run has ended is only judged.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import average
import yaml
from campaign import pinned, python_path
from campaign_jobs import ROOT, Campaign, Job, read_campaign
from campaign_judge import Figures, Judge
from campaign_runs import Had, Run
from torch import Tensor, arange

from monai_sr.core.atomic import atomic_file
from monai_sr.training import PatchLoader

TRIALS = Path(__file__).with_suffix(".yaml")
RESULTS = Path(__file__).parent / "results" / "trials.csv"
HEADER = ("trial", "minutes", "steps", "hr_megapixels", "val_psnr", "val_lpips", "against_start")


class DetailPatches(PatchLoader):
    """Of every two patches drawn, learn from the one whose values change more."""

    candidates = 2

    def batch(self, iteration: int) -> dict[str, Tensor]:
        """Cut the batch of one iteration; always the same for the same seed and files."""
        size = self.batch_size
        self.batch_size = size * self.candidates
        try:
            drawn = super().batch(iteration)
        finally:
            self.batch_size = size
        chosen = detail(drawn["label"]).view(-1, self.candidates).argmax(dim=1)
        chosen += arange(len(chosen), device=chosen.device) * self.candidates
        return {key: patches[chosen] for key, patches in drawn.items()}


def detail(patches: Tensor) -> Tensor:
    """Return the mean absolute difference of neighboring pixels of patches (N, C, H, W)."""
    down, right = patches.diff(dim=2).abs(), patches.diff(dim=3).abs()
    return down.mean(dim=(1, 2, 3)) + right.mean(dim=(1, 2, 3))


def train(campaign: Campaign, job: Job, folder: Path, options: Any) -> Path:
    """Train one trial, or go on with it, and return its weights.

    Raises:
        SystemExit: if training fails.
    """
    run = Run(folder)
    if not run.is_done:
        start = job.shipped(ROOT) if job.start else None
        command = campaign.command(job, options.data, folder, options.minutes, start)
        path = os.pathsep.join((str(TRIALS.parent), python_path()))
        with run.open_log() as log:
            process = subprocess.run(
                pinned([options.core]) + command, stdout=log, stderr=log, cwd=ROOT, check=False,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            )  # fmt: skip
        if process.returncode:
            raise SystemExit(f"{folder.name}: failed with {process.returncode}, see {log.name}")
        run.write_done()
    return run.weights


def line(name: str, figures: Figures, start: Figures, had: Had) -> dict[str, str]:
    """Return what is written of a trial."""
    return {
        "trial": name,
        "minutes": f"{had.minutes:.1f}",
        "steps": f"{had.step:.0f}",
        "hr_megapixels": f"{had.hr_megapixels:.0f}",
        "val_psnr": f"{figures.psnr:.4f}",
        "val_lpips": f"{figures.lpips:.4f}",
        "against_start": f"{figures.psnr - start.psnr:+.4f}",
    }


def write(lines: list[dict[str, str]], results: Path) -> None:
    """Write the table."""
    with atomic_file(results) as partial, partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def main(arguments: list[str] | None = None) -> int:
    """Try everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="as benchmarks/campaign.py has it")
    parser.add_argument("--minutes", type=float, default=30, help="of each trial")
    parser.add_argument("--trials", nargs="*", default=[], help="those to train; all by default")
    parser.add_argument("--core", type=int, default=0, help="of the processor")
    parser.add_argument("--runs", type=Path, default=Path("runs/trials"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    content = yaml.safe_load(TRIALS.read_text(encoding="utf-8"))
    campaign, job = read_campaign(), Job(**content["job"])
    judge = Judge(campaign, job, options.data)
    start = judge.weights(job.shipped(ROOT))
    lines = [line("start", start, start, Had())]
    from_scratch = content["from_scratch"]
    for name, told in {**content["trials"], **from_scratch}.items():
        run = Run(options.runs / name.replace(" ", "_"))
        if run.is_done or not options.trials or name in options.trials:
            tried = replace(
                job,
                start=None if name in from_scratch else job.start,
                options={**job.options, **told},
            )
            weights = train(campaign, tried, run.folder, options)
            found = Judge(campaign, tried, options.data).weights(weights)
            lines.append(line(name, found, start, run.here))
            print(", ".join(lines[-1].values()), flush=True)
            write(lines, options.results)
    for name, parts in content["averages"].items():
        runs = [Run(options.runs / part.replace(" ", "_")) for part in parts]
        if all(run.is_done for run in runs):
            mean = options.runs / f"{name.replace(' ', '_')}.pt"
            average.main([str(mean), *(f"{run.weights}={1 / len(runs)}" for run in runs)])
            had = sum((run.here for run in runs), Had())
            lines.append(line(name, judge.weights(mean), start, had))
            write(lines, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
