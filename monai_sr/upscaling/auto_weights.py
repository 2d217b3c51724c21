"""Gives each input the faithful or the robust weights of a bundle, by what is measured of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monai.utils import CommonKeys

from monai_sr.core import get_logger, printable, shown, user_message
from monai_sr.core.fingerprint import fingerprint
from monai_sr.formats import Facts
from monai_sr.upscaling.degraded import Finding, Sample, sample_of
from monai_sr.upscaling.engines import Engines
from monai_sr.upscaling.files import FACTS, FOUND, FileDataset
from monai_sr.upscaling.files import failure as failure_line
from monai_sr.upscaling.record import FileResult
from monai_sr.upscaling.verdict import Judge

logger = get_logger(__name__)

_DIGITS = 16  # of fingerprints, as those of single models


class AutoWeights:
    """Both models of a bundle, and the choice between them.

    Reading, measuring and enlarging of an input are one after another; any number of threads may
    call one object, which changes nothing.

    Args:
        judge: of the bundle.
        faithful: engines of its own model.
        robust: engines of its robust weights; None: it has none, and all get the faithful ones.

    Attributes:
        made_by: fingerprint of both models and of the limits: what may make a result.
    """

    def __init__(self, judge: Judge, faithful: Engines, robust: Engines | None) -> None:
        self._judge, self._faithful, self._robust = judge, faithful, robust
        ways = [faithful.dataset.made_by, "" if robust is None else robust.dataset.made_by]
        limits = {at: str(limit) for at, limit in (judge.limits or {}).items()}
        self.made_by = fingerprint(ways=ways, limits=limits)[:_DIGITS]

    def prepare(self) -> None:
        """Load both models.

        Raises:
            OptionError, WeightsError: if an option or weights do not fit.
        """
        self._faithful.prepare()
        if self._robust is not None:
            self._robust.prepare()

    def enlarge(
        self, plan: FileDataset | None, item: dict[str, Any]
    ) -> tuple[FileResult, Exception | None]:
        """Read, measure and enlarge one input; see :meth:`.Engines.enlarge`."""
        began = time.perf_counter()
        reader = copy.copy(self._faithful.dataset)
        reader.made_by = self.made_by
        reader.adopt(plan, [item])
        ready: dict[str, Any] = reader[0]
        found, failure = None, reader.failure
        if not {"error", "skipped"} & set(ready):
            try:
                sample = sample_of(ready, self._faithful.prepare().scenes)
                found = None if sample is None else self._found(sample)
            except Exception as error:  # one failed file must not end the run
                failure, ready = error, _failed(ready, error)
        engines = self._robust if self._robust and found and found.is_degraded else self._faithful
        if found is not None:
            logger.info("%s: %s", printable(item["source"]), self._judge.said(found))
            _note(ready, found)
        result, other = engines.enlarge(plan, item, ready, began)
        if found is not None and not result.error:
            result = replace(result, weights=found.weights, found=found.facts())
        return result, other or failure

    def _found(self, sample: Sample) -> Finding:
        if self._robust is None:
            return self._judge.find(sample, None, None)
        with self._robust.one() as engine:
            return self._judge.find(sample, engine.network, engine.inferer)


def _note(ready: dict[str, Any], found: Finding) -> None:
    """Let the result say what was found of its input."""
    if "scene" in ready:
        ready[FOUND] = found.verdict
    else:
        Facts(ready[CommonKeys.IMAGE].meta).found = found.verdict


def _failed(ready: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Return what :class:`.FileDataset` gives for an input that cannot be used."""
    message = shown(failure_line(error, str(ready["source"])))
    is_unexpected = user_message(error) is None
    return {"error": message, "is_unexpected": is_unexpected, **{k: ready[k] for k in FACTS}}
