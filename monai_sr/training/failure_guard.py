"""Stop a run that has diverged or collapsed, and keep the last state that was good."""

from __future__ import annotations

import math
import shutil
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_sr.core.atomic import atomic_file
from monai_sr.core.distributed import rank
from monai_sr.core.errors import TrainingFailedError
from monai_sr.core.log import get_logger
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
