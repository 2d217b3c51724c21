"""Write the averaged generator as the plain state dict that bundles ship."""

from __future__ import annotations

from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_sr.core.atomic import atomic_file
from monai_sr.core.distributed import rank
from monai_sr.core.errors import OutputError
from monai_sr.core.types import PathLike


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
        """
        state = {name: t.detach().cpu() for name, t in self.network.state_dict().items()}
        state = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
        try:
            # Through a stream: given a path, torch writes its temporary name into the file.
            with atomic_file(self.path) as partial, partial.open("wb") as stream:
                torch.save(state, stream)
        except RuntimeError as error:  # torch's own word for a full disk
            raise OutputError(f"{self.path}: weights cannot be written; free space") from error
