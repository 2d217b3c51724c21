"""Checkpoints from which a run goes on at the very step where it was killed."""

import math
import os
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_sr.core import (
    PART,
    OptionError,
    OutputError,
    PathLike,
    TrainingFailedError,
    WeightsError,
    atomic_file,
    claim,
    get_logger,
    rank,
    release,
    sweep,
)
from monai_sr.training.schedule import BudgetSchedule

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
        path: checkpoint file. Its folder is this process's own while the engine runs.
        parts: name -> network, averaged network, optimizer, schedule, ...
        loader: data stream, told the iteration before each batch.
        every: iterations between checkpoints.
        resume: whether an existing file is continued; else it is replaced.
        options: name -> value of what a run learns from and how. One that goes on with others says
            so; one that is over, so that they would have no effect, is refused.
    """

    def __init__(
        self,
        path: PathLike,
        parts: dict[str, Stateful],
        loader: Counted,
        *,
        every: int = 500,
        resume: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.parts = dict(parts)
        self.loader = loader
        self.every = every
        self.resume = resume
        self.options = {name: _told(value) for name, value in (options or {}).items()}
        self._before = self.options

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._place_loader)
        if rank() == 0:
            every = math.lcm(self.every, int(getattr(engine, "accumulation_steps", 1)))
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=every), self.save)
            engine.add_event_handler(Events.COMPLETED, self.save)
            engine.add_event_handler(Events.TERMINATE, self.save)
            engine.add_event_handler(Events.COMPLETED, self._end)
            engine.add_event_handler(Events.TERMINATE, self._end)

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
        state["options"] = self.options
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
            self._before = dict(state.get("options", self.options))
            return int(state["iteration"])
        except Exception as error:
            raise WeightsError(
                f"{self.path}: is no checkpoint of this run; name the sizes of the network that it "
                "began with, remove it or start with --resume False"
            ) from error

    def _claim_folder(self) -> None:
        """Keep other runs off, whose weights and lines of the curve would be mixed with these.

        Raises:
            OptionError: if another process trains there.
        """
        folder = self.path.parent
        with suppress(OSError):  # who writes the first file says what is wrong
            folder.mkdir(parents=True, exist_ok=True)
            if not claim(folder):
                raise OptionError(
                    f"{folder}: another process is training there; wait until it ends, or name "
                    "another --output_dir"
                )

    def _end(self) -> None:
        release(self.path.parent)

    def _start(self, engine: Engine) -> None:
        if rank() == 0:
            self._claim_folder()
            sweep(self.path.parent, f".*{PART}")  # what a killed run was writing
        if self.resume and self.path.exists():
            iteration = self.load()
            length = engine.state.epoch_length or len(self.loader)  # type: ignore[arg-type]
            engine.state.iteration = iteration
            engine.state.epoch = iteration // length
            self._tell_changes(iteration)
            logger.info("continuing from step %d", iteration)

    def _tell_changes(self, iteration: int) -> None:
        """Say which options are others than before.

        Raises:
            OptionError: if the run is over, so that they would have no effect.
        """
        changed = [
            f"{name} {reprlib.repr(value)} (before: {reprlib.repr(self._before[name])})"
            for name, value in self.options.items()
            if self._before.get(name, value) != value
        ]
        if not changed:
            return
        text = f"{self.path.parent}: was trained with other options, got {', '.join(changed)}"
        schedule = self.parts.get("schedule")
        if isinstance(schedule, BudgetSchedule) and schedule.progress(iteration) >= 1:
            raise OptionError(
                f"{text}, and its budget is spent; name another --output_dir, or start it anew "
                "with --resume False"
            )
        if rank() == 0:
            logger.warning("%s; from step %d on it learns with these", text, iteration)

    def _place_loader(self, engine: Engine) -> None:
        self.loader.iteration = engine.state.iteration


def _told(value: Any, depth: int = 4) -> str:
    """Return what tells one value of an option from others, an object by its attributes."""
    if isinstance(value, str | Path):
        return os.path.realpath(value) if os.path.exists(value) else str(value)
    if isinstance(value, int | float | None):
        return str(value)
    if isinstance(value, list | tuple) and depth:
        return f"[{', '.join(_told(each, depth - 1) for each in value)}]"
    kind = type(value).__name__
    parts = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    if not depth:
        return kind
    return f"{kind}({', '.join(f'{k}={_told(v, depth - 1)}' for k, v in parts.items())})"


def _is_finite(network: nn.Module) -> bool:
    tensors = (*network.parameters(), *network.buffers())
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
