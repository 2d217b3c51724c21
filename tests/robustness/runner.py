"""Runs cases in worker processes under limits of time and memory, and counts what became of them.

A process serves many cases and is replaced when one of them ends it, hangs it or fills the memory.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0
# Resident beyond what the idle process has: the largest real file needs 1.2 GiB of them.
MEMORY = 2 * 2**30
_PROGRAM = ["-m", "tests.robustness.worker"]
_COMPARING_SECONDS = 60.0
KINDS = (
    "upscaled", "refused", "unclear", "wrong", "crash", "hang", "memory", "half-written"
)  # fmt: skip
GOOD = ("upscaled", "refused")
# Words of a message that nobody wrote for this case.
_UNCLEAR = ("Traceback", "unexpected failure", "could not be enlarged (", "MONAI_SR_TRACEBACK")


@dataclass(frozen=True)
class Case:
    """One input, where it comes from, and whether the reference must be able to read it too."""

    group: str
    path: Path
    is_mutant: bool = False


@dataclass
class Tally:
    """Counts of each group, and what was said of every case."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    details: list[tuple[str, str, str, str]] = field(default_factory=list)
    seconds: float = 0.0
    memory: float = 0.0

    def add(self, case: Case, kind: str, detail: str) -> None:
        """Count one case."""
        self.counts[case.group][kind] += 1
        self.details.append((case.group, case.path.name, kind, detail))

    def bad(self) -> list[tuple[str, str, str, str]]:
        """Return the cases that were neither enlarged correctly nor refused clearly."""
        return [d for d in self.details if d[2] not in GOOD]

    def __str__(self) -> str:
        rows = [("source", *KINDS, "all")]
        total: Counter[str] = Counter()
        for group, counts in self.counts.items():
            rows.append((group, *(str(counts[k]) for k in KINDS), str(counts.total())))
            total += counts
        rows.append(("all", *(str(total[k]) for k in KINDS), str(total.total())))
        text = [
            row[0].ljust(20) + "".join(c.rjust(n) for c, n in zip(row[1:], _WIDTHS, strict=True))
            for row in rows
        ]
        text.append(
            f"slowest {self.seconds:.1f} s, most memory {self.memory / 2**20:.0f} MiB "
            "beyond the idle process"
        )
        return "\n".join(text)


_WIDTHS = [len(kind) + 2 for kind in KINDS] + [6]


class _Worker:
    """A process that runs the pipeline, and what it answers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *_PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
                 "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.answers: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        ready = json.loads(self.answers.get(timeout=120))
        # The system refuses more than that of address space, of which the idle process has 1 GB.
        self.idle, self.limit = ready["ready"], ready["virtual"] + MEMORY

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.answers.put(line)
        self.answers.put("")

    def ask(self, limit: float = SECONDS, **question: Any) -> dict[str, Any]:
        """Ask one thing; return the answer, or {"died": kind} where none comes in time."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                line = self.answers.get(timeout=0.05)
            except queue.Empty:
                if self._resident() > self.idle + MEMORY and "as_limit" in question:
                    return {"died": "memory", "detail": f"over {MEMORY / 2**30:g} GiB"}
                continue
            if line:
                return dict(json.loads(line))
            return {"died": "crash", "detail": f"exit code {self.process.wait()}"}
        return {"died": "hang", "detail": f"over {limit:g} s"}

    def _resident(self) -> int:
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            # What a dead process has not read cannot be flushed.
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def run_cases(cases: Iterable[Case], folder: Path) -> Tally:
    """Run every case alone into an empty output folder.

    Args:
        cases: what to run.
        folder: where results may lie for a moment.

    Returns:
        The counts.
    """
    tally, worker = Tally(), _Worker()
    output_dir = folder / "out"
    try:
        for case in cases:
            answer = worker.ask(
                source=str(case.path), output_dir=str(output_dir), as_limit=worker.limit
            )
            if answer.get("output"):
                answer |= worker.ask(
                    _COMPARING_SECONDS, source=str(case.path), output=answer["output"]
                )
            kind, detail = _judge(case, answer, output_dir, worker.idle)
            tally.add(case, kind, detail)
            tally.seconds = max(tally.seconds, answer.get("seconds", 0.0))
            tally.memory = max(tally.memory, answer.get("peak", 0) - worker.idle)
            shutil.rmtree(output_dir, ignore_errors=True)
            if "died" in answer:
                worker.stop()
                worker = _Worker()
    finally:
        worker.stop()
    return tally


def _judge(case: Case, answer: dict[str, Any], output_dir: Path, idle: int) -> tuple[str, str]:
    left = sorted(p.name for p in output_dir.glob("*") if p.name != "monai_sr_manifest.csv")
    if "died" in answer:
        return answer["died"], answer["detail"]
    if answer["peak"] > idle + MEMORY:
        return "memory", f"{(answer['peak'] - idle) / 2**20:.0f} MiB"
    message = answer["error"]
    if any(word in answer["said"] for word in _UNCLEAR):
        return "unclear", answer["said"]
    if message is not None:
        if left:
            return "half-written", f"{left} beside: {message}"
        is_clear = "\n" not in message and not any(word in message for word in _UNCLEAR)
        return ("refused" if is_clear and case.path.name in message else "unclear"), message
    if left != [Path(answer["output"]).name]:
        return "half-written", str(left)
    wrong = answer["mismatch"]
    # A damaged file that we read and the reference does not: there is nothing to compare with.
    if wrong and not (case.is_mutant and wrong.startswith("unread")):
        return "wrong", wrong
    return "upscaled", wrong
