"""Keep the discriminator from winning: its gradient is worth nothing once it is always right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events
from torch import Tensor

from monai_sr.core.distributed import from_first
from monai_sr.core.errors import OptionError
from monai_sr.core.log import get_logger
from monai_sr.core.registry import unknown_name

if TYPE_CHECKING:
    from monai_sr.losses import CompositeLoss

logger = get_logger(__name__)


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
