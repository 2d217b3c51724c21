"""Tells whether an input looks like the images that the weights in use were trained on.

A bundle's ``metadata.json`` keeps under ``training_statistics``, by the SHA-256 of a weights file,
the 1 %, 50 % and 99 % quantiles of :func:`monai_sr.functional.statistics.image_statistics` over
training images as the network saw them, as ``benchmarks/fit_training_statistics.py`` fitted them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import PathLike
from monai_sr.functional import SMALLEST_SIDE, image_statistics

QUANTILES = (0.01, 0.5, 0.99)
TITLES = {
    "mean": "mean",
    "contrast": "standard deviation",
    "high_frequency": "share of high frequencies",
    "noise": "noise level",
}
_UNKNOWN = "What these weights were trained on was not measured: no comparison with it is made."


@dataclass(frozen=True)
class TrainingComparison:
    """What is known of an input beside the training images.

    Attributes:
        verdict: one sentence.
        is_outside: whether the input is unlike them in anything.
        unlike: in what; empty, too, where nothing is known.
        rows: title, value, smallest and largest usual value, and whether it lies outside.
    """

    verdict: str
    is_outside: bool
    unlike: tuple[str, ...] = ()
    rows: tuple[tuple[str, str, str, str, bool], ...] = ()


def compare_with_training(
    planes: Sequence[npt.NDArray[Any]],
    metadata: PathLike,
    weights_sha256: str,
    scale: float,
    modality: str = "",
) -> TrainingComparison:
    """Compare an input with the training images of the weights in use.

    Shape: planes (C, X, Y) in [0, 1], a few of a volume; the median of each number counts.

    Args:
        planes: the input as the network got it.
        metadata: ``metadata.json`` of the bundle.
        weights_sha256: of the weights file.
        scale: of the enlargement; the nearest one that was fitted is used.
        modality: (0008,0060) of a DICOM input, else empty.
    """
    fitted = _fitted(Path(metadata)).get(weights_sha256)
    if fitted is None:
        return TrainingComparison(_UNKNOWN, is_outside=False)
    unlike = []
    channels = planes[0].shape[0]
    if channels != fitted["channels"]:
        unlike.append(f"number of bands ({channels}; trained on {fitted['channels']})")
    if modality and modality not in fitted["modalities"]:
        trained = ", ".join(fitted["modalities"]) or "no DICOM images"
        unlike.append(f"modality ({modality}; trained on {trained})")
    rows = []
    if min(planes[0].shape[1:]) < SMALLEST_SIDE:
        unlike.append(f"size (a side under {SMALLEST_SIDE} pixels)")
    else:
        found = [image_statistics(plane) for plane in planes]
        near = min(fitted["scales"], key=lambda known: abs(float(known) - scale))
        for name, (low, _, high) in fitted["scales"][near].items():
            value = float(np.median([statistics[name] for statistics in found]))
            is_outside = not low <= value <= high
            shown = (f"{value:.4f}", f"{low:.4f}", f"{high:.4f}")
            rows.append((TITLES[name], *shown, is_outside))
            if is_outside:
                unlike.append(TITLES[name])
    of = f"the {fitted['images']} training images"
    if unlike:
        verdict = f"Outside the 1–99 % range of {of} in: {', '.join(unlike)}."
    else:
        verdict = f"Within the 1–99 % range of {of} in all that was compared."
    return TrainingComparison(verdict, bool(unlike), tuple(unlike), tuple(rows))


@lru_cache(maxsize=4)
def _fitted(metadata: Path) -> Mapping[str, Any]:
    content = json.loads(metadata.read_text(encoding="utf-8"))
    found: Mapping[str, Any] = content.get("training_statistics", {})
    return found
