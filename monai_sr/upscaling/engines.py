"""The engines of one model: as many as threads have used it at once."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import nn

from monai_sr.core import (
    OptionError,
    PathLike,
    WeightsError,
    random_state_kept,
    undisturbed,
    unwrapped,
)
from monai_sr.upscaling.evaluator import UpscaleEvaluator
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.record import FileResult
from monai_sr.upscaling.workflow import SRWorkflow


class Read(NamedTuple):
    """One input as it was read.

    Attributes:
        began: when that began, by ``time.perf_counter``.
        ready: what the reader gave for it.
        reader: the reader; unpacked parts of the input live as long as this.
    """

    began: float
    ready: dict[str, Any]
    reader: FileDataset


class Engines:
    """The engines of one model, built when they are first needed.

    Args:
        bundle: folder or name of the bundle.
        options: entries of its ``inference.yaml``, ``system`` among them.
        progress: whether long computations show a bar on the terminal.

    Attributes:
        dataset: reads inputs; signed with the fingerprint of the model.

    Raises:
        OptionError: if an option does not fit, or the bundle reads its inputs otherwise.
    """

    def __init__(self, bundle: PathLike, options: dict[str, Any], progress: bool) -> None:
        workflow = SRWorkflow(bundle, **options)
        if not workflow.has_file_dataset():
            raise OptionError(
                f"{bundle}: must read its inputs by FileDataset, got another dataset; run "
                "it with python -m monai.bundle run"
            )
        self._workflow, self._progress, self._bundle = workflow, progress, bundle
        self._first: UpscaleEvaluator | None = None
        self._free: list[UpscaleEvaluator] = []
        self._lock = threading.Lock()
        workflow.parser.update({"dataset#items": []})
        workflow.initialize()
        workflow.sign()
        with unwrapped():
            self.dataset: FileDataset = workflow.parser.get_parsed_content("dataset")
        self._signed = self.dataset.made_by

    def prepare(self) -> None:
        """Load the model, unless that was done.

        Raises:
            OptionError: if an option does not fit.
            WeightsError: if weights do not fit, or changed since this object was made.
        """
        self._loaded()

    @property
    def network(self) -> nn.Module:
        """The generator, loaded when it is first asked for; see :meth:`prepare`."""
        return self._loaded().network

    @property
    def inferer(self) -> Any:
        """How that runs, likewise."""
        return self._loaded().inferer

    @undisturbed()
    @random_state_kept()
    def _loaded(self) -> UpscaleEvaluator:
        """Return the engine that has the model; it is never run itself."""
        with self._lock:
            if self._first is None:
                with unwrapped():
                    first: UpscaleEvaluator = self._workflow.parser.get_parsed_content("evaluator")
                inferer: Any = first.inferer
                inferer.progress = self._progress and inferer.progress
                first.prepare()
                if self._workflow.fingerprint() != self._signed:
                    raise WeightsError(
                        f"{self._bundle}: weights or options changed since this was made, which "
                        "results would name wrongly; make it anew"
                    )
                first.network.eval()  # no engine finds it otherwise and puts that back
                self._first = first
            return self._first

    @contextmanager
    def _one(self) -> Iterator[UpscaleEvaluator]:
        """Yield an engine that no other thread has meanwhile."""
        first = self._loaded()
        with self._lock:
            engine = self._free.pop() if self._free else None
        engine = engine or first.twin()
        yield engine
        # One that was stopped on its way (Ctrl-C) would go on from there: nobody gets it again.
        with self._lock:
            self._free.append(engine)

    def enlarge(
        self, plan: FileDataset | None, item: dict[str, Any]
    ) -> tuple[FileResult, Exception | None]:
        """Enlarge one input; return its result and what it failed of.

        Args:
            plan: what has found and named it; None: nothing of it is temporary.
            item: of ``plan.data``.
        """
        return self.enlarge_read(plan, item, None)

    def read(self, plan: FileDataset | None, item: dict[str, Any]) -> Read:
        """Read one input, given as to :meth:`enlarge`."""
        began, reader = time.perf_counter(), copy.copy(self.dataset)
        reader.adopt(plan, [item])
        return Read(began, reader[0], reader)

    def enlarge_read(
        self, plan: FileDataset | None, item: dict[str, Any], read: Read | None
    ) -> tuple[FileResult, Exception | None]:
        """Enlarge one input that was read already; None: it was not. See :meth:`enlarge`."""
        with self._one() as engine:
            loader: Any = engine.data_loader
            loader.dataset.adopt(plan, [item], read and read.ready)
            try:
                result = engine.enlarge(item, read and read.began)
                return result, engine.failure or (read and read.reader.failure)
            finally:
                loader.dataset.adopt(None, [])  # else temporary folders would live on
