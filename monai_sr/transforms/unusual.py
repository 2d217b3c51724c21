"""Notes before it is enlarged how an input differs from what its intervals were fitted on."""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_sr.core import PathLike, weights_sha256
from monai_sr.formats import CODES, PHASE, Facts, format_of_meta, kind_of, open_dicom
from monai_sr.transforms.intensity import VALID_SUFFIX
from monai_sr.transforms.interval import interval_widening, read_input
from monai_sr.transforms.training_range import TrainingComparison, compare_with_training

_PLANES = 3  # of a volume
_FEW_LEVELS = 16
"""Values of an image, up to which it is a drawing, or was posterized."""


class NoteUnusuald(MapTransform):
    """Set the facts ``unusual``, ``interval`` and ``basis`` of images with intervals.

    ``unusual`` says what lies outside of the training images (number of bands, modality, size,
    mean, contrast, share of high frequencies, noise), and whether an image has few values;
    ``interval`` what noise and a lack of detail do to the interval; ``basis`` whether the interval
    was fitted on such images, and how many values of them it held.

    Shape: images (C, X, Y[, Z]) in [0, 1], as ``ScaleToUnitd`` leaves them.

    Args:
        keys: images.
        metadata: ``metadata.json`` of the bundle.
        weights: weights file in use; None where nothing was learned.
        scale: factor of the enlargement.
        enabled: whether uncertainty is asked for.
    """

    def __init__(
        self,
        keys: KeysCollection,
        metadata: PathLike,
        weights: PathLike | None,
        scale: float,
        enabled: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.metadata, self.weights, self.scale = metadata, weights, scale
        self.enabled = enabled and weights is not None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Note it of every key."""
        d = dict(data)
        if self.enabled:
            for key in self.key_iterator(d):
                self._note(d[key], d.get(f"{key}{VALID_SUFFIX}"))
        return d

    def _note(self, image: MetaTensor, valid: Any) -> None:
        if kind_of(image.meta) in (*CODES, PHASE):
            return
        values = image.as_tensor().detach().cpu().double().numpy()
        mask = np.asarray(() if valid is None else valid, dtype=bool)
        facts = Facts(image.meta)
        axis = facts.slice_axis
        comparison = compare_with_training(
            _planes(values, axis),
            self.metadata,
            weights_sha256(str(self.weights)),
            self.scale,
            _modality(image.meta),
        )
        facts.basis = interval_basis(self.metadata, self.scale, comparison)
        told = []
        if comparison.is_outside:
            held = _held(self.metadata, self.scale, "unlike")
            told += [comparison.verdict, f"The interval was not fitted on such images{held}."]
        levels = _levels(values)
        if levels <= _FEW_LEVELS:
            told.append(f"It has {levels} value{'s' if levels > 1 else ''}.")
        facts.unusual = " ".join(told)
        reading = read_input(values, mask if mask.size else None, axis)
        facts.interval = interval_widening(self.metadata, self.scale).told(reading)


def interval_basis(metadata: PathLike, scale: float, comparison: TrainingComparison) -> str:
    """Say what the interval was fitted on, and what it held of images like the input.

    Args:
        metadata: ``metadata.json`` of the bundle; ``benchmarks/coverage.py`` keeps shares there.
        scale: of the enlargement.
        comparison: of the input with the images that the weights were trained on.
    """
    if comparison.unlike:
        differs = ", ".join(comparison.unlike)
        held = _held(metadata, scale, "unlike")
        return f"not fitted on images like this one, which differs in {differs}{held}"
    held = _held(metadata, scale, "like")
    return f"fitted on images like those that the weights were trained on{held}"


def _held(metadata: PathLike, scale: float, which: str) -> str:
    """Say what share the interval was measured to hold of clean images; nothing if it was not."""
    entry = json.loads(Path(metadata).read_text(encoding="utf-8")).get("uncertainty", {})
    measured = entry.get("measured", {}).get(f"{scale:g}", {})
    if which not in measured:
        return ""
    if which == "like":
        return f"; of others like them it held {measured['like']:.0%} of the values"
    low, high = (f"{share:.0%}" for share in measured["unlike"])
    share = low if low == high else f"{low} to {high}"
    return f"; of other images that it was not fitted on it held {share} of the values"


def _planes(values: Any, axis: int) -> list[Any]:
    """Return a few planes of a volume, or the image."""
    if values.ndim < 4:
        return [values]
    across = axis + 1 if axis >= 0 else -1
    count = values.shape[across]
    return [values.take(count * (i + 1) // (_PLANES + 1), across) for i in range(_PLANES)]


def _levels(values: Any) -> int:
    """Count the values of an image, up to one more than few."""
    found: set[float] = set()
    for part in np.array_split(values.reshape(-1), max(values.size // 65536, 1)):
        found.update(np.unique(part).tolist())
        if len(found) > _FEW_LEVELS:
            return _FEW_LEVELS + 1
    return len(found)


def _modality(meta: Mapping[str, Any]) -> str:
    """Return (0008,0060) of a DICOM image, else nothing."""
    if not Facts(meta).knows("format") or not format_of_meta(meta).has_window:
        return ""
    header = open_dicom(Facts(meta).files[0], stop_before_pixels=True)
    return str(header.get("Modality", ""))
