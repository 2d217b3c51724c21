"""Handlers that step in: a run that diverges or collapses, a discriminator that wins."""

import math
import shutil
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from torch import Tensor

from monai_sr.core import (
    OptionError,
    TrainingFailedError,
    atomic_file,
    from_first,
    get_logger,
    rank,
    unknown_name,
)
from monai_sr.losses import CompositeLoss
from monai_sr.training.training_state import TrainingState

logger = get_logger(__name__)


class FailureGuard:
    """Watch the loss at every few steps and the validation PSNR, and stop with a remedy.

    Attach it before :class:`TrainingState`: a step that failed is then never saved. At every
    validation that is still good, the newest checkpoint is copied to ``<name>_good<suffix>``.

    Args:
        state: the checkpoints of the run, of which the guard makes itself a part.
        validator: engine whose key metric is the PSNR in dB; None watches the loss alone.
        max_drop: fall in dB from the best validation that counts as a collapse. A GAN stage loses
            one or two by its nature.
        every: steps between looks at the loss; each look waits for a GPU.

    Raises:
        TrainingFailedError: in the run, naming what to change and the state to continue from.
    """

    def __init__(
        self,
        state: TrainingState,
        *,
        validator: Any = None,
        max_drop: float = 6.0,
        every: int = 10,
    ) -> None:
        self.state = state
        self.validator = validator
        self.max_drop = max_drop
        self.every = every
        self.good = state.path.with_stem(state.path.stem + "_good")
        self._best = -math.inf
        state.parts["guard"] = self

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._check_loss)
        if self.validator is not None:
            self.validator.add_event_handler(Events.COMPLETED, self._check_quality, engine)

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {"best": self._best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from a saved state."""
        self._best = state["best"]

    def _check_loss(self, engine: Engine) -> None:
        output: Any = engine.state.output
        figures = {"loss": output[CommonKeys.LOSS], **output.get("scalars", {})}
        wrong = [name for name, value in figures.items() if not bool(torch.isfinite(value))]
        if wrong:
            raise TrainingFailedError(
                f"training: {', '.join(wrong)} became NaN or infinite before step "
                f"{engine.state.iteration + 1}; lower the learning rate, gradient_norm or the "
                f"adversarial weight and continue from {self._kept()}"
            )

    def _check_quality(self, validator: Engine, trainer: Engine) -> None:
        name = validator.state.key_metric_name  # type: ignore[attr-defined]
        psnr = float(validator.state.metrics[name])
        if not psnr > self._best - self.max_drop:
            raise TrainingFailedError(
                f"training: collapsed by step {trainer.state.iteration}, validation PSNR fell from "
                f"{self._best:.2f} to {psnr:.2f} dB; lower the adversarial weight or the learning "
                f"rates and continue from {self._kept()}"
            )
        self._best = max(self._best, psnr)
        if rank() == 0 and self.state.path.exists():
            with atomic_file(self.good) as partial:
                shutil.copyfile(self.state.path, partial)

    def _kept(self) -> str:
        kept = next((p for p in (self.good, self.state.path) if p.exists()), None)
        return str(kept) if kept else "the weights it started from"


class DiscriminatorBalance:
    """Act when the discriminator's loss stays near zero over many steps.

    Szigetvari et al. (2025) saw it fall to zero and raised the adversarial weight from 1e-3 to
    5e-2. ``"raise"`` multiplies the weight of a loss term, up to ``max_factor``; ``"skip"`` leaves
    the discriminator as it is for a window. Either is logged.

    Args:
        loss: the generator's loss, whose ``factors`` are changed.
        action: "raise" or "skip".
        term: name of the adversarial term in ``loss``.
        threshold: mean of the discriminator's loss below which it wins.
        window: steps of the mean, and steps between two actions.
        factor: by which "raise" multiplies each time.
        max_factor: largest product.

    Raises:
        OptionError: if ``action`` is neither, a number is not positive, or the loss has no such
            term.
    """

    def __init__(
        self,
        loss: CompositeLoss,
        *,
        action: str = "raise",
        term: str = "adversarial",
        threshold: float = 0.05,
        window: int = 50,
        factor: float = 2.0,
        max_factor: float = 50.0,
    ) -> None:
        if action not in ("raise", "skip"):
            raise OptionError(f"action: must be 'raise' or 'skip', got {action!r}")
        if min(threshold, window, factor, max_factor) <= 0:
            raise OptionError("threshold, window, factor, max_factor: must be positive")
        if action == "raise" and term not in loss.factors:
            raise unknown_name("loss term", term, loss.factors)
        self.loss = loss
        self.action = action
        self.term = term
        self.threshold = threshold
        self.window = window
        self.factor = factor
        self.max_factor = max_factor
        self._sum: float | Tensor = 0.0
        self._count = 0
        self._is_skipping = False

    def attach(self, engine: Engine) -> None:
        """Register with a GAN trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_skip)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"sum": float(self._sum), "count": self._count, "is_skipping": self._is_skipping}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._sum = state["sum"]
        self._count = state["count"]
        self._is_skipping = state["is_skipping"]

    def _set_skip(self, engine: Engine) -> None:
        engine.state.skip_discriminator = self._is_skipping  # type: ignore[attr-defined]

    def __call__(self, engine: Engine) -> None:
        """Add the step to the mean, and act at the end of a window."""
        output: Any = engine.state.output
        value = output["scalars"].get("discriminator")
        self._count += 1
        if value is not None:
            # Added as a tensor: reading it would wait for the GPU at every step.
            self._sum = self._sum + value
        if self._count < self.window:
            return
        # Each process sees a loss of its own, and all must come to one decision.
        mean = from_first(float(self._sum) / self._count)
        wins = not self._is_skipping and mean < self.threshold
        self._sum, self._count = 0.0, 0
        if self.action == "skip":
            if wins:
                logger.info("discriminator's loss %.4f: it rests for %d steps", mean, self.window)
            self._is_skipping = wins
        elif wins:
            raised = min(self.loss.factors[self.term] * self.factor, self.max_factor)
            if raised > self.loss.factors[self.term]:
                self.loss.factors[self.term] = raised
                logger.info("discriminator's loss %.4f: %s weight x %g", mean, self.term, raised)
