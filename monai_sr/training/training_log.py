"""What a training run says: loss, speed, share of time spent on data, time left, the curve."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_sr.core.atomic import atomic_file
from monai_sr.core.distributed import rank, world_size
from monai_sr.core.log import get_logger
from monai_sr.core.types import PathLike
from monai_sr.training import PatchLoader
from monai_sr.training.schedule import BudgetSchedule

logger = get_logger(__name__)

_FIELDS = (
    "step",
    "minutes",
    "hr_megapixels",
    "loss",
    "learning_rate",
    "seconds_per_step",
    "loader_share",
    "psnr",
)


class TrainingLog:
    """Log progress at intervals, and append each line to a CSV file: the learning curve.

    Columns: step, minutes, high-resolution megapixels seen, loss, learning rate, seconds a step,
    share of time spent on data, PSNR of the last validation; then the means of the engine's
    ``output["scalars"]``, where it has them. Of several processes the first one writes.

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
        self._scalars: dict[str, list[Any]] = {}
        self._pixels = 0.0
        self._fields: tuple[str, ...] = _FIELDS
        self._since = (0, 0.0, 0.0)

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if rank() > 0:
            return
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
        # Columns that only earlier lines have (another loss) stay.
        self._fields = (*_FIELDS, *(key for row in kept[:1] for key in row if key not in _FIELDS))
        self._pixels = 1e6 * float(kept[-1].get("hr_megapixels") or 0) if kept else 0.0
        self._rewrite(kept)
        self._mark(engine)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomic_file(self.path) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._fields, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def _mark(self, engine: Engine) -> None:
        self._since = (
            engine.state.iteration,
            self.schedule.elapsed_seconds(),
            self.loader.seconds,
        )
        self._losses.clear()
        self._scalars.clear()

    def _collect(self, engine: Engine) -> None:
        # Kept as tensors: reading a value would wait for the GPU at every step.
        output: Any = engine.state.output
        self._losses.append(output[CommonKeys.LOSS].detach())
        for name, value in output.get("scalars", {}).items():
            self._scalars.setdefault(name, []).append(value)
        label = output[CommonKeys.LABEL]
        self._pixels += label.numel() // label.shape[1] * world_size()

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
            "hr_megapixels": f"{self._pixels / 1e6:.3f}",
            "loss": f"{loss:.6f}",
            "learning_rate": f"{self.schedule.optimizer.param_groups[0]['lr']:.3e}",
            "seconds_per_step": f"{spent / (step - self._since[0]):.4f}",
            "loader_share": f"{share:.4f}",
            "psnr": "" if psnr is None else f"{psnr:.3f}",
        }
        row |= {name: f"{float(sum(v)) / len(v):.6g}" for name, v in self._scalars.items()}
        self._append(row)
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

    def _append(self, row: dict[str, Any]) -> None:
        new = [name for name in row if name not in self._fields]
        if new:
            with self.path.open(newline="") as stream:
                earlier = list(csv.DictReader(stream))
            self._fields = (*self._fields, *new)
            self._rewrite(earlier)
        with self.path.open("a", newline="") as stream:
            csv.DictWriter(stream, self._fields, restval="").writerow(row)

    def _psnr(self) -> float | None:
        if self.validator is None:
            return None
        state = self.validator.state
        value = state.metrics.get(state.key_metric_name)
        return None if value is None else float(value)
