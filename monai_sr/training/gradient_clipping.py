"""Gradient clipping between backward and step."""

from __future__ import annotations

from ignite.engine import Engine
from torch import nn

from monai_sr.training.events import gradients_completed


class GradientClipping:
    """Limit the norm of all gradients of a network (S1's "truncation").

    Args:
        network: whose gradients are clipped: a trainer's network, or a GAN trainer's discriminator.
        max_norm: largest Euclidean norm over all parameters.
    """

    def __init__(self, network: nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(gradients_completed(engine, self.network), self)

    def __call__(self, engine: Engine) -> None:
        """Clip in place."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
