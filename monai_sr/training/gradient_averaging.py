"""Make several training processes step as one: their gradients are averaged before each step."""

from __future__ import annotations

from ignite.engine import Engine
from torch import nn

from monai_sr.core.distributed import average_gradients, world_size
from monai_sr.training.events import gradients_completed


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
