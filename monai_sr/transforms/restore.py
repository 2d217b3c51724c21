"""Bring a network's result back to stored values, with geometry, mask, consistency and origin."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from monai_sr import __version__
from monai_sr.core.dtypes import exact_float
from monai_sr.core.errors import WeightsError
from monai_sr.core.types import PathLike
from monai_sr.functional.resize import downsample
from monai_sr.transforms.intensity import VALID_SUFFIX, to_stored


def in_plane_axes(meta: Mapping[str, Any], spatial_dims: int) -> tuple[int, ...]:
    """Return the spatial axes (from 0) that are enlarged: all but the slice axis of a volume."""
    slice_axis = int(np.asarray(meta.get("sr_slice_axis", -1)).ravel()[0])
    if spatial_dims == 3 and slice_axis < 0:
        slice_axis = 2
    return tuple(a for a in range(spatial_dims) if spatial_dims == 2 or a != slice_axis)


def stored_lr_psnr(
    stored: Tensor, lr: Tensor, scale: int, axes: tuple[int, ...], valid: Tensor | None = None
) -> float:
    """Measure in dB how well a stored result, shrunk by bicubic, agrees with its input.

    Shape: stored (C, ...) enlarged on ``axes``, lr (C, ...), both in [0, 1] units; computed slice
    by slice to bound memory. Higher is better; infinite where they are equal. ``valid``, a mask of
    lr's shape, leaves the pixels out that are no measurements.
    """
    total = 0.0
    if valid is None or not valid.numel():
        valid = torch.ones(1, dtype=torch.bool).expand(lr.shape)
    dims = tuple(a - len(lr.shape[1:]) for a in axes)
    for channel_sr, channel_lr, counted in zip(stored, lr, valid, strict=True):
        difference = downsample(channel_sr.double(), scale, dims) - channel_lr.double()
        total += float((difference[counted] ** 2).sum())
    error = total / int(valid.sum())
    return math.inf if error == 0 else -10 * math.log10(error)


def avoid_nodata(stored: np.ndarray, meta: Mapping[str, Any]) -> None:
    """Move results that happen to equal the declared nodata value off it, by one, in place.

    A dark but valid pixel of an 8-bit raster with nodata 0 would otherwise become a hole. A value
    that the data type cannot hold is met by no pixel.
    """
    nodata = float(np.asarray(meta.get("sr_nodata", np.nan)).ravel()[0])
    if stored.dtype.kind not in "iu":
        return
    limits = np.iinfo(stored.dtype)
    if not limits.min <= nodata <= limits.max:  # NaN, too
        return
    low = float(np.asarray(meta["sr_storable"]).ravel()[0])
    stored[stored == nodata] = nodata + 1 if nodata <= low else nodata - 1


def put_nodata_back(
    stored: np.ndarray,
    valid: np.ndarray,
    meta: Mapping[str, Any],
    scale: int,
    axes: tuple[int, ...],
) -> None:
    """Give the blocks of invalid pixels the nodata value of the file, in place.

    Without one they keep what the network gave (alpha or the mask of the result hides them), but
    pixels that were NaN by themselves are NaN again.

    Shape: stored (C, ...) enlarged on ``axes`` by ``scale``, valid (C, ...) as read.
    """
    nodata = float(np.asarray(meta["sr_nodata"]).ravel()[0])
    hidden = np.asarray(meta.get("sr_valid", ())) == 0
    lost = ~valid & ~hidden if np.isnan(nodata) and hidden.size else ~valid
    if not lost.any():
        return
    stored[_enlarged(lost, scale, axes)] = nodata


def _enlarged(mask: np.ndarray, scale: int, axes: tuple[int, ...]) -> np.ndarray:
    """Repeat every element of a channel-first mask along the enlarged axes."""
    for axis in axes:
        mask = np.repeat(mask, scale, axis=axis + 1)
    return mask


class Provenance:
    """What a result says about its making: software, version, bundle, weights, options.

    Args:
        bundle: name of the bundle.
        weights: weights file, whose SHA-256 is recorded; None where nothing was learned.
        scale: factor.
        consistency: back-projection steps.
        system: name of the system in place of the bundle's own model.
        perceptual_weights: weights of the perceptual face, likewise recorded where it has a share.
        perception: its share.
        precision: of the computation: bfloat16 gives other pixels than float32.
        views: number of views of a self-ensemble, 1 for none.
    """

    def __init__(
        self,
        bundle: str,
        weights: PathLike | None,
        scale: int,
        consistency: int,
        *,
        system: str | None = None,
        perceptual_weights: PathLike | None = None,
        perception: float = 0.0,
        precision: str = "float32",
        views: int = 1,
    ) -> None:
        self.files = {"weights_sha256": weights}
        self.facts: dict[str, Any] = {
            "software": "monai-sr",
            "bundle": bundle,
            "scale": scale,
            "consistency": consistency,
            "precision": precision,
        }
        if system is not None:
            self.facts["system"] = Path(system).stem
        if views > 1:
            self.facts["self_ensemble"] = views
        if perception:
            self.facts["perception"] = perception
            self.files["perceptual_sha256"] = perceptual_weights

    def record(self, value_range: np.ndarray) -> str:
        """Return the facts as JSON, the intensity mapping included."""
        if "version" not in self.facts:
            self.facts["version"] = __version__
            for key, file in self.files.items():
                # A host such as MONAI Deploy loads the weights itself, from where it keeps them.
                known = file is not None and Path(file).is_file()
                self.facts[key] = file_sha256(str(file)) if known else "unknown"
        return json.dumps({**self.facts, "range": np.asarray(value_range).ravel().tolist()})


def file_sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: weights cannot be read; check --ckpt_path") from error


class RestoreStoredd(MapTransform):
    """Turn ``pred`` in [0, 1] into stored values that a writer can write as they are.

    Shape: pred MetaTensor (C, X * s, Y * s[, Z]) whose metadata the inferer has enlarged; the key
    ``ref`` holds the input in [0, 1]. The result has the values, the data type and the nodata mask
    of the source file, and gains ``sr_lr_psnr`` and ``sr_provenance``. The spread that a
    self-ensemble gave (``sr_spread``) becomes ``sr_uncertainty``, float32 in stored units.

    Args:
        keys: results to restore.
        provenance: facts to record.
        ref: key of the input image.
        interval_factor: half width of the interval of uncertainty, in spreads.
    """

    def __init__(
        self,
        keys: KeysCollection,
        provenance: Provenance,
        ref: str = "image",
        allow_missing_keys: bool = False,
        interval_factor: float = 0.0,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.provenance = provenance
        self.ref = ref
        self.interval_factor = interval_factor

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Restore every key."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self._restore(d[key], d[self.ref], d.get(f"{self.ref}{VALID_SUFFIX}"))
        return d

    def _restore(self, pred: MetaTensor, lr: Tensor, valid: Tensor | None) -> MetaTensor:
        meta: dict[str, Any] = dict(pred.meta)
        axes = in_plane_axes(meta, pred.ndim - 1)
        scale = int(np.asarray(meta["sr_scale"]).ravel()[0])
        stored = to_stored(pred.as_tensor(), meta)
        avoid_nodata(stored, meta)
        low, high = (float(v) for v in np.asarray(meta["sr_range"]).ravel())
        unit = (torch.from_numpy(stored.astype(np.float64)) - low) / (high - low)
        if meta.get("sr_inverted", 0):
            unit = 1 - unit
        lr_plain = lr.as_tensor() if isinstance(lr, MetaTensor) else lr
        mask = None if valid is None else torch.as_tensor(valid).cpu().bool()
        meta["sr_lr_psnr"] = stored_lr_psnr(unit, lr_plain.cpu(), scale, axes, mask)
        if "sr_spread" in meta:
            spread = torch.as_tensor(meta.pop("sr_spread")).cpu().double().numpy()
            half_width = spread.reshape(stored.shape) * ((high - low) * self.interval_factor)
            if mask is not None and mask.numel():
                half_width[~_enlarged(mask.numpy(), scale, axes)] = np.nan
            meta["sr_uncertainty"] = half_width.astype(np.float32)
        if mask is not None and mask.numel():
            put_nodata_back(stored, mask.numpy(), meta, scale, axes)
        meta["sr_provenance"] = self.provenance.record(meta["sr_range"])
        exact = exact_float(stored.dtype)
        return MetaTensor(torch.from_numpy(stored.astype(exact)), meta=meta)
