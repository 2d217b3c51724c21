"""Says of large inputs that look degraded what would serve them better.

It is said where that costs next to nothing. Measuring takes 1 s of a core, whatever the size: 0.7 %
of what an input of 8 million pixels takes at x4, 17 % of one of 512 x 512, and most of a small one.
Results stay what they are, bit for bit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.utils import CommonKeys
from torch import Tensor

from monai_sr.core import UPSCALE, PathLike, find_bundle, get_logger, is_address, printable
from monai_sr.formats import raster_facts
from monai_sr.upscaling.chooser import Chooser
from monai_sr.upscaling.degraded import sample_of
from monai_sr.upscaling.engines import Engines
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.record import FileResult

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


class Hints(Engines):
    """The engines of a bundle's own model, which say where its robust weights would serve better.

    Any number of threads may call one object.

    Args:
        bundle: as of :class:`.Engines`.
        options: likewise.
        progress: likewise.

    Raises:
        OptionError: as :class:`.Engines`.
    """

    def __init__(self, bundle: PathLike, options: dict[str, Any], progress: bool) -> None:
        super().__init__(bundle, options, progress)
        self._kept = {key: options[key] for key in _KEPT if options.get(key) is not None}
        self._made: Chooser[Engines] | None = None
        self._making = threading.Lock()

    def enlarge(
        self, plan: FileDataset | None, item: dict[str, Any]
    ) -> tuple[FileResult, Exception | None]:
        """Read, measure and enlarge one input; see :meth:`.Engines.enlarge`."""
        read = self.read(plan, item)
        hint = "" if is_address(item["source"]) else self._hint(read.ready)
        if hint:
            logger.warning("%s: %s", printable(item["source"]), hint)
        result, failure = self.enlarge_read(plan, item, read)
        return replace(result, hint="" if result.error else hint), failure

    def _hint(self, ready: Mapping[str, Any]) -> str:
        try:
            chooser = self._chooser() if _pixels(ready) >= _LEAST_PX else None
            if chooser is None or not chooser.limits:
                return ""
            found = chooser.find(sample_of(ready, self.dataset.scenes))
        except Exception as error:  # nobody asked for it: it must not cost a result
            logger.debug("no hint: %s", type(error).__name__)
            return ""
        is_degraded = found is not None and found.is_degraded
        return f"looks degraded ({found}); try --robust auto" if is_degraded else ""

    def _chooser(self) -> Chooser[Engines]:
        with self._making:
            if self._made is None:
                # Compiled for 1 s it would be faster by 0.2.
                options = {**self._kept, "robust": True, "runtime": "torch"}
                self._made = Chooser(
                    find_bundle(self._bundle), lambda: Engines(self._bundle, options, False)
                )
            return self._made


def _pixels(ready: Mapping[str, Any]) -> int:
    """Return how many pixels an input has in all its slices; 0 of one that is not enlarged."""
    if "scene" in ready:
        return math.prod(raster_facts(Path(str(ready["scene"]))).shape[1:])
    image = ready.get(CommonKeys.IMAGE)
    return math.prod(image.shape[1:]) if isinstance(image, Tensor) else 0
