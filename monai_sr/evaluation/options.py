"""What an evaluation is asked for, checked before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from monai_sr.core.errors import OptionError
from monai_sr.core.types import PathLike
from monai_sr.metrics import STANDARD


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """State what is judged on what, and where results go.

    Args:
        dataset: names or files of benchmarks; None judges every image of ``root``.
        root: folder that holds the images.
        scale: the enlargement.
        lr_root: folder of given low-resolution images of ``root``; None makes them.
        protocol: of a folder, see :func:`monai_sr.evaluation.datasets.folder_benchmark`.
        slice_step: of its volumes, every how many slices one is judged.
        patient: regular expression that finds the patient in the name of its files.
        download: whether images are fetched into ``root`` where they are not there.
        system: see :func:`monai_sr.evaluation.candidates.find_candidates`.
        output_dir: folder of the results.
        cache_dir: folder of rows measured before; None keeps none.
        measures: see :mod:`monai_sr.metrics.measures`.
        measure_weights: measure -> file of the weights of its network.
        save_images: whether pictures are kept, too.
        per_class: how many images of each class are judged, from the first; all if None.
        seed: of the bootstrap.
        device: where networks run.
        precision: of the networks.
    """

    dataset: PathLike | Sequence[PathLike] | None
    root: PathLike | None
    scale: int
    lr_root: PathLike | None = None
    protocol: str = "natural"
    slice_step: int = 1
    patient: str | None = None
    download: bool = False
    system: PathLike | Sequence[PathLike | None] | None = None
    output_dir: PathLike = "evaluation"
    cache_dir: PathLike | None = None
    measures: Sequence[str] = STANDARD
    measure_weights: Mapping[str, PathLike] | None = None
    save_images: bool = False
    per_class: int | None = None
    seed: int = 0
    device: torch.device | str = "cpu"
    precision: str = "float32"


def is_true(name: str, value: Any) -> bool:
    """Read yes or no; the command line gives "true" as a text, which Python takes for true.

    Raises:
        OptionError: if it is neither.
    """
    text = str(value).lower()
    if text not in ("true", "false", "none", "1", "0"):
        raise OptionError(f"{name}: must be true or false, got {value!r}")
    return text in ("true", "1")


def whole_scale(scale: Any) -> int:
    """Check a scale: what is judged has pixels of a whole size.

    Raises:
        OptionError: if it is no whole number from 2 on.
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2:
        raise OptionError(f"scale: must be a whole number from 2 on, got {scale!r}; pass --scale 4")
    return scale
