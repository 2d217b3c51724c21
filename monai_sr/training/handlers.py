"""What a trainer calls between steps: gradients, the averaged generator, its export."""

from pathlib import Path

from ignite.engine import Engine, EventEnum, Events
from ignite.handlers import EMAHandler
from monai.engines import IterationEvents
from monai.utils.enums import AdversarialIterationEvents
from torch import nn

from monai_sr.core import OptionError, PathLike, average_gradients, rank, world_size
from monai_sr.networks import save_weights


def gradients_completed(engine: Engine, network: nn.Module) -> EventEnum:
    """Return the event after backward and before step, of the network's own turn."""
    if getattr(engine.state, "d_network", None) is network:
        return AdversarialIterationEvents.DISCRIMINATOR_BACKWARD_COMPLETED
    return IterationEvents.BACKWARD_COMPLETED


class GradientClipping:
    """Limit the norm of all gradients of a network (S1's "truncation").

    Args:
        network: whose gradients are clipped: a trainer's network, or a GAN trainer's discriminator.
        max_norm: largest Euclidean norm over all parameters; inf: none.

    Raises:
        OptionError: if it is not positive, with which nothing would be learned.
    """

    def __init__(self, network: nn.Module, max_norm: float) -> None:
        self.max_norm = float(max_norm)  # "inf" comes as text from a command line
        if not self.max_norm > 0:
            raise OptionError(
                f"gradient_norm: must be above 0, got {max_norm}, with which nothing is learned; "
                "inf leaves gradients as they are"
            )
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(gradients_completed(engine, self.network), self)

    def __call__(self, engine: Engine) -> None:
        """Clip in place."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


class GradientAveraging:
    """Average a network's gradients over all processes; alone it does nothing.

    It takes the place of ``DistributedDataParallel``, which counts one backward for one forward: a
    GAN runs its discriminator four times a step, half of them without its weights. Attach it before
    anything that reads gradients.

    Args:
        network: whose gradients are averaged: a trainer's network, or a GAN trainer's
            discriminator.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        if world_size() > 1:
            engine.add_event_handler(gradients_completed(engine, self.network), self)

    def __call__(self, engine: Engine) -> None:
        """Average in place."""
        average_gradients(self.network.parameters())


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

    Raises:
        OptionError: if momentum is none.
    """

    def __init__(self, model: nn.Module, momentum: float = 1e-3) -> None:
        if not (isinstance(momentum, int | float) and 0 < momentum < 1):
            raise OptionError(f"ema_momentum: must lie between 0 and 1, got {momentum!r}")
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


class WeightsExport:
    """Save a network's weights in half precision, at intervals and at the end.

    Args:
        network: whose weights are written (the averaged one).
        path: file, replaced atomically; it loads with ``weights_only`` and strictly.
        every: steps between writes.
    """

    def __init__(self, network: nn.Module, path: PathLike, *, every: int = 1000) -> None:
        self.network = network
        self.path = Path(path)
        self.every = every

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if rank() == 0:
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self)
            engine.add_event_handler(Events.COMPLETED, self)
            engine.add_event_handler(Events.TERMINATE, self)

    def __call__(self, engine: Engine) -> None:
        """Write the file.

        Raises:
            OutputError: if it cannot be written.
            WeightsError: if a weight is not finite; the file before it is kept.
        """
        save_weights(self.network, self.path)
