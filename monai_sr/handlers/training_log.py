"""What a training run says: loss, speed, share of time spent on data, time left, the curve."""

from __future__ import annotations

import csv
import datetime
import logging
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_sr.core.atomic import atomic_file
from monai_sr.core.types import PathLike
from monai_sr.engines import PatchLoader
from monai_sr.handlers.schedule import BudgetSchedule

logger = logging.getLogger(__name__)

_FIELDS = ("step", "minutes", "loss", "learning_rate", "seconds_per_step", "loader_share", "psnr")


class TrainingLog:
    """Log progress at intervals, and append each line to a CSV file: the learning curve.

    Args:
        schedule: knows time and progress.
        loader: knows the time spent on cutting batches.
        path: CSV file; lines after a resumed step are dropped.
        every: steps between lines.
        validator: engine whose key metric is reported when it has run; None: no column.
    """

    def __init__(
        self,
        schedule: BudgetSchedule,
        loader: PatchLoader,
        path: PathLike,
        *,
        every: int = 100,
        validator: Any = None,
    ) -> None:
        self.schedule = schedule
        self.loader = loader
        self.path = Path(path)
        self.every = every
        self.validator = validator
        self._losses: list[Any] = []
        self._since = (0, 0.0, 0.0)

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._write)
        engine.add_event_handler(Events.TERMINATE, self._write)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        step = engine.state.iteration
        kept = []
        if step and self.path.is_file():
            with self.path.open(newline="") as stream:
                # A kill may have cut the last line: it lacks fields.
                whole = [row for row in csv.DictReader(stream) if None not in row.values()]
            kept = [row for row in whole if int(row["step"]) <= step]
        with atomic_file(self.path) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, _FIELDS)
            writer.writeheader()
            writer.writerows(kept)
        self._mark(engine)

    def _mark(self, engine: Engine) -> None:
        self._since = (
            engine.state.iteration,
            self.schedule.elapsed_seconds(),
            self.loader.seconds,
        )
        self._losses.clear()

    def _collect(self, engine: Engine) -> None:
        # Kept as tensors: reading a value would wait for the GPU at every step.
        output: Any = engine.state.output
        self._losses.append(output[CommonKeys.LOSS].detach())

    def _write(self, engine: Engine) -> None:
        if not self._losses:
            return
        step, seconds = engine.state.iteration, self.schedule.elapsed_seconds()
        loss = float(sum(self._losses)) / len(self._losses)
        spent = max(seconds - self._since[1], 1e-9)
        share = (self.loader.seconds - self._since[2]) / spent
        psnr = self._psnr()
        row = {
            "step": step,
            "minutes": f"{seconds / 60:.2f}",
            "loss": f"{loss:.6f}",
            "learning_rate": f"{self.schedule.optimizer.param_groups[0]['lr']:.3e}",
            "seconds_per_step": f"{spent / (step - self._since[0]):.4f}",
            "loader_share": f"{share:.4f}",
            "psnr": "" if psnr is None else f"{psnr:.3f}",
        }
        with self.path.open("a", newline="") as stream:
            csv.DictWriter(stream, _FIELDS).writerow(row)
        progress = self.schedule.progress(step)
        left = datetime.timedelta(seconds=round(seconds / max(progress, 1e-9) * (1 - progress)))
        logger.info(
            "step %d  loss %s  lr %s  %s s/step  data %.1f %%  PSNR %s  %.0f %% done, %s left",
            step,
            row["loss"],
            row["learning_rate"],
            row["seconds_per_step"],
            100 * share,
            row["psnr"] or "-",
            100 * progress,
            left,
        )
        self._mark(engine)

    def _psnr(self) -> float | None:
        if self.validator is None:
            return None
        state = self.validator.state
        value = state.metrics.get(state.key_metric_name)
        return None if value is None else float(value)
