"""The folder of a job's run: what it began with, what it has had, and its earlier runs."""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import json
from pathlib import Path
from typing import IO, Any

from monai_sr.core.atomic import atomic_file


@dataclasses.dataclass(frozen=True)
class Had:
    """What training has had."""

    minutes: float = 0.0
    step: float = 0.0
    hr_megapixels: float = 0.0

    def __add__(self, other: Had) -> Had:
        """Return what both have had together."""
        return Had(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class Run:
    """One run, in a folder named ``stage_<n>``.

    The minutes that it began with are kept, for its learning rate falls to their end: no later call
    changes them. A run that has ended is never prolonged. Where its job gets more time, it is set
    aside as ``earlier/stage_<n>_<k>``, and a new run with its own schedule starts from its weights.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def has_begun(self) -> bool:
        """Whether there is something to go on with."""
        return any((self.folder / f).is_file() for f in ("start.json", "state.pt", "curve.csv"))

    @property
    def is_done(self) -> bool:
        """Whether its process has come to its end."""
        return (self.folder / "done.json").is_file()

    @property
    def weights(self) -> Path:
        """What it has learned."""
        return self.folder / "model.pt"

    def started(self) -> dict[str, Any]:
        """Return what was written down when it began."""
        file = self.folder / "start.json"
        return dict(json.loads(file.read_text())) if file.is_file() else {}

    @property
    def before(self) -> Had:
        """What its first weights had seen of the same job: in earlier runs, on other machines."""
        told = self.started()
        return Had(*(told.get(f"{name}_before", 0.0) for name in vars(Had())))

    @property
    def here(self) -> Had:
        """What it has had itself, as far as its curve tells."""
        curve = self.folder / "curve.csv"
        if not curve.is_file():
            return Had()
        with curve.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if None not in row.values()]
        return Had(**{name: float(rows[-1][name]) for name in vars(Had())}) if rows else Had()

    @property
    def budget(self) -> float | None:
        """Minutes to which its learning rate falls, those before it counted; None if not kept."""
        own = self.started().get("minutes")
        return None if own is None else float(own) + self.before.minutes

    def open_log(self) -> IO[str]:
        """Open what its process writes to; held by that process, it keeps others away.

        Raises:
            BlockingIOError: if a process still trains it, left by a runner that was killed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "log.txt").open("a", encoding="utf-8")
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            log.close()
            raise BlockingIOError(
                f"{self.folder}: must be trained by one process, got a second; wait for the first"
            ) from error
        return log

    def write_start(self, before: Had, start: str, minutes: float) -> None:
        """Write down what it begins with."""
        facts = {f"{name}_before": value for name, value in vars(before).items()}
        with atomic_file(self.folder / "start.json") as partial:
            partial.write_text(json.dumps(facts | {"start": start, "minutes": minutes}))

    def write_done(self) -> None:
        """Write down that it has ended, and what its weights have had in all."""
        had = self.before + self.here
        with atomic_file(self.folder / "done.json") as partial:
            partial.write_text(json.dumps(vars(had) if had.step else {}))

    def earlier(self) -> Run | None:
        """Return the newest run that was set aside."""
        place = self.folder.parent / "earlier"
        numbers = [int(f.name.rpartition("_")[2]) for f in place.glob(f"{self.folder.name}_*")]
        return Run(place / f"{self.folder.name}_{max(numbers)}") if numbers else None

    def set_aside(self) -> None:
        """Make place for a new run."""
        place, last = self.folder.parent / "earlier", self.earlier()
        number = 1 if last is None else int(last.folder.name.rpartition("_")[2]) + 1
        place.mkdir(exist_ok=True)
        self.folder.rename(place / f"{self.folder.name}_{number}")
