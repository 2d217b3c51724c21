"""What a node tells those who watch it: its health, and its figures for Prometheus.

Neither has an identifier: counts, sizes, and names of the configuration's destinations. Format:
Prometheus text exposition 0.0.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from monai_sr.core.version import __version__
from monai_sr.node.http import Answer
from monai_sr.node.metrics import COUNTED, Metrics

_PREFIX = "monai_sr_node"
_LABELS = {
    "rejected": "reason",
    "refused": "status",
    "passed_by": "kind",
    "sent": "destination",
    "send_failures": "destination",
    "results_waiting": "destination",
}
"""What the label of a figure is called."""
_GAUGES = {
    "associations_open": "associations that are open",
    "studies_incoming": "studies that are being received",
    "studies_working": "complete studies that wait or are worked on",
    "results_waiting": "results that wait for a destination",
    "quarantine_entries": "what failed and waits for somebody to retry or drop it",
    "studies_a_minute": "studies that were worked on in the last minute",
    "spool_bytes": "bytes of all files of the spool",
}

Samples = Iterable[tuple[Mapping[str, str], float]]


class Watched(Protocol):
    """What a node tells of itself; see :class:`.service.Node`."""

    @property
    def metrics(self) -> Metrics:
        """What it has counted."""

    def gauges(self) -> Mapping[tuple[str, str], float]:
        """Return (name, label) -> what is the case now."""

    def faults(self) -> Sequence[str]:
        """Return what of the node itself does not work, without identifiers."""

    def warnings(self) -> Sequence[str]:
        """Return what elsewhere does not work."""


class Watch:
    """Answers ``/health`` and ``/metrics``; any number of threads may ask.

    Args:
        node: what is watched.
    """

    def __init__(self, node: Watched) -> None:
        self._node = node

    @property
    def pages(self) -> dict[str, Callable[[], Answer]]:
        """Return what answers each path."""
        return {"/health": self.health, "/metrics": self.metrics}

    def health(self) -> Answer:
        """Tell whether the node takes and works on images: 200, or 503 with what is wrong.

        A destination that is down is a warning, no fault: its results wait, and a new start of the
        node would not help.
        """
        faults = list(self._node.faults())
        status = HTTPStatus.SERVICE_UNAVAILABLE if faults else HTTPStatus.OK
        told = {
            "status": "failing" if faults else "ok", "faults": faults,
            "warnings": list(self._node.warnings()), "version": __version__,
        }  # fmt: skip
        return Answer(status, json.dumps(told).encode(), "application/json")

    def metrics(self) -> Answer:
        """Return all figures."""
        node = self._node
        text = "".join(
            [
                *_families("counter", "_total", COUNTED, node.metrics.snapshot()),
                *_families("gauge", "", _GAUGES, node.gauges()),
            ]
        )
        return Answer(HTTPStatus.OK, text.encode(), "text/plain; version=0.0.4; charset=utf-8")


def _families(
    kind: str, ending: str, meanings: Mapping[str, str], found: Mapping[tuple[str, str], float]
) -> Iterable[str]:
    for name, meaning in meanings.items():
        samples = [
            ({_LABELS[name]: label} if label else {}, value)
            for (named, label), value in sorted(found.items())
            if named == name
        ]
        yield _family(f"{_PREFIX}_{name}{ending}", kind, meaning, samples)


def _family(name: str, kind: str, meaning: str, samples: Samples) -> str:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(
            f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"
        )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
