"""The averaged generator that validation, export and stage 2 use."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

_FIRST_STEPS = 9.0


class WeightAverage(EMAHandler):
    """ignite's exponential moving average, which forgets the untrained weights in a short run.

    At step t the newest weights enter with max(momentum, 9 / (t + 9)): after 100 steps the average
    reaches about 12 steps back. With a fixed momentum of 1e-3 it would still be nine tenths of the
    untrained network.

    Args:
        model: network to average.
        momentum: share of the newest weights in the long run.

    Attributes:
        ema_model: the averaged network.
    """

    def __init__(self, model: nn.Module, momentum: float = 1e-3) -> None:
        super().__init__(model, momentum=momentum)

    def attach(  # type: ignore[override]
        self, engine: Engine, name: str = "ema_momentum"
    ) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._set_momentum, name)
        super().attach(engine, name)

    def _set_momentum(self, engine: Engine, name: str) -> None:
        newest = _FIRST_STEPS / (engine.state.iteration + _FIRST_STEPS)
        setattr(engine.state, name, max(self.momentum, newest))
