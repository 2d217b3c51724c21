"""Change the code in small ways, one at a time, and see whether the tests notice.

``python benchmarks/mutants.py --sample 300`` draws mutants of ``geometry``, ``functional``,
``transforms``, ``metrics`` and ``formats`` by a seed and writes what became of each to
``benchmarks/results/mutants.csv``. A mutant has one operator, comparison, condition or number
changed; messages, logs, decorators and annotations are left alone. It lives in memory: a process
that has imported torch, MONAI and pytest forks for each, the fork imports this package with the
changed file in place, and runs the tests of these rooms that reach the changed line, quickest
first, until one fails; if none does, those of the rooms that use them. Which tests do, a first run
without changes finds out and keeps (``--reach``). ``--again`` judges anew what the results list as
not noticed, after tests were added, and leaves their other lines: the sample stays what it was, but
for mutants whose lines are gone, which others replace.

Mutants of which a person found that they change nothing are listed in
``benchmarks/equivalent_mutants.csv`` with the reason, and are not counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from mutations import ROOT, Site, mutated, sites

ROOMS = ("geometry", "functional", "transforms", "metrics", "formats")
USERS = ("losses", "inferers", "training", "evaluation", "reports", "upscaling")
RESULTS = ROOT / "benchmarks" / "results" / "mutants.csv"
EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutants.csv"
HEADER = ("file", "line", "column", "before", "after", "outcome", "tests", "cpu_s", "source")
_OFTEN = 10  # seconds of CPU for imports; tests may take thrice what they took unchanged
# Plugins may have been imported with the rest (zarr's).
_PYTEST = (
    "-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning",
    "--rootdir", str(ROOT),
)  # fmt: skip


class Reach:
    """Plugin of pytest: notes which lines of the rooms a test reaches, and its time."""

    def __init__(self) -> None:
        self.files = {str(p): p.relative_to(ROOT).as_posix() for p in _files()}
        self.tests: dict[str, dict[str, Any]] = {}
        self._lines: set[tuple[str, int]] = set()

    def trace(self, frame: FrameType, _event: str, _arg: object) -> Any:
        """Note a line."""
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None
        self._lines.add((file, frame.f_lineno))
        return self.trace

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> None:
        """Begin a test."""
        self._lines.clear()
        self._started, self._name = time.process_time(), item.nodeid
        sys.settrace(self.trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """End it; one that fails or is skipped notices nothing."""
        if report.when == "call" and not report.passed:
            self._name = ""
        if report.when != "teardown":
            return
        sys.settrace(None)
        if self._name:
            lines: dict[str, list[int]] = {}
            for file, line in sorted(self._lines):
                lines.setdefault(file, []).append(line)
            seconds = time.process_time() - self._started
            self.tests[self._name] = {"cpu_s": round(seconds, 3), "lines": lines}


def _files() -> list[Path]:
    return sorted(p for room in ROOMS for p in (ROOT / "monai_sr" / room).rglob("*.py"))


def find_reach(path: Path, rooms: Sequence[str]) -> dict[str, Any]:
    """Return what every test reaches, from a file or by a run of the rooms' tests."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    for room in rooms:
        if room not in known:
            made = path.with_suffix(f".{room}.json")
            _wait(_forked(lambda room=room, made=made: _reach_of(room, made)), 3600)
            known[room] = json.loads(made.read_text())
            path.write_text(json.dumps(known))
            print(f"{room}: {len(known[room])} tests", flush=True)
    return {name: facts for room in rooms for name, facts in known[room].items()}


def _reach_of(room: str, made: Path) -> int:
    import pytest

    plugin = Reach()
    pytest.main([*(option for option in _PYTEST if option != "-x"), f"tests/{room}"], [plugin])
    made.write_text(json.dumps(plugin.tests))
    return 0


def chosen_tests(site: Site, reach: dict[str, Any], budget_s: float) -> list[str]:
    """Return the tests that reach a change, those of its own file and quick ones first."""
    wanted = {(site.file, line) for line in range(site.lines[0], site.lines[1] + 1)}
    if site.names:
        word = re.compile(rf"\b({'|'.join(map(re.escape, site.names))})\b")
        for file in _files():
            for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if word.search(text):
                    wanted.add((file.relative_to(ROOT).as_posix(), number))
    by_file: dict[str, set[int]] = {}
    for name, line in wanted:
        by_file.setdefault(name, set()).add(line)
    naming = set()
    if site.names:  # tests that ask for a constant by its name
        files = {name.partition("::")[0] for name in reach}
        naming = {file for file in files if word.search((ROOT / file).read_text(encoding="utf-8"))}
    found = [
        name
        for name, facts in reach.items()
        if name.partition("::")[0] in naming
        or any(lines & set(facts["lines"].get(file, ())) for file, lines in by_file.items())
    ]
    mirror = f"test_{Path(site.file).stem}"
    found.sort(key=lambda name: (not Path(name.split("::")[0]).stem.startswith(mirror),
                                 reach[name]["cpu_s"]))  # fmt: skip
    total, chosen = 0.0, []
    for name in found:
        total += reach[name]["cpu_s"]
        if chosen and total > budget_s:
            break
        chosen.append(name)
    return chosen


def judge(site: Site, tests: Sequence[str], expected_s: float) -> tuple[str, float]:
    """Return what becomes of a mutant, and the seconds of CPU it took."""
    if not tests:
        return "not reached", 0.0
    limit = int(_OFTEN + 3 * expected_s) + 1

    def run() -> int:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        code, target = mutated(site), str(ROOT / site.file)
        original = SourceFileLoader.get_code

        def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
            is_target = self.get_filename(fullname) == target
            return code if is_target else original(self, fullname)

        SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
        import pytest

        return int(pytest.main([*_PYTEST, *tests]))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = _wait(_forked(run), 40 * limit)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return "survived" if status == 0 else "killed" if status > 0 else "killed by its time", spent


def _forked(run: Callable[[], int]) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    os.setsid()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    status = 1
    try:
        status = run()
    finally:
        os._exit(status)


def _wait(process: int, seconds: float) -> int:
    """Return the exit status of a fork; negative where a signal ended it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def equivalents() -> set[tuple[str, ...]]:
    """Return the changes that change nothing."""
    with EQUIVALENT.open(encoding="utf-8", newline="") as stream:
        return {_key(row) for row in csv.DictReader(stream)}


def source_line(site: Site) -> str:
    """Return the line of a change as it stands."""
    return _text(site.file)[site.line - 1].strip()


@cache
def _text(file: str) -> list[str]:
    return (ROOT / file).read_text(encoding="utf-8").splitlines()


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return row["file"], row["source"], row["column"], row["before"], row["after"]


def _key_of(site: Site) -> tuple[str, ...]:
    """Return what a mutant is known by while lines move."""
    return site.file, source_line(site), str(site.column), site.before, site.after


def _former(results: Path, every: Sequence[Site]) -> dict[Site, tuple[str, ...]]:
    """Return the mutants of an earlier run, with outcome, tests and time.

    Those whose lines are not there any more are left out and said.
    """
    with results.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    known: dict[tuple[str, ...], list[Site]] = {}
    for site in every:
        known.setdefault(_key_of(site), []).append(site)
    found: dict[Site, tuple[str, ...]] = {}
    for row in rows:
        alike = [site for site in known.get(_key(row), ()) if site not in found]
        if not alike:
            print(row["file"], row["source"], "is not there any more", sep=" | ", flush=True)
            continue
        nearest = min(alike, key=lambda site: abs(site.line - int(row["line"])))
        found[nearest] = (row["outcome"], row["tests"], row["cpu_s"])
    return found


def _judged(site: Site, reach: dict[str, Any], options: argparse.Namespace) -> tuple[str, int, str]:
    """Judge a mutant by the tests of the rooms, then by those of the rooms that use them."""
    tests = chosen_tests(site, reach, options.budget)
    outcome, spent = judge(site, tests, sum(reach[name]["cpu_s"] for name in tests))
    if outcome.startswith("killed"):
        return outcome, len(tests), f"{spent:.1f}"
    further = find_reach(options.reach, USERS)
    more = chosen_tests(site, further, 3 * options.budget)
    found, longer = judge(site, more, sum(further[name]["cpu_s"] for name in more))
    outcome = found if more else outcome
    return outcome, len(tests) + len(more), f"{spent + longer:.1f}"


def main() -> int:
    """Judge a sample, and say what share was noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", nargs="+", default=list(ROOMS), choices=ROOMS)
    parser.add_argument("--budget", type=float, default=20, help="seconds of tests for a mutant")
    parser.add_argument("--reach", type=Path, default=ROOT / "out" / "reach.json",
                        help="what tests reach; made where it is not there")  # fmt: skip
    parser.add_argument("--only", nargs="*", default=[], help="FILE:LINE of mutants to try")
    parser.add_argument(
        "--again", action="store_true", help="those that the results list as missed"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    options.reach.parent.mkdir(parents=True, exist_ok=True)
    import ignite.engine  # noqa: F401 - what forks need is imported once
    import monai.transforms  # noqa: F401
    import pytest  # noqa: F401
    import rasterio  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import skimage.metrics  # noqa: F401
    import torch

    torch.set_num_threads(1)
    files = [p for p in _files() if p.parts[len(ROOT.parts) + 1] in options.rooms]
    every = [site for path in files for site in sites(path)]
    drawn = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    drawn = [s for s in every if f"{s.file}:{s.line}" in options.only] or drawn
    former = _former(options.output, every) if options.again else {}
    spare = [site for site in drawn if site not in former]
    drawn = [*former, *spare[: max(options.sample - len(former), 0)]]
    reach = find_reach(options.reach, options.rooms)
    same = equivalents()
    rows: list[tuple[Any, ...]] = []
    partial = options.output.with_suffix(".part")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        for site in drawn:
            if _key_of(site) in same:
                outcome: tuple[Any, ...] = ("equivalent", 0, "0.0")
            elif former.get(site, ("",))[0].startswith("killed"):
                outcome = former[site]
            else:
                outcome = _judged(site, reach, options)
            place = (site.file, site.line, site.column, site.before, site.after)
            rows.append((*place, *outcome, source_line(site)))
            writer.writerow(rows[-1])
            stream.flush()
            if not outcome[0].startswith(("killed", "equivalent")):
                print(*place, outcome[0], sep=" | ", flush=True)
    partial.replace(options.output)
    counted = [row[5] for row in rows if row[5] != "equivalent"]
    killed = sum(outcome.startswith("killed") for outcome in counted)
    print(f"{killed} of {len(counted)} noticed, {len(rows) - len(counted)} equivalent "
          f"(of {len(every)} that can be made)")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
