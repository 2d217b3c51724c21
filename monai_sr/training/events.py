"""Which event of a trainer says that the gradients of a network are complete."""

from __future__ import annotations

from ignite.engine import Engine, EventEnum
from monai.engines import IterationEvents
from monai.utils.enums import AdversarialIterationEvents
from torch import nn


def gradients_completed(engine: Engine, network: nn.Module) -> EventEnum:
    """Return the event after backward and before step, of the network's own turn."""
    if getattr(engine.state, "d_network", None) is network:
        return AdversarialIterationEvents.DISCRIMINATOR_BACKWARD_COMPLETED
    return IterationEvents.BACKWARD_COMPLETED
