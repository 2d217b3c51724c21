"""Learning rate over a budget of steps or minutes: linear warm-up, then a cosine to a floor."""

import math
import time

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from monai_sr.core import OptionError, from_first, get_logger

logger = get_logger(__name__)

_WARMUP_SHARE = 0.05


class BudgetSchedule:
    """Set the learning rate before every step and end the run when the budget is spent.

    With ``steps`` the rate is a pure function of the iteration, so a resumed run equals an
    uninterrupted one. With ``minutes`` progress is wall-clock time, time before a resume counted;
    of several processes the first one's clock rules.

    Args:
        optimizer: its learning rates are set.
        lr: rate after the warm-up.
        steps: budget in iterations; 0 where minutes decide.
        minutes: budget in minutes; 0 where steps decide.
        warmup_steps: iterations of linear warm-up; with ``minutes`` no more than 5 % of them.
        final_lr: rate at the end.

    Raises:
        OptionError: unless exactly one budget is given.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr: float,
        *,
        steps: int = 0,
        minutes: float = 0,
        warmup_steps: int = 500,
        final_lr: float = 1e-6,
    ) -> None:
        if (steps > 0) == (minutes > 0):
            raise OptionError(f"budget: give steps or minutes, got {steps} and {minutes}")
        self.optimizer = optimizer
        self.lr = lr
        self.steps = steps
        self.minutes = minutes
        self.warmup_steps = warmup_steps
        self.final_lr = final_lr
        self.spent_seconds = 0.0
        self._resumed_at = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._stop_before_more)
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_when_spent)

    def elapsed_seconds(self) -> float:
        """Return training time so far, earlier parts of a resumed run included."""
        return self.spent_seconds + time.monotonic() - self._resumed_at

    def progress(self, iteration: int) -> float:
        """Return the share of the budget that is spent, 0 … 1."""
        if self.steps:
            return min(iteration / self.steps, 1.0)
        return min(self.elapsed_seconds() / (60 * self.minutes), 1.0)

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration (counted from 1)."""
        return self._rate(iteration, self.progress(iteration - 1))

    def _rate(self, iteration: int, progress: float) -> float:
        warm = iteration / max(self.warmup_steps, 1)
        if self.minutes:
            # A run of minutes may be over before the warm-up is.
            warm = max(warm, progress / _WARMUP_SHARE)
        warm = min(warm, 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return warm * (self.final_lr + (self.lr - self.final_lr) * cosine)

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {"seconds": self.elapsed_seconds()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""
        self.spent_seconds = float(state["seconds"])
        self._resumed_at = time.monotonic()

    def _start(self, engine: Engine) -> None:
        self._resumed_at = time.monotonic()

    def _stop_before_more(self, engine: Engine) -> None:
        # Not when the run starts: then the checkpoint of an earlier run may not be read yet.
        if from_first(self.progress(engine.state.iteration)) >= 1:
            logger.info("the training budget is spent after %d steps", engine.state.iteration)
            engine.terminate()

    def _set_rate(self, engine: Engine) -> None:
        step = engine.state.iteration
        rate = self._rate(step, from_first(self.progress(step - 1)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _stop_when_spent(self, engine: Engine) -> None:
        if from_first(self.progress(engine.state.iteration)) >= 1:
            # Only this epoch: its validation still runs; the next one ends before its first step.
            engine.terminate_epoch()
