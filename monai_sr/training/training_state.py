"""Checkpoints from which a run goes on at the very step where it was killed."""

import math
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_sr.core import (
    PART,
    OutputError,
    PathLike,
    TrainingFailedError,
    WeightsError,
    atomic_file,
    get_logger,
    rank,
    sweep,
)

logger = get_logger(__name__)


class Stateful(Protocol):
    """Anything with a state dict."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take a state."""


class Counted(Protocol):
    """A data stream whose next batch is decided by its iteration."""

    iteration: int


class TrainingState:
    """Save everything that decides the next step, and continue from it.

    The file holds the state dicts of ``parts`` and the engine's iteration; it loads with
    ``weights_only`` and replaces its predecessor atomically. Of several processes the first one
    writes, all read. With gradient accumulation it is written when an update is complete. Attach it
    after the handlers that change a part (an averaged network), or it saves their state of the step
    before. Give the trainer ``optim_set_to_none=True`` if a batch may leave weights unused (the
    tail of another scale): zeroed gradients, unlike absent ones, would step them, but not right
    after a resume.

    Args:
        path: checkpoint file.
        parts: name -> network, averaged network, optimizer, schedule, ...
        loader: data stream, told the iteration before each batch.
        every: iterations between checkpoints.
        resume: whether an existing file is continued; else it is replaced.
    """

    def __init__(
        self,
        path: PathLike,
        parts: dict[str, Stateful],
        loader: Counted,
        *,
        every: int = 500,
        resume: bool = True,
    ) -> None:
        self.path = Path(path)
        self.parts = dict(parts)
        self.loader = loader
        self.every = every
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._place_loader)
        if rank() == 0:
            every = math.lcm(self.every, int(getattr(engine, "accumulation_steps", 1)))
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=every), self.save)
            engine.add_event_handler(Events.COMPLETED, self.save)
            engine.add_event_handler(Events.TERMINATE, self.save)

    def save(self, engine: Engine) -> None:
        """Write the checkpoint.

        Raises:
            OutputError: if the file cannot be written.
            TrainingFailedError: if a weight is not finite; the file before it is kept.
        """
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        for name, part in self.parts.items():
            if isinstance(part, nn.Module) and not _is_finite(part):
                raise TrainingFailedError(
                    f"{name}: a weight is NaN or infinite after step {engine.state.iteration}; "
                    f"lower the learning rate or gradient_norm and continue from {self.path}"
                )
        state["iteration"] = engine.state.iteration
        try:
            # Through a stream: given a path, torch writes its temporary name into the file.
            with atomic_file(self.path) as partial, partial.open("wb") as stream:
                torch.save(state, stream)
        except RuntimeError as error:  # torch's own word for a full disk
            raise OutputError(
                f"{self.path}: checkpoint cannot be written; free space or choose another folder"
            ) from error

    def load(self) -> int:
        """Restore all parts and return the iteration.

        Raises:
            WeightsError: if the file is damaged or belongs to another run.
        """
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            return int(state["iteration"])
        except Exception as error:
            raise WeightsError(
                f"{self.path}: is no checkpoint of this run; remove it or start with --resume False"
            ) from error

    def _start(self, engine: Engine) -> None:
        if rank() == 0:
            sweep(self.path.parent, f".*{PART}")  # what a killed run was writing
        if self.resume and self.path.exists():
            iteration = self.load()
            length = engine.state.epoch_length or len(self.loader)  # type: ignore[arg-type]
            engine.state.iteration = iteration
            engine.state.epoch = iteration // length
            logger.info("continuing from step %d", iteration)

    def _place_loader(self, engine: Engine) -> None:
        self.loader.iteration = engine.state.iteration


def _is_finite(network: nn.Module) -> bool:
    tensors = (*network.parameters(), *network.buffers())
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
