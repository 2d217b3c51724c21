"""Write the averaged generator as the plain state dict that bundles ship."""

from __future__ import annotations

from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from monai_sr.core.distributed import rank
from monai_sr.core.types import PathLike
from monai_sr.networks import save_weights


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
