"""Train the networks of ``benchmarks/campaign.yaml``, one after another; called again, it goes on.

``python benchmarks/campaign.py --data DATA`` takes the jobs in order on one core; ``--cores 0 1``
trains two at a time. A job that was killed continues from ``runs/``, to the end of the minutes that
it began with, whatever this call says; where its run is not on this machine but its weights were
shipped, it starts again from those, for what is left. A run whose schedule has ended counts as
done, though its job be given more hours later: ``--extend`` then trains what is missing as a new
run from its weights, with its own schedule, and the ledger says so.

Each finished job is judged on its validation images, beside what the bundle ships, its own model
and bicubic, and replaces the first only if it is better; ``benchmarks/results/campaign.csv`` keeps
what every job has cost and brought, ``benchmarks/results/campaign/`` its curve.

``--list`` shows where every job stands; ``--judge`` judges the present weights of jobs that still
run. ``--profile gpu`` does the whole list on one GPU in 40 minutes, ``--profile rehearsal`` in
seconds a job on a CPU, which ships nothing and keeps its ledger with the runs. On a lent machine
``--output DIR`` collects weights, ledger and curves; ``--take DIR`` brings them into the bundles at
home, judged like all others.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import torch
from campaign_jobs import FAITHFUL, JOBS, ROOT, SHIPPED, Campaign, Job, read_campaign
from campaign_judge import Ledger, Line, judge_and_ship
from campaign_runs import Had, Run

from monai_sr.core.devices import hardware
from monai_sr.core.errors import SRError
from monai_sr.core.fingerprint import weights_sha256

ENOUGH = 0.99
"""Share of a budget after which a job counts as done: its last epoch may not fill it."""
LARGEST_RETURN = 16 * 2**20
"""Bytes of a weights file that ``--output`` collects."""
_logger = logging.getLogger("monai_sr.campaign")


@dataclasses.dataclass
class Running:
    """A job under way."""

    job: Job
    process: subprocess.Popen[bytes]
    cores: list[int]
    log: IO[str]


class Runner:
    """Start jobs on free cores, in order, and judge them when they end."""

    def __init__(self, campaign: Campaign, options: argparse.Namespace) -> None:
        self.campaign = campaign
        self.options = options
        self.ledger = Ledger(options.results / "campaign.csv")
        self.running: list[Running] = []
        self.failed: set[str] = set()
        self.is_stopping = False

    def run_of(self, name: str) -> Run:
        """Return the run of a job, begun or not."""
        return Run(Path(self.options.runs) / name)

    def kept(self, job: Job) -> Line:
        """Return what the ledger knows of a job; nothing of hours on another kind of machine."""
        line = self.ledger.line(job)
        return line if line.profile in ("", self.options.profile) else Line(job.name)

    def spent_minutes(self, job: Job) -> float:
        """Return what a job has had: in this run, and before it, here or on other machines."""
        run = self.run_of(job.name)
        return (run.before + run.here).minutes if run.has_begun else 60 * self.kept(job).hours

    def budget(self, job: Job) -> float:
        """Return the minutes of a job's run: what it began with, else what it gets now."""
        run, line = self.run_of(job.name), self.kept(job)
        if run.budget is not None:
            return run.budget
        if line.budget_hours and (run.has_begun or not self.options.extend):
            return 60 * line.budget_hours  # runs did not always write down what they began with
        return self.campaign.minutes(job)

    def has_ended(self, job: Job) -> bool:
        """Tell whether the schedule of a job has come to its end, here or elsewhere."""
        run = self.run_of(job.name)
        if run.has_begun or job.is_fitted:
            return run.is_done  # if only its runner was killed, it takes no step and is judged
        spent = self.spent_minutes(job)
        return spent > 0 and spent >= ENOUGH * self.budget(job)

    def is_done(self, job: Job) -> bool:
        """Tell whether a job needs nothing, unless ``--extend`` gives it what its list has more."""
        if not self.has_ended(job):
            return False
        wanted = self.campaign.minutes(job) if self.options.extend and not job.is_fitted else 0.0
        return self.spent_minutes(job) >= ENOUGH * wanted

    def start_weights(self, job: Job) -> tuple[Path | None, Had]:
        """Return what a new run starts from, and what that has had of the same job.

        Raises:
            FileNotFoundError: if the weights are not there (yet).
        """
        line, earlier = self.kept(job), self.run_of(job.name).earlier()
        target = job.shipped(self.options.root)
        if earlier is not None:
            return earlier.weights, earlier.before + earlier.here
        if line.hours and target.is_file() and weights_sha256(target) == line.weights_sha256:
            return target, Had(60 * line.hours, line.steps, line.hr_megapixels)
        if job.before is None:
            return None, Had()
        if job.before == SHIPPED:
            return target, Had()
        if job.before == FAITHFUL:
            return job.own(self.options.root), Had()
        trained = self.run_of(job.before).weights
        if trained.is_file():
            return trained, Had()
        stages = [each for each in self.campaign.jobs if each.name == job.before]
        source = stages[0] if stages else dataclasses.replace(job, stage=1)
        target = source.shipped(self.options.root)
        if not target.is_file():
            raise FileNotFoundError(
                f"{job.name}: needs the weights of {job.before}; train it first"
            )
        return target, Had()

    def begin(self, job: Job, cores: list[int]) -> None:
        """Start a job, continue it, or give it more time.

        Raises:
            OSError: if the weights that it starts from are not there, or another process trains it.
        """
        run = self.run_of(job.name)
        with contextlib.ExitStack() as failing:
            log = failing.enter_context(run.open_log())
            if run.has_begun and self.has_ended(job):
                run.set_aside()
                log.close()
                log = failing.enter_context(run.open_log())
            if not run.has_begun:
                self.lay_out(job, run)
            first = run.folder / "start.pt"
            pretrained = first if first.is_file() else None
            if pretrained is None and job.stage == 2:  # continued: only its name is asked for
                pretrained = self.start_weights(job)[0]
            minutes = self.budget(job) - run.before.minutes
            command = self.campaign.command(job, self.options.data, run.folder, minutes, pretrained)
            (run.folder / "done.json").unlink(missing_ok=True)
            threads = str(len(cores) or os.cpu_count())
            process = subprocess.Popen(
                pinned(cores) + command, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": python_path()},
            )  # fmt: skip
            failing.pop_all()
        self.running.append(Running(job, process, cores, log))
        _logger.info("%s: %.1f of %.1f minutes are left", job.name,
                     minutes - run.here.minutes, minutes)  # fmt: skip

    def lay_out(self, job: Job, run: Run) -> None:
        """Write down what a new run starts from and how long it is."""
        weights, before = self.start_weights(job)
        name = "" if weights is None else weights.name
        if weights is not None:
            shutil.copyfile(weights, run.folder / "start.pt")
        if before.minutes:
            name = f"own weights after {before.minutes:.1f} minutes"
        run.write_start(before, name, self.budget(job) - before.minutes)

    def end(self, each: Running) -> None:
        """Write down what a job has had, and judge it if it is done."""
        each.log.close()
        self.running.remove(each)
        job, run = each.job, self.run_of(each.job.name)
        self.record(job)
        if each.process.returncode:
            if not self.is_stopping:
                self.failed.add(job.name)
                _logger.error("%s: failed with %d, see %s/log.txt", job.name,
                              each.process.returncode, run.folder)  # fmt: skip
            return
        run.write_done()
        self.judge(job)

    def record(self, job: Job) -> None:
        """Bring the ledger's line of a job up to date, and keep its curve."""
        run, line = self.run_of(job.name), self.ledger.line(job)
        line.budget_hours = self.budget(job) / 60
        line.profile, line.threads = self.options.profile, job.threads
        device = self.campaign.options(job, self.options.data).get("device", "cpu")
        line.device = hardware(torch.device(device))
        had = run.before + run.here
        line.hours, line.steps, line.hr_megapixels = (
            had.minutes / 60,
            int(had.step),
            had.hr_megapixels,
        )
        line.start = str(run.started().get("start", line.start))
        self.ledger.save()
        copy_curve(job, run.folder / "curve.csv", Path(self.options.results))

    def judge(self, job: Job) -> None:
        """Judge the present weights of a job."""
        weights = self.run_of(job.name).weights
        line = judge_and_ship(
            self.campaign, job, weights, self.options.data, self.ledger, self.options.root
        )
        _logger.info("%s: %.2f dB, LPIPS %.4f (shipped before: %.2f, %.4f); shipped: %s%s",
                     job.name, line.val_psnr, line.val_lpips, line.shipped_psnr,
                     line.shipped_lpips, line.shipped, line.told_share)  # fmt: skip
        self.collect(job)

    def collect(self, job: Job) -> None:
        """Copy what came of a job to the folder that goes home."""
        output = self.options.output
        if output is None:
            return
        weights = self.run_of(job.name).weights
        if weights.stat().st_size <= LARGEST_RETURN:
            kept = output / f"{job.name.replace('/', '-')}.pt"
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(weights, kept)
        shutil.copyfile(self.ledger.file, output / "campaign.csv")
        copy_curve(job, self.run_of(job.name).folder / "curve.csv", output)

    def ready(self) -> list[Job]:
        """Return the jobs that may start now, in order."""
        busy = {each.job.name for each in self.running}
        open_jobs = [
            job for job in self.campaign.jobs
            if job.name not in busy | self.failed and self.wanted(job) and not self.is_done(job)
        ]  # fmt: skip
        waiting = busy | self.failed | {job.name for job in open_jobs}
        return [job for job in open_jobs if job.before not in waiting]

    def wanted(self, job: Job) -> bool:
        """Tell whether a job was asked for."""
        return not self.options.jobs or any(part in job.name for part in self.options.jobs)

    def run(self) -> int:
        """Work until nothing is left, or the time is over; return the exit code."""
        for job in self.campaign.jobs:
            if self.options.jobs and self.wanted(job) and self.is_done(job):
                _logger.info("%s: has had its %.1f minutes", job.name, self.spent_minutes(job))
        until = time.monotonic() + 60 * (self.options.stop_after or 10**9)
        lanes = int(self.campaign.profile.get("parallel", 0))
        free: list[list[int]] = [[]] * lanes if lanes else [[core] for core in self.options.cores]
        while True:
            for job in self.ready():
                taken = 1 if lanes else min(job.threads, len(self.options.cores))
                if len(free) < taken:
                    break  # in order: a job that needs both cores is not overtaken
                cores = [core for lane in free[:taken] for core in lane]
                del free[:taken]
                try:
                    self.begin(job, cores)
                except OSError as error:  # its start is not there, or another process trains it
                    _logger.error("%s", error)
                    self.failed.add(job.name)
                    free += [[core] for core in cores] if cores else [[]]
            if not self.running:
                return int(bool(self.failed))
            time.sleep(0.2)
            if time.monotonic() > until:
                self.stop()
                return 0
            for each in [each for each in self.running if each.process.poll() is not None]:
                self.end(each)
                free += [[core] for core in each.cores] if each.cores else [[]]

    def stop(self) -> None:
        """End what runs; each goes on from its last checkpoint when called again."""
        self.is_stopping = True
        for each in list(self.running):
            each.process.terminate()
        for each in list(self.running):
            each.process.wait()
            self.end(each)

    def take(self, folder: Path) -> None:
        """Bring home what another machine has trained."""
        away = Ledger(folder / "campaign.csv")
        for job in self.campaign.jobs:
            weights = folder / f"{job.name.replace('/', '-')}.pt"
            if job.name in away.lines and weights.is_file():
                self.ledger.lines[job.name] = away.lines[job.name]
                copy_curve(job, curve_file(job, folder), Path(self.options.results))
                judge_and_ship(
                    self.campaign, job, weights, self.options.data, self.ledger, self.options.root
                )
                _logger.info("%s: shipped: %s", job.name, self.ledger.line(job).shipped)

    def show(self) -> None:
        """Print where every job stands."""
        for job in self.campaign.jobs:
            line = self.ledger.line(job)
            state = "done" if self.is_done(job) else "open"
            spent, budget = self.spent_minutes(job), self.budget(job)
            print(
                f"{job.name:44} {state} {spent:7.1f} of {budget:6.1f} min  {line.shipped}"
                f"{line.told_share}"
            )


def curve_file(job: Job, results: Path) -> Path:
    """Return where the curve of a job is kept."""
    return results / "campaign" / f"{job.name.replace('/', '-')}.csv"


def copy_curve(job: Job, curve: Path, results: Path) -> None:
    """Keep the curve of a job, if it has one."""
    if curve.is_file():
        kept = curve_file(job, results)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(curve, kept)


def pinned(cores: list[int]) -> list[str]:
    """Return the words that keep a process on some cores, where the system has them."""
    if not cores or shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", ",".join(map(str, cores))]


def python_path() -> str:
    """Return a search path on which this checkout's package comes first."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the images, laid out as in the YAML")
    add("--campaign", type=Path, default=JOBS, help="YAML file of the jobs")
    add("--profile", default="cpu", help="cpu, gpu or rehearsal")
    add("--jobs", nargs="*", default=[], help="parts of names; all jobs by default")
    add("--minutes", type=float, help="budget of each job that begins, in place of its hours")
    add("--extend", action="store_true", help="more time for ended runs whose jobs are given more")
    add("--cores", nargs="+", type=int, default=[0], help="processor cores to use")
    add("--stop_after", type=float, help="minutes until everything stops, to go on later")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    add("--results", type=Path, default=ROOT / "benchmarks" / "results", help="ledger and curves")
    add("--root", type=Path, default=ROOT, help="checkout whose bundles get the weights")
    add("--output", type=Path, help="folder that collects weights and ledger")
    add("--take", type=Path, help="judge and ship what --output of another machine collected")
    add("--list", action="store_true", help="show where the jobs stand")
    add("--judge", action="store_true", help="judge the present weights of --jobs, train nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parse(arguments)
    try:
        campaign = read_campaign(options.campaign, options.profile)
        if options.minutes:
            campaign.profile["minutes_each"] = options.minutes
        if campaign.profile.get("is_rehearsal"):
            options.results = options.runs / "results"
            options.results.mkdir(parents=True, exist_ok=True)
        runner = Runner(campaign, options)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # nohup ignores SIGINT
        if options.list:
            runner.show()
        elif options.take:
            runner.take(options.take)
        elif options.judge:
            for job in filter(runner.wanted, runner.campaign.jobs):
                if runner.run_of(job.name).weights.is_file():
                    runner.record(job)
                    runner.judge(job)
        else:
            return runner.run()
    except KeyboardInterrupt:
        runner.stop()
        return 130
    except SRError as error:
        sys.stderr.write(f"campaign: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
