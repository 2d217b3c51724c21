"""Counts what a node does, for whoever watches it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from monai_sr.core import unknown_name

_MINUTE = 60.0

COUNTED = {
    "associations": "associations and requests that were accepted",
    "rejected": "associations and requests that were not, by reason",
    "received": "objects that are safe in the spool",
    "received_bytes": "bytes of them",
    "again": "objects that had been received before",
    "refused": "objects that were not accepted, by status",
    "studies": "studies that were worked on",
    "enlarged": "series that were enlarged",
    "enlarging_seconds": "seconds that took",
    "passed_by": "objects that are no images to enlarge, by kind",
    "quarantined": "series and objects that failed",
    "sent": "results that a destination has, by destination",
    "send_failures": "attempts to send that failed, by destination",
}
"""What is counted since the start: name -> meaning; some by a label."""


class Metrics:
    """Counters since the start, and the rate of the last minute; safe from many threads.

    Args:
        clock: seconds that never go back.

    Example:
        >>> metrics = Metrics()
        >>> metrics.add("sent", label="pacs")
        >>> metrics.add("sent", 2, label="pacs")
        >>> metrics.snapshot()[("sent", "pacs")]
        3
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts: dict[tuple[str, str], float] = {}
        self._studies: deque[float] = deque()
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1, *, label: str = "") -> None:
        """Count.

        Args:
            name: one of ``COUNTED``.
            amount: how many, or how much.
            label: what kind.

        Raises:
            OptionError: there is no such counter.
        """
        if name not in COUNTED:
            raise unknown_name("counter", name, COUNTED)
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0) + amount
            if name == "studies":
                self._studies.append(self._clock())

    def snapshot(self) -> dict[tuple[str, str], float]:
        """Return (name, label) -> count; a name of which nothing was counted is 0 without label."""
        with self._lock:
            found = dict(self._counts)
        named = {name for name, _ in found}
        return {**{(name, ""): 0 for name in COUNTED if name not in named}, **found}

    def studies_a_minute(self) -> float:
        """Return how many studies were worked on in the last minute; less after a later start."""
        with self._lock:
            now = self._clock()
            while self._studies and self._studies[0] < now - _MINUTE:
                self._studies.popleft()
            span = min(_MINUTE, now - self._began)
            return len(self._studies) * _MINUTE / span if span > 0 else 0.0
