"""Kill runs, fill disks, take rights and memory away, and count what is left behind.

``python benchmarks/faults.py`` makes four small jobs (a folder of photos, a scene in windows, a
volume, a training run) and does to each what happens to long runs: SIGKILL between two changes to
the disk, drawn from those that a whole run makes, so that it certainly hits the middle; a disk that
is full; two processes on one output; places without rights, home or memory. After each, whatever
has its final name must be whole, and the same command must end with the very bytes of a run that
nothing happened to. The process that has imported everything forks a child for every run.

``--only kills full ...`` chooses; ``--kills 60`` is their number over all jobs; ``--table`` writes
the counts (benchmarks/results/faults.csv).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fault_jobs import SCALE, Jobs, Watch, forked

_CHANGES = ("open", "os.rename", "os.mkdir", "os.remove")
# What differs from run to run, and is no result.
_NOT_COMPARED = ("monai_sr_manifest.csv", "curve.csv", "stats.json", "events.out", ".lock", "state")


def results(output: Path) -> dict[str, str]:
    """Return name -> SHA-256 of all that has a final name."""
    found = {}
    for file in sorted(output.rglob("*")):
        name = file.relative_to(output).as_posix()
        is_hidden = any(part.startswith(".") for part in file.relative_to(output).parts)
        if file.is_file() and not is_hidden and not any(n in name for n in _NOT_COMPARED):
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _count_changes(output: Path, at: int | None = None) -> Callable[[], None]:
    """Count changes below a folder, into a file beside it; die at one of them."""
    counter = output.with_name(f"{output.name}.changes")
    number = 0

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal number
        if event not in _CHANGES or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        if not os.fsdecode(arguments[0]).startswith(f"{output}{os.sep}"):
            return
        number += 1
        if at is None:
            os.pwrite(handle, f"{number:9d}".encode(), 0)
        elif number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    handle = os.open(counter, os.O_CREAT | os.O_WRONLY) if at is None else -1
    return lambda: sys.addaudithook(seen)


class Faults:
    """What is done to the jobs, and the counts."""

    def __init__(self, jobs: Jobs, folder: Path, seed: int) -> None:
        self.jobs, self.folder, self.random = jobs, folder, random.Random(seed)
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.bad: list[str] = []
        self.whole: dict[str, dict[str, str]] = {}
        self.changes: dict[str, int] = {}
        for name, job in jobs.jobs.items():
            output = folder / f"whole_{name}"
            kind, said = forked(job, jobs.inputs(name), output, _count_changes(output))
            if kind != "done":
                raise SystemExit(f"{name} fails by itself: {kind}: {said}")
            self.whole[name] = results(output)
            self.changes[name] = int(output.with_name(f"{output.name}.changes").read_text())
            print(
                f"{name}: {len(self.whole[name])} results, {self.changes[name]} changes", flush=True
            )

    def note(self, fault: str, job: str, outcome: str, problem: str = "") -> None:
        """Count one run."""
        self.counts[f"{fault}, {job}"][outcome] += 1
        print(f"{fault}, {job}: {outcome}", flush=True)
        if problem:
            self.counts[f"{fault}, {job}"]["BAD"] += 1
            self.bad.append(f"{fault}, {job}: {problem}")
            print(f"BAD {self.bad[-1][:1500]}", flush=True)

    def _plainly(self, job: str, output: Path) -> tuple[str, str]:
        """Run a job with nothing in its way."""
        return forked(self.jobs.jobs[job], self.jobs.inputs(job), output, lambda: None)

    def _wrong(self, job: str, output: Path, *, complete: bool) -> str:
        """Say what is wrong with what has a final name; empty where nothing is."""
        found, whole = results(output), self.whole[job]
        if job == "training" and not complete:
            return (
                ""  # checkpoints of earlier steps differ from the last ones; resuming proves them
            )
        wrong = [name for name, digest in found.items() if whole.get(name) != digest]
        missing = sorted(set(whole) - set(found)) if complete else []
        return f"differ: {wrong}, missing: {missing}" if wrong or missing else ""

    def _again(self, fault: str, job: str, output: Path, outcome: str) -> None:
        """Judge what a fault left, then run the job once more without it."""
        problem = self._wrong(job, output, complete=outcome == "done")
        kind, said = self._plainly(job, output)
        if kind != "done":
            problem += f" then {kind}: {said}"
        problem = problem or self._wrong(job, output, complete=True)
        left = [f.name for f in output.rglob(".*") if ".part" in f.name]
        self.note(fault, job, outcome + (f", {len(left)} strays" if left else ""), problem)
        shutil.rmtree(output, ignore_errors=True)

    def kills(self, count: int) -> None:
        """Kill each job between two changes to its output."""
        for number in range(count):
            job = list(self.jobs.jobs)[number % len(self.jobs.jobs)]
            output = self.folder / "out"
            at = self.random.randint(2, self.changes[job] - 1)
            kind, said = forked(
                self.jobs.jobs[job], self.jobs.inputs(job), output, _count_changes(output, at)
            )
            if kind != "killed":
                self.note("kill", job, kind, f"was not killed at change {at}: {said}")
                continue
            self._again("kill", job, output, "killed")

    def full(self) -> None:
        """Let files end early, by a limit; and the disk, where this process may mount one."""
        for job, share in ((j, s) for j in self.jobs.jobs for s in (0.05, 0.5, 0.95)):
            largest = max(f.stat().st_size for f in (self.folder / f"whole_{job}").rglob("*"))
            limit = max(int(share * largest), 1)

            def before(limit: int = limit) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit * 10**6))

            output = self.folder / "out"
            kind, said = forked(self.jobs.jobs[job], self.jobs.inputs(job), output, before)
            is_bad = kind not in ("refused", "done") or (kind == "done" and job != "training")
            if is_bad:
                self.note("file limit", job, kind, said or "ended as if nothing had happened")
            self._again("file limit", job, output, kind)
        for job in self.jobs.jobs:
            size = sum(f.stat().st_size for f in (self.folder / f"whole_{job}").rglob("*"))
            with _small_disk(self.folder / "disk", max(size // 2, 4096)) as disk:
                if disk is None:
                    self.note("full disk", job, "skipped: may not mount")
                    continue
                output = disk / "out"
                kind, said = self._plainly(job, output)
                problem = "" if kind == "refused" else f"{kind}: {said}"
                self.note(
                    "full disk", job, kind, problem or self._wrong(job, output, complete=False)
                )

    def twice(self) -> None:
        """Let two processes make the same output."""
        for job in self.jobs.jobs:
            output = self.folder / "out"
            second = os.fork()
            if second == 0:
                kind, _ = self._plainly(job, output)
                os._exit(kind not in ("done", "refused"))
            kind, said = self._plainly(job, output)
            _, status = os.waitpid(second, 0)
            if status or kind not in ("done", "refused"):
                self.note("two processes", job, kind, said or "the second one failed")
            self._again("two processes", job, output, "refused" if kind == "refused" else "done")

    def places(self) -> None:
        """Take rights, home and temporary folder away."""

        def homeless() -> None:
            for name in ("HOME", "XDG_CACHE_HOME", "MONAI_SR_CACHE", "USERPROFILE"):
                os.environ.pop(name, None)
            os.environ["HOME"] = "/nonexistent/home"

        for job in self.jobs.jobs:
            output = self.folder / "out"
            kind, said = forked(self.jobs.jobs[job], self.jobs.inputs(job), output, homeless)
            if kind != "done":
                self.note("no home", job, kind, said)
            self._again("no home", job, output, kind)
            with _small_disk(self.folder / "disk", 2**20, read_only=True) as disk:
                if disk is None:
                    self.note("read-only", job, "skipped: may not mount")
                    continue
                kind, said = self._plainly(job, disk / "out")
                self.note("read-only", job, kind, "" if kind == "refused" else f"{kind}: {said}")

    def memory(self) -> None:
        """Limit the memory further and further."""
        for job, more in ((j, m) for j in self.jobs.jobs for m in (8, 32, 128, 512)):

            def before(more: int = more) -> None:
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * resource.getpagesize() + more * 2**20
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

            output = self.folder / "out"
            kind, said = forked(self.jobs.jobs[job], self.jobs.inputs(job), output, before)
            if kind not in ("done", "refused"):
                self.note(f"{more} MiB", job, kind, said)
            self._again(f"{more} MiB", job, output, kind)

    def environments(self) -> None:
        """Run the command with 128 threads, and where numbers have decimal commas."""
        made = self.folder / "locales"
        made.mkdir()
        with contextlib.suppress(OSError):
            subprocess.run(
                ["localedef", "-i", "de_DE", "-f", "UTF-8", str(made / "de_DE.UTF-8")],
                capture_output=True, check=False,
            )  # fmt: skip
        comma = {"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(made)} if any(made.iterdir()) else None
        faults = {"128 threads": {"OMP_NUM_THREADS": "128"}, "decimal comma": comma}
        for name, more in faults.items():
            if more is None:
                self.note(name, "folder", "skipped: no such locale")
                continue
            said, found = self._command(more)
            problem = said or ("" if found == self._command({})[1] else "other results")
            self.note(name, "folder", "refused" if said else "done", problem)

    def _command(self, more: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Run the command in a process of its own; return its complaint and its results."""
        output = self.folder / "out"
        run = subprocess.run(
            [sys.executable, "-m", "monai_sr.cli.main", "upscale", "-o", str(output),
             str(self.jobs.inputs("folder")), "--bundle", "natural_sr", "--system", "nearest",
             "--scale", str(SCALE)],
            capture_output=True, text=True, check=False, env={**os.environ, **more},
        )  # fmt: skip
        found = results(output)
        shutil.rmtree(output, ignore_errors=True)
        return "" if run.returncode == 0 else run.stderr[-500:] or "failed", found

    def many(self, count: int) -> None:
        """Enlarge a folder of many files: time, memory and open files of each must not grow."""
        from tests.image_factory import pixels, write_raster

        source, output = self.jobs.inputs("many"), self.folder / "out"
        write_raster(source / "0000.png", pixels((3, 12, 10)))
        for number in range(1, count):
            shutil.copy(source / "0000.png", source / f"{number:04d}.png")
        measured = self.folder / "measured"
        kind, said = forked(
            lambda a, b: self.jobs.watched(a, b, Watch(measured)), source, output, lambda: None
        )
        if kind != "done" or len(results(output)) != count:
            self.note("many files", "folder", kind, f"{len(results(output))} results; {said}")
            return
        rows = np.array([line.split() for line in measured.read_text().splitlines()], dtype=float)
        tenth = len(rows) // 10
        first, last = rows[tenth : 2 * tenth], rows[-tenth:]
        ms = [1000 * np.diff(part[:, 0]).mean() for part in (first, last)]
        resident = [part[:, 1].mean() / 2**20 for part in (first, last)]
        opened = [part[:, 2].max() for part in (first, last)]
        text = (
            f"{ms[0]:.1f} then {ms[1]:.1f} ms of processor, {resident[0]:.0f} then "
            f"{resident[1]:.0f} MiB, {opened[0]:.0f} then {opened[1]:.0f} open files"
        )
        grows = ms[1] > 1.5 * ms[0] or resident[1] > resident[0] + 20 or opened[1] > opened[0] + 2
        self.note("many files", "folder", text, text if grows else "")


@contextlib.contextmanager
def _small_disk(place: Path, size: int, *, read_only: bool = False) -> Iterator[Path | None]:
    """Mount a small disk in memory, if this process may; None where not."""
    place.mkdir(exist_ok=True)
    options = f"size={size},{'ro' if read_only else 'rw'}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        is_mounted = False
    try:
        yield place if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


def write_table(path: Path, counts: dict[str, Counter[str]]) -> None:
    """Write fault, job, outcome and number of runs."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("fault", "job", "outcome", "runs"))
        for name, outcomes in counts.items():
            rows = ((*name.split(", "), kind, n) for kind, n in sorted(outcomes.items()))
            writer.writerows(rows)


def main() -> int:
    """Run the command; 1 where something is left behind that should not be."""
    names = ("kills", "full", "twice", "places", "memory", "environments", "many")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--kills", type=int, default=60, help="over all jobs (%(default)s)")
    parser.add_argument("--files", type=int, default=1000, help="of the folder (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="CSV file for the counts")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="faults_") as place:
        jobs = Jobs(Path(place) / "in")
        for name in ("monai_sr", "ignite", "rasterio", "monai"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        faults = Faults(jobs, Path(place), options.seed)
        arguments = {"kills": (options.kills,), "many": (options.files,)}
        for name in options.only:
            getattr(faults, name)(*arguments.get(name, ()))
            print(f"{name}: {len(faults.bad)} bad so far", flush=True)
    if options.table:
        write_table(options.table, faults.counts)
    for name, counts in faults.counts.items():
        print(name.ljust(28), ", ".join(f"{kind}: {n}" for kind, n in sorted(counts.items())))
    print(f"{sum(c.total() for c in faults.counts.values())} runs, {len(faults.bad)} bad")
    return int(bool(faults.bad))


if __name__ == "__main__":
    sys.exit(main())
