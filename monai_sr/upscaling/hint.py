"""Says of large inputs that look degraded what would serve them better.

It is said where that costs next to nothing. Measuring takes 1 s of a core, whatever the size: 0.7 %
of what an input of 8 million pixels takes at x4, 17 % of one of 512 x 512, and most of a small one.
Results stay what they are, bit for bit.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.utils import CommonKeys
from torch import Tensor

from monai_sr.core import UPSCALE, get_logger, is_address, printable
from monai_sr.formats import raster_facts
from monai_sr.upscaling.degraded import Finding, sample_of
from monai_sr.upscaling.engines import Engines
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.record import FileResult
from monai_sr.upscaling.super_resolver import SuperResolver
from monai_sr.upscaling.verdict import Judge

logger = get_logger(__name__)

_LEAST_PX = 8 * 10**6  # of an input
# With one of these another model is at work, a faster one, or a part of the input.
_INSTEAD = ("system", "ckpt_path", "size", "perception", "spatial_dims", "window", "bbox")
_KEPT = ("scale", "device")  # of the options, by the network that measures


def may_hint(options: Mapping[str, Any]) -> bool:
    """Tell whether options leave it to be said that others would serve better."""
    given = {option.name: option for option in UPSCALE}
    is_plain = not any(given[name].is_said(options.get(name)) for name in _INSTEAD)
    is_open = options.get("robust") is None
    return is_plain and is_open and options.get("precision") != "int8"


class Hints:
    """Enlarges by the faithful weights of a bundle, and says where robust ones would serve better.

    Any number of threads may call one object.

    Args:
        judge: of the bundle, which has limits.
        bundle: its name or folder.
        faithful: engines of its own model.
        options: entries of its ``inference.yaml``.
    """

    def __init__(
        self, judge: Judge, bundle: Path | str, faithful: Engines, options: Mapping[str, Any]
    ) -> None:
        self._judge, self._bundle, self._faithful = judge, bundle, faithful
        self._options = {key: options[key] for key in _KEPT if options.get(key) is not None}
        self._robust: SuperResolver | None = None
        self._lock = threading.Lock()

    def enlarge(
        self, plan: FileDataset | None, item: dict[str, Any]
    ) -> tuple[FileResult, Exception | None]:
        """Read, measure and enlarge one input; see :meth:`.Engines.enlarge`."""
        began = time.perf_counter()
        reader = copy.copy(self._faithful.dataset)
        reader.adopt(plan, [item])
        ready: dict[str, Any] = reader[0]
        hint = "" if is_address(item["source"]) else self._hint(ready)
        if hint:
            logger.warning("%s: %s", printable(item["source"]), hint)
        result, failure = self._faithful.enlarge(plan, item, ready, began)
        return replace(result, hint="" if result.error else hint), failure or reader.failure

    def _hint(self, ready: Mapping[str, Any]) -> str:
        try:
            found = self._found(ready)
        except Exception as error:  # nobody asked for it: it must not cost a result
            logger.debug("no hint: %s", type(error).__name__)
            return ""
        if found is None:
            return ""
        return f"looks degraded ({found}); try --robust auto" if found.is_degraded else ""

    def _found(self, ready: Mapping[str, Any]) -> Finding | None:
        if _pixels(ready) < _LEAST_PX:
            return None
        sample = sample_of(ready, self._faithful.prepare().scenes)
        if sample is None:
            return None
        resolver = self._resolver()
        return self._judge.find(sample, resolver.network, resolver.inferer)

    def _resolver(self) -> SuperResolver:
        with self._lock:
            if self._robust is None:
                # Compiled for 1 s it would be faster by 0.2.
                self._robust = SuperResolver.from_bundle(
                    self._bundle, robust=True, runtime="torch", **self._options
                )
            return self._robust


def _pixels(ready: Mapping[str, Any]) -> int:
    """Return how many pixels an input has in all its slices; 0 of one that is not enlarged."""
    if "scene" in ready:
        return math.prod(raster_facts(Path(str(ready["scene"]))).shape[1:])
    image = ready.get(CommonKeys.IMAGE)
    return math.prod(image.shape[1:]) if isinstance(image, Tensor) else 0
