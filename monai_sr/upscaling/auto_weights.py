"""Gives each input the faithful or the robust weights of a bundle, by what is measured of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monai.utils import CommonKeys

from monai_sr.core import PathLike, find_bundle
from monai_sr.core.fingerprint import fingerprint
from monai_sr.formats import Facts
from monai_sr.upscaling.chooser import Chooser, check_auto
from monai_sr.upscaling.degraded import Finding, sample_of
from monai_sr.upscaling.engines import Engines
from monai_sr.upscaling.evaluator import failed
from monai_sr.upscaling.files import FOUND, FileDataset
from monai_sr.upscaling.record import FileResult

_DIGITS = 16  # of fingerprints, as those of single models


class AutoWeights(Engines):
    """The engines of a bundle's own model, which leave degraded inputs to those of the robust one.

    Reading, measuring and enlarging of an input are one after another; any number of threads may
    call one object, which changes nothing.

    Args:
        bundle: as of :class:`.Engines`.
        options: likewise.
        progress: likewise.

    Attributes:
        dataset: reads inputs; signed with the fingerprint of both models and of the limits.

    Raises:
        OptionError: if an option does not fit or leaves no choice, or the limits are damaged.
    """

    def __init__(self, bundle: PathLike, options: dict[str, Any], progress: bool) -> None:
        check_auto(options)
        super().__init__(bundle, {**options, "robust": False}, progress)
        self._chooser = Chooser(
            find_bundle(bundle), lambda: Engines(bundle, {**options, "robust": True}, progress)
        )
        self._robust = self._chooser.robust
        ways = [self.dataset.made_by, self._robust.dataset.made_by if self._robust else ""]
        limits = {at: str(limit) for at, limit in (self._chooser.limits or {}).items()}
        self.dataset.made_by = fingerprint(ways=ways, limits=limits)[:_DIGITS]

    def prepare(self) -> None:
        """Load both models; see :meth:`.Engines.prepare`."""
        super().prepare()
        if self._robust is not None:
            self._robust.prepare()

    def enlarge(
        self, plan: FileDataset | None, item: dict[str, Any]
    ) -> tuple[FileResult, Exception | None]:
        """Read, measure and enlarge one input; see :meth:`.Engines.enlarge`."""
        read = self.read(plan, item)
        try:
            sample = sample_of(read.ready, self.dataset.scenes)
            found = self._chooser.measure(item["source"], sample)
        except Exception as error:  # one failed file must not end the run
            return failed(read.ready, error), error
        if found is not None:
            _note(read.ready, found)
        result, failure = self._chooser.pick(found, self).enlarge_read(plan, item, read)
        if found is not None and not result.error:
            result = replace(result, weights=found.weights, found=found.facts())
        return result, failure


def _note(ready: dict[str, Any], found: Finding) -> None:
    """Let the result say what was found of its input."""
    if "scene" in ready:
        ready[FOUND] = found.verdict
    else:
        Facts(ready[CommonKeys.IMAGE].meta).found = found.verdict
