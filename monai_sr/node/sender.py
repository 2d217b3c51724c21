"""Sends results to each destination until it has them; what was tried is kept on the disk.

A folder of ``results`` has ``to-<destination>.json`` for each: how often it was tried and when it
is tried next, or when it was sent. With the last destination it moves to ``sent``. Destinations do
not wait for one another. What fails is tried again after 1, 2, 4 ... 60 seconds, for ever; if one
result is refused, others go on. An interrupted result is sent whole again: its UIDs are the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monai_sr.core import SRError, get_logger
from monai_sr.node.disk import entries, move, read_record, write_record
from monai_sr.node.metrics import Metrics
from monai_sr.node.spool import Spool
from monai_sr.node.worker import JOB

logger = get_logger(__name__)

_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 60.0


class Destination(Protocol):
    """Somewhere that results go."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    def send(self, files: Sequence[Path]) -> None:
        """Return when it has all files.

        Raises:
            SRError: it has not, in one line without identifiers.
        """

    def check(self) -> None:
        """Ask whether it is there and lets us in.

        Raises:
            SRError: it is not, or does not.
        """


class Lane:
    """The queue of one destination.

    Args:
        spool: where results are.
        destination: where they go.
        metrics: what counts.
        on_sent: called with the name of a result that it has.
        clock: seconds since 1970, as they are kept on the disk.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        metrics: Metrics,
        *,
        on_sent: Callable[[str], None] = lambda job: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool, self._destination, self._metrics = spool, destination, metrics
        self._on_sent, self._clock = on_sent, clock
        self.name = destination.name
        self._due: dict[str, float] = {}
        self._failures, self._not_before = 0, 0.0
        self._lock = threading.Lock()
        self._recover()

    def add(self, job: str) -> None:
        """Queue a result."""
        with self._lock:
            self._due[job] = 0.0

    def depth(self) -> int:
        """Return how many results wait."""
        with self._lock:
            return len(self._due)

    def failures(self) -> int:
        """Return how many attempts have failed since the last one that did not."""
        return self._failures

    def step(self) -> bool:
        """Send the result that waits for longest, if it is time.

        Returns:
            Whether one was tried.
        """
        job = self._next()
        if job is None:
            return False
        folder = self._spool["results"] / job
        try:
            record = read_record(folder / JOB)
            if record is not None:
                self._destination.send([folder / name for name in record["files"]])
        except Exception as error:  # a destination's library may raise anything
            self._failed(job, folder, error)
            return True
        if record is not None and folder.exists():
            write_record(self._record(folder), {"sent": self._clock()})
        self._forget(job)  # sent, or dropped by somebody
        if record is not None:
            self._done(job, folder)
        return True

    def _next(self) -> str | None:
        now = self._clock()
        with self._lock:
            if now < self._not_before or not self._due:
                return None
            job = min(self._due, key=lambda each: (self._due[each], each))
            return job if self._due[job] <= now else None

    def _done(self, job: str, folder: Path) -> None:
        self._failures, self._not_before = 0, 0.0
        self._metrics.add("sent", label=self.name)
        logger.info("result %s: sent to %s", job, self.name)
        if folder.exists():
            self._on_sent(job)

    def _failed(self, job: str, folder: Path, error: Exception) -> None:
        why = str(error) if isinstance(error, SRError) else type(error).__name__
        why = self._spool.names.scrub(why)
        now = self._clock()
        attempts = int((read_record(self._record(folder)) or {}).get("attempts", 0)) + 1
        due = now + _wait(attempts)
        self._failures += 1
        self._not_before = now + _wait(self._failures)
        with self._lock:
            self._due[job] = due
        self._metrics.add("send_failures", label=self.name)
        logger.warning("result %s: not sent, attempt %d: %s", job, attempts, why)
        if folder.exists():
            write_record(self._record(folder), {"attempts": attempts, "next": due, "why": why})

    def _record(self, folder: Path) -> Path:
        return folder / f"to-{self.name}.json"

    def _forget(self, job: str) -> None:
        with self._lock:
            self._due.pop(job, None)

    def _recover(self) -> None:
        for folder in entries(self._spool["results"]):
            state = read_record(self._record(folder)) or {}
            if "sent" not in state:
                # A clock that was set back must not hold a result for days.
                due = float(state.get("next", 0.0))
                self._due[folder.name] = min(due, self._clock() + _LONGEST_SECONDS)


class Outbox:
    """All queues, one for each destination.

    Args:
        spool: where results are.
        destinations: where they go.
        metrics: what counts.
        clock: seconds since 1970.

    Attributes:
        lanes: the queues.
    """

    def __init__(
        self,
        spool: Spool,
        destinations: Sequence[Destination],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool, self._lock = spool, threading.Lock()
        self.lanes = [
            Lane(spool, destination, metrics, on_sent=self._sent, clock=clock)
            for destination in destinations
        ]
        for folder in entries(spool["results"]):
            self._sent(folder.name)  # the process may have ended before the move

    def add(self, job: str) -> None:
        """Queue a new result for all destinations."""
        for lane in self.lanes:
            lane.add(job)

    def depth(self) -> int:
        """Return how many results some destination has not yet."""
        return len(entries(self._spool["results"]))

    def _sent(self, job: str) -> None:
        """Move a result that all destinations have."""
        folder = self._spool["results"] / job
        with self._lock:
            if folder.exists() and all(
                "sent" in (read_record(folder / f"to-{lane.name}.json") or {})
                for lane in self.lanes
            ):
                move(folder, self._spool["sent"] / job)


def _wait(attempts: int) -> float:
    """Return the seconds to wait after so many failures."""
    return float(min(_FIRST_SECONDS * 2 ** min(attempts - 1, 10), _LONGEST_SECONDS))


@dataclass(frozen=True)
class Unsent:
    """A result that some destination has not.

    Args:
        name: its id, of hashes.
        when: it was made, seconds since 1970.
        destinations: where sending has failed.
        why: the last failure, one line.
    """

    name: str
    when: float
    destinations: tuple[str, ...]
    why: str


def list_unsent(spool: Path) -> list[Unsent]:
    """Return the results of a spool that wait to be sent, the oldest first."""
    found = []
    for folder in entries(spool / "results"):
        record = read_record(folder / JOB) or {}
        states = {file.stem[3:]: read_record(file) or {} for file in folder.glob("to-*.json")}
        failed = {name: str(state["why"]) for name, state in states.items() if "why" in state}
        why = next(iter(failed.values()), "")
        found.append(Unsent(folder.name, float(record.get("when", 0)), tuple(failed), why))
    return sorted(found, key=lambda each: (each.when, each.name))
