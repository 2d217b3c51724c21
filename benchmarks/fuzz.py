"""Enlarge thousands of damaged files, and count what becomes of them.

``python benchmarks/fuzz.py --count 3000`` damages small files of every format by bits, cuts and
numbers, and runs reader, network (nearest neighbor), consistency check and writer on each, every
third raster in windows, under limits of time and memory. Each must be enlarged, or refused in one
line that names it; what it leaves behind must be a whole result or nothing. What was found bad is
kept in ``--keep FOLDER``, the table in ``--table FILE`` (benchmarks/results/fuzz.csv);
``--first N --count 1`` repeats mutant N.

The process that has imported everything forks a child for every few files, so that a crash costs
one file and no start-up.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

KINDS = ("enlarged", "refused", "unclear", "crash", "hang", "memory", "half file")
GOOD = KINDS[:2]
CPU_SECONDS, WALL_SECONDS = 10, 180
MEMORY = 2 * 2**30  # beyond what the idle process has
BATCH = 40
SCALE = 2
_UNCLEAR = ("Traceback", "could not be enlarged (", "MONAI_SR_TRACEBACK")
_MANIFEST = "monai_sr_manifest.csv"


class Pipeline:
    """A bundle's steps, with a network that costs nothing."""

    def __init__(self) -> None:
        from monai_sr.transforms import PlanGrid, Provenance
        from monai_sr.upscaling.scene import Scenes
        from monai_sr.upscaling.workflow import SRWorkflow

        workflow = SRWorkflow("xray_sr", system="nearest", scale=SCALE, consistency=0, device="cpu")
        get = workflow.parser.get_parsed_content
        self.before, self.after = get("preprocessing"), get("postprocessing")
        self.network, self.inferer = get("network_def"), get("inferer")
        self.inferer.progress = False
        made_by = Provenance("xray_sr", None, SCALE, 0)
        self.scenes = Scenes(PlanGrid(SCALE), provenance=made_by, limit=0)

    def evaluator(self, source: Path, output_dir: Path, in_windows: bool) -> Any:
        """Return what runs an input, ready to go."""
        from monai.data import DataLoader

        from monai_sr.upscaling.evaluator import UpscaleEvaluator
        from monai_sr.upscaling.files import FileDataset

        scenes = self.scenes if in_windows else None
        dataset = FileDataset(source, self.before, output_dir, SCALE, scenes=scenes)
        return UpscaleEvaluator(
            "cpu", DataLoader(dataset, batch_size=1), self.network, inferer=self.inferer,
            output_dir=output_dir, postprocessing=self.after, scenes=scenes,
        )  # fmt: skip

    def enlarge(self, source: Path, output_dir: Path, in_windows: bool) -> tuple[str, str]:
        """Run one input; return what became of it, and what was said."""
        from monai_sr.core.errors import SRError

        try:
            evaluator = self.evaluator(source, output_dir, in_windows)
            with suppress(SRError):
                evaluator.run()
            results = evaluator.results
        except SRError as error:
            return _refused(str(error), source)
        whole = [r for r in results if not r.error]
        refused = [r for r in results if r.error]
        expected = {Path(r.output).name for r in whole}
        found = {p.name for p in output_dir.rglob("*") if p.is_file()} - {_MANIFEST}
        if {name for name in found if not name.endswith("_SCL.tif")} != expected:
            return "half file", f"{sorted(found)} beside {sorted(expected)}"
        for result in refused:
            kind, said = _refused(str(result.error), source)
            if kind != "refused":
                return kind, said
        return ("enlarged", "") if whole else ("refused", str(refused[0].error) if refused else "")


def _refused(message: str, source: Path) -> tuple[str, str]:
    is_clear = "\n" not in message and not any(word in message for word in _UNCLEAR)
    return ("refused" if is_clear and source.stem[:8] in message else "unclear"), message


def _weights(path: Path) -> tuple[str, str]:
    from monai_sr.core.errors import WeightsError
    from monai_sr.networks.weights import read_weights

    try:
        read_weights(path)
    except WeightsError as error:
        return _refused(str(error), path)
    return "enlarged", ""


@dataclass
class Tally:
    """Counts of each group, and the bad ones."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    bad: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, number: int, group: str, kind: str, said: str) -> None:
        """Count one file."""
        self.counts[group][kind] += 1
        if kind not in GOOD:
            self.bad.append((number, group, kind, said))
            print(f"mutant {number} ({group}): {kind}: {said[:600]}", flush=True)

    def __str__(self) -> str:
        """Return the table."""
        total = sum(self.counts.values(), Counter())
        lines = ["format".ljust(16) + "".join(kind.rjust(len(kind) + 3) for kind in KINDS)]
        for group, counts in [*self.counts.items(), ("all", total)]:
            cells = "".join(str(counts[kind]).rjust(len(kind) + 3) for kind in KINDS)
            lines.append(group.ljust(16) + cells)
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("format", *KINDS))
            writer.writerows(
                (group, *(counts[kind] for kind in KINDS)) for group, counts in self.counts.items()
            )


def _serve(pipeline: Pipeline, numbers: list[int], folder: Path, answers: int) -> None:
    """Run some mutants in this process, a fork; tell by a pipe when each begins and ends."""
    from benchmarks.fuzz_inputs import mutants

    used = resource.getrusage(resource.RUSAGE_SELF)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        ((_, group, _, files),) = mutants(1, number)
        os.write(answers, f"{json.dumps({'begin': number, 'group': group})}\n".encode())
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        place = folder / f"m{number}"
        for part, content in files.items():
            (place / "in" / part).parent.mkdir(parents=True, exist_ok=True)
            (place / "in" / part).write_bytes(content)
        first = "" if group == "SAFE" else next(iter(files))
        source = next((place / "in").glob("*.SAFE")) if group == "SAFE" else place / "in" / first
        kind, said = _judged(pipeline, group, source, place / "out", number)
        os.write(answers, f"{json.dumps({'end': number, 'kind': kind, 'said': said})}\n".encode())
        shutil.rmtree(place, ignore_errors=True)


def _judged(
    pipeline: Pipeline, group: str, source: Path, output_dir: Path, number: int
) -> tuple[str, str]:
    try:
        if group == "weights":
            return _weights(source)
        return pipeline.enlarge(source, output_dir, in_windows=number % 3 == 0)
    except MemoryError:
        return "memory", "MemoryError"
    except Exception:
        return "unclear", traceback.format_exc()


def _batch(pipeline: Pipeline, numbers: list[int], folder: Path, tally: Tally) -> list[int]:
    """Fork a child for some mutants; return those that it did not come to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            _serve(pipeline, numbers, folder, writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    left, current, group = list(numbers), -1, ""
    buffer = b""
    while True:
        ready, _, _ = select.select([reading], [], [], WALL_SECONDS)
        text = os.read(reading, 65536) if ready else b""
        if not text:
            if not ready:
                os.kill(child, signal.SIGKILL)
            break
        buffer += text
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "begin" in answer:
                current, group = answer["begin"], answer["group"]
            else:
                tally.add(answer["end"], group, answer["kind"], answer["said"])
                left.remove(answer["end"])
                current = -1
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if current >= 0:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        is_slow = number in (signal.SIGXCPU, signal.SIGKILL)
        said = signal.Signals(number).name if number else f"exit code {os.WEXITSTATUS(status)}"
        tally.add(current, group, "hang" if is_slow else "crash", said)
        left.remove(current)
        shutil.rmtree(folder / f"m{current}", ignore_errors=True)
    elif status:
        raise SystemExit(f"the harness itself failed, status {status}")
    return left


def run(count: int, first: int = 0) -> Tally:
    """Run mutants; see the top of this file."""
    import torch

    from benchmarks.fuzz_inputs import seeds

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    pipeline, tally = Pipeline(), Tally()
    seeds()
    for name in ("monai_sr", "ignite", "rasterio", "pydicom", "nibabel", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    left = list(range(first, first + count))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        while left:
            now, left = left[:BATCH], left[BATCH:]
            left = _batch(pipeline, now, Path(folder), tally) + left
            done = count - len(left)
            seconds = time.perf_counter() - began
            print(f"{done} of {count}, {len(tally.bad)} bad, {seconds:.0f} s", flush=True)
    return tally


def main() -> int:
    """Run the command; 1 where something was neither enlarged nor refused clearly."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=3000, help="mutants (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for the bad ones")
    parser.add_argument("--table", type=Path, help="CSV file for the counts")
    options = parser.parse_args()
    tally = run(options.count, options.first)
    print(tally)
    if options.table:
        tally.write(options.table)
    if options.keep:
        from benchmarks.fuzz_inputs import mutants

        for number, *_ in tally.bad:
            ((_, _, _, files),) = mutants(1, number)
            for part, content in files.items():
                (options.keep / str(number) / part).parent.mkdir(parents=True, exist_ok=True)
                (options.keep / str(number) / part).write_bytes(content)
    return int(bool(tally.bad))


if __name__ == "__main__":
    sys.exit(main())
