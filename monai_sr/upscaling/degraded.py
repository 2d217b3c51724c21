"""Tells degraded inputs from clean ones, so that ``--robust auto`` gives each the weights it needs.

What decides is the correction: how much of an input's fine detail the robust weights change, as
their result, shrunk again, shows. Those weights were trained on clean and on degraded images and
tell texture from noise, which no plain statistic of one small image does. From which correction on
they serve better was measured, see ``benchmarks/fit_robust.py``, and is kept beside the weights.
Noise, blur and blocking are measured apart from any network, to say what is amiss, see
:mod:`monai_sr.functional.input_quality`.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import CommonKeys
from torch import Tensor, nn

from monai_sr.core import OptionError, PathLike, weights_sha256
from monai_sr.formats import CODES, PHASE, Facts, kind_of
from monai_sr.functional import InputQuality, block_places, measure_quality, resize_to
from monai_sr.transforms import (
    VALID_SUFFIX,
    Given,
    band_levels,
    band_ranges,
    code_bands,
    declared_range,
    to_unit,
)
from monai_sr.upscaling.scene import Scenes
from monai_sr.upscaling.scene_source import SceneSource

AUTO = "auto"
ROBUST_WEIGHTS = "model_robust.pt"
LIMITS_FILE = "robust.json"
"""In a bundle's ``models``: SHA-256 of robust weights -> what was fitted to them."""

_SEEN_BLOCKS = 12  # by the network; 0.7 s of one core
_MARGIN_PX = 4  # of a block, whose results depend on what lies around it
_SLICES = 3  # of a volume
_MOST_BANDS = 4
_END = 1e-6  # values nearer than this to their neighbors' are constant


@dataclass(frozen=True)
class Sample:
    """Parts of an input, as a network sees them.

    Attributes:
        blocks: (N, C, X, Y) float32 in [0, 1], N at least 1.
        valid: of that shape, which are measurements.
    """

    blocks: Tensor
    valid: npt.NDArray[np.bool_]

    @property
    def quality(self) -> InputQuality:
        """What the blocks say themselves."""
        return measure_quality(list(self.blocks.numpy()), list(self.valid))


@dataclass(frozen=True)
class Finding:
    """What was found of an input.

    Attributes:
        quality: what it says itself.
        correction: what the robust weights change of the fine detail, as a share of it; NaN without
            such weights.
        limit: correction above which they serve better; NaN where that was not measured.
    """

    quality: InputQuality
    correction: float = math.nan
    limit: float = math.nan

    @property
    def is_degraded(self) -> bool:
        """Whether the robust weights serve better."""
        return self.correction > self.limit

    @property
    def weights(self) -> str:
        """The weights that serve better: "robust", or "faithful", also where that is not known."""
        return "robust" if self.is_degraded else "faithful"

    @property
    def verdict(self) -> str:
        """What a result says of its input: clean or degraded, where that is known, and why."""
        is_known = math.isfinite(self.limit) and not math.isnan(self.correction)
        kind = ("degraded " if self.is_degraded else "clean ") if is_known else ""
        return f"{kind}input: {self}"

    def __str__(self) -> str:
        """Say it in one line, without a verdict."""
        noise, blocking = (_percent(v) for v in (self.quality.noise, self.quality.blocking))
        blur = "unknown" if math.isnan(self.quality.blur) else f"{self.quality.blur:.2f} px"
        said = f"noise {noise}, blur {blur}, blocking {blocking}"
        if math.isnan(self.correction):
            return said
        limit = "none was measured" if math.isnan(self.limit) else _percent(self.limit)
        return f"{said}, correction {_percent(self.correction)} (limit: {limit})"

    def facts(self) -> dict[str, float]:
        """Return what is known, rounded, for records."""
        found = {
            "noise": self.quality.noise,
            "blur_px": self.quality.blur,
            "blocking": self.quality.blocking,
            "correction": self.correction,
            "correction_limit": self.limit,
        }
        return {k: float(f"{v:.3g}") for k, v in found.items() if math.isfinite(v)}


def _percent(share: float) -> str:
    return f"{share:.2%}" if math.isfinite(share) else "unknown" if math.isnan(share) else "none"


def sample_of(read: Mapping[str, Any], scenes: Scenes | None) -> Sample | None:
    """Take a sample of what :class:`.FileDataset` has read; None where there is nothing to measure.

    Nor is there where the slice axis alone grows: neither weights make a value then.

    A raster that goes through in windows is opened, and blocks all over it are read, whatever part
    is asked for. Where nothing declares its range, that of these blocks stands for it.

    Raises:
        BadImageError: a raster cannot be read.
    """
    if "scene" in read and scenes is not None:
        return scene_sample(str(read["scene"]), scenes)
    image = read.get(CommonKeys.IMAGE)
    if not isinstance(image, Tensor) or _grows_across_alone(image):
        return None
    return image_sample(image, read.get(f"{CommonKeys.IMAGE}{VALID_SUFFIX}"))


def _grows_across_alone(image: Tensor) -> bool:
    facts = Facts(image.meta if isinstance(image, MetaTensor) else {})
    planned = list(facts.sizes) or list(image.shape[1:])
    grown = [axis for axis, size in enumerate(image.shape[1:]) if planned[axis] != size]
    return grown == [facts.slice_axis]


def image_sample(image: Tensor, valid: Tensor | None = None) -> Sample | None:
    """Take a sample of an image in memory.

    Shape: image (C, X, Y) or (C, X, Y, Z) in [0, 1]; ``valid`` likewise, or empty where all are.

    Returns:
        None of codes and phases, of images that are too small, and where no pixel is valid.
    """
    meta = image.meta if isinstance(image, MetaTensor) else {}
    if kind_of(meta) in (*CODES, PHASE):
        return None
    plain = image.as_tensor() if isinstance(image, MetaTensor) else image
    bands = _bands(len(plain), meta)
    known = valid if valid is not None and valid.numel() else None
    axis = Facts(meta).slice_axis
    planes = []
    for plane in _planes(plain.shape[1:], 2 if axis < 0 else axis):
        whole = (bands, *plane)
        values = plain[whole].float()
        mask = np.ones(tuple(values.shape), bool) if known is None else known[whole].numpy()
        planes.append((values, mask))
    blocks = [
        (values[:, x, y], mask[:, x, y])
        for values, mask in planes
        for x, y in block_places(*values.shape[1:])
    ]
    return _sample(blocks)


def scene_sample(path: PathLike, scenes: Scenes) -> Sample | None:
    """Take a sample of a raster that goes through in windows.

    Raises:
        BadImageError: it cannot be read.
    """
    with SceneSource(path, scenes.grid, scenes.scale_to_unit.nodata, scenes.kind) as source:
        source.raster.be_quiet()
        meta = dict(source.meta)
        if kind_of(meta) in (*CODES, PHASE):
            return None
        pieces: list[Given] = [source.read(x, y) for x, y in block_places(*source.shape[1:])]
    pieces = [piece for piece in pieces if bool(piece.valid.any())]
    if not pieces:
        return None
    stored, valid = (
        torch.stack([getattr(piece, name) for piece in pieces], 1) for name in ("stored", "valid")
    )
    Facts(meta).range = _ranges(stored, valid, meta, scenes.scale_to_unit.value_range)
    bands = _bands(len(stored), meta)
    unit = torch.stack([to_unit(piece.filled(meta), dict(meta)).as_tensor() for piece in pieces])
    masks = [piece.valid.numpy()[bands] for piece in pieces]
    return _sample(list(zip(unit[:, bands], masks, strict=True)))


def _ranges(
    stored: Tensor, valid: Tensor, meta: Mapping[str, Any], asked: Sequence[float] | None
) -> npt.NDArray[np.float64]:
    """Return what becomes 0 and 1 in each band, as :class:`monai_sr.transforms.ScaleToUnit`."""
    given, facts = declared_range(meta) if asked is None else asked, Facts(meta)
    if given is not None:
        pairs: npt.NDArray[np.float64] = np.asarray(given, np.float64).reshape(-1, 2)
        return pairs + np.zeros((len(stored), 1))
    groups: Any = facts.groups if facts.knows("groups") else np.full(len(stored), 0)
    found, _ = band_ranges(band_levels(stored, valid), groups, facts.is_rgb, bool(facts.unit))
    ranges: npt.NDArray[np.float64] = np.where(np.isfinite(found), found, (0.0, 1.0))
    is_flat = ranges[:, 1] <= ranges[:, 0]
    ranges[is_flat, 1] = ranges[is_flat, 0] + 1
    return ranges


def _bands(count: int, meta: Mapping[str, Any]) -> list[int]:
    """Return the channels that speak for all; codes do not."""
    codes = set(code_bands(meta))
    told = [band for band in range(count) if band not in codes]
    if len(told) <= _MOST_BANDS:
        return told
    return [told[i * (len(told) - 1) // (_MOST_BANDS - 1)] for i in range(_MOST_BANDS)]


def _planes(sizes: Sequence[int], axis: int) -> list[tuple[int | slice, ...]]:
    """Return where planes lie: all of an image, some slices of a volume."""
    if len(sizes) == 2:
        return [(slice(None), slice(None))]
    depth = sizes[axis]
    chosen = sorted({depth * (2 * i + 1) // (2 * _SLICES) for i in range(_SLICES)})
    return [tuple(n if d == axis else slice(None) for d in range(3)) for n in chosen]


def _sample(blocks: Sequence[tuple[Tensor, npt.NDArray[np.bool_]]]) -> Sample | None:
    kept = [(values, mask) for values, mask in blocks if mask.any()]
    if not kept or not len(kept[0][0]):
        return None
    values, masks = zip(*kept, strict=True)
    return Sample(torch.stack(values).clamp(0, 1), np.stack(masks))


def correction(sample: Sample, network: nn.Module, inferer: Inferer) -> float:
    """Return what robust weights change of the fine detail; NaN where there is none.

    Fine detail is what an image has beyond the mean of each 3 x 3 pixels; compared are the roots of
    mean squares of the change, which the result has when it is shrunk, and of the input. Constant
    areas are left out.

    Args:
        sample: of the input.
        network: generator with the robust weights.
        inferer: how whole images are run; neither its back-projection nor its views are used.
    """
    plain: Any = copy.copy(inferer)
    plain.consistency, plain.progress, plain.spread = 0, False, False
    count = len(sample.blocks)
    chosen = sorted({i * count // _SEEN_BLOCKS for i in range(_SEEN_BLOCKS)})
    blocks = sample.blocks[chosen]
    with torch.inference_mode():
        back = resize_to(plain(blocks, network).float().cpu(), blocks.shape[-2:])
    inner = (..., slice(_MARGIN_PX, -_MARGIN_PX), slice(_MARGIN_PX, -_MARGIN_PX))
    told = (sample.valid[chosen] & _varies(blocks))[inner]
    change, detail = (
        float(np.square(_fine(each)[inner][told], dtype=np.float64).sum())
        for each in (back - blocks, blocks)
    )
    return math.sqrt(change / detail) if detail > 0 else math.nan


def _fine(blocks: Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = (
        blocks - torch.nn.functional.avg_pool2d(blocks, 3, 1, 1)
    ).numpy()
    return found


def _varies(blocks: Tensor) -> npt.NDArray[np.bool_]:
    """Tell which pixels differ from one of their eight neighbors."""
    high = torch.nn.functional.max_pool2d(blocks, 3, 1, 1)
    low = -torch.nn.functional.max_pool2d(-blocks, 3, 1, 1)
    found: npt.NDArray[np.bool_] = (high - low > _END).numpy()
    return found


def read_limits(models: Path) -> dict[str, float] | None:
    """Return scale -> correction above which robust weights serve better.

    Args:
        models: folder of a bundle's weights.

    Returns:
        None where nothing was fitted to the weights that lie there.

    Raises:
        OptionError: if the file is damaged.
    """
    file = models / LIMITS_FILE
    if not file.is_file():
        return None
    try:
        entry = json.loads(file.read_text(encoding="utf-8")).get(
            weights_sha256(models / ROBUST_WEIGHTS)
        )
        return None if entry is None else _limits(entry)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise OptionError(
            f"{file.name}: must be as benchmarks/fit_robust.py writes it, got {error!r}; run it "
            "again, or leave --robust auto out"
        ) from error


def _limits(entry: Mapping[str, Any]) -> dict[str, float]:
    limits = entry["limits"]
    return {at: math.inf if limit is None else float(limit) for at, limit in limits.items()}


def limit_at(limits: Mapping[str, float] | None, scale: float) -> float:
    """Return the limit at a scale: that of the next trained one; NaN where none was fitted."""
    known = sorted((float(name), value) for name, value in (limits or {}).items())
    return next((value for at, value in known if at >= scale), math.nan)
