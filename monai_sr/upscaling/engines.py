"""The engines of one model: as many as threads have used it at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monai_sr.core import OptionError, PathLike, WeightsError, undisturbed, unwrapped
from monai_sr.upscaling.evaluator import UpscaleEvaluator
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.record import FileResult
from monai_sr.upscaling.workflow import SRWorkflow


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
        self._workflow, self._progress, self._name = workflow, progress, bundle
        self._first: UpscaleEvaluator | None = None
        self._free: list[UpscaleEvaluator] = []
        self._lock = threading.Lock()
        workflow.parser.update({"dataset#items": []})
        workflow.initialize()
        workflow.sign()
        with unwrapped():
            self.dataset: FileDataset = workflow.parser.get_parsed_content("dataset")

    @undisturbed()
    def prepare(self) -> UpscaleEvaluator:
        """Load the model, unless that was done; the engine that has it is never run itself.

        Raises:
            OptionError: if an option does not fit.
            WeightsError: if weights do not fit, or changed since this object was made.
        """
        with self._lock:
            if self._first is None:
                with unwrapped():
                    first: UpscaleEvaluator = self._workflow.parser.get_parsed_content("evaluator")
                inferer: Any = first.inferer
                inferer.progress = self._progress and inferer.progress
                first.prepare()
                if self._workflow.fingerprint() != self.dataset.made_by:
                    raise WeightsError(
                        f"{self._name}: weights or options changed since this was made, which "
                        "results would name wrongly; make it anew"
                    )
                self._first = first
            return self._first

    @contextmanager
    def one(self) -> Iterator[UpscaleEvaluator]:
        """Yield an engine that no other thread has meanwhile."""
        first = self.prepare()
        with self._lock:
            engine = self._free.pop() if self._free else None
        engine = engine or first.twin()
        yield engine
        # One that was stopped on its way (Ctrl-C) would go on from there: nobody gets it again.
        with self._lock:
            self._free.append(engine)

    def enlarge(
        self,
        plan: FileDataset | None,
        item: dict[str, Any],
        ready: dict[str, Any] | None = None,
        began: float | None = None,
    ) -> tuple[FileResult, Exception | None]:
        """Enlarge one input; return its result and what it failed of.

        Args:
            plan: what has found and named it; None: nothing of it is temporary.
            item: of ``plan.data``.
            ready: what was read of it already; None: nothing.
            began: when that began, by ``time.perf_counter``.
        """
        with self.one() as engine:
            loader: Any = engine.data_loader
            loader.dataset.adopt(plan, [item], ready)
            try:
                return engine.enlarge(item, began), engine.failure
            finally:
                loader.dataset.adopt(None, [])  # else temporary folders would live on
