"""Bring a network's result back to stored values, with geometry, mask, consistency and origin."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from monai_sr.core import PathLike, exact_float, weights_sha256
from monai_sr.core.version import __version__
from monai_sr.formats import Facts, kind_of
from monai_sr.transforms.agreement import (
    Agreement,
    are_codes,
    code_agreement,
    code_bands,
    covering,
    stored_codes,
)
from monai_sr.transforms.bad_pixels import hot_planes
from monai_sr.transforms.checks import check_result
from monai_sr.transforms.intensity import VALID_SUFFIX, UnitMapping, range_of, to_stored
from monai_sr.transforms.interval import Widening, read_input
from monai_sr.transforms.phase import agreement_by_kind

_WITHOUT_NETWORK = ("software", "version", "bundle", "scale", "spacing")  # what counts for codes


_SHARE = 2.0**-20
"""How far results of floats are kept off the nodata value, as a share of that value or of their
band's range: of all floats GDAL takes for nodata what lies within 2**-21 of it (``ARE_REAL_EQUAL``,
4 units in the last place of float32)."""


def avoid_nodata(stored: np.ndarray, meta: Mapping[str, Any]) -> None:
    """Move results that happen to equal the declared nodata value off it, in place.

    A dark but valid pixel of a raster with nodata 0 would otherwise become a hole. They move down,
    or up where the bounds of results leave no room below: integers by one, floats by a millionth of
    their band's range or of the value, whichever is more. A value that the data type cannot hold is
    met by no pixel. Integers of data that are tagged as alpha move off 0, which hides all bands.

    Shape: stored (C, ...), of the data type of the file.
    """
    for band, plane in enumerate(stored):
        _avoid_nodata(plane, meta, band)
        if band == Facts(meta).false_alpha and stored.dtype.kind in "iu":
            plane[plane == 0] = 1


def _avoid_nodata(values: np.ndarray, meta: Mapping[str, Any], band: int) -> None:
    nodata, dtype = nodata_of_result(meta), values.dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    least, most = float(limits.min), float(limits.max)
    if not least <= nodata <= most:  # NaN, too
        return
    if dtype.kind in "iu":
        step, near = 1.0, values == nodata
    else:
        low, high = _of_band(range_of(meta), band)
        info = np.finfo(dtype)
        next_value = float(info.eps) * abs(nodata) + float(info.smallest_subnormal)  # far: float16
        step = max(_SHARE * max(abs(nodata), high - low), next_value)
        near = (values >= max(nodata - step, least)) & (values <= min(nodata + step, most))
    held = (Facts(meta).limits, Facts(meta).natural)
    lowest = max(least, *(_of_band(pairs.reshape(-1, 2), band)[0] for pairs in held))
    values[near] = nodata - step if nodata - step >= lowest else nodata + step


def _of_band(pairs: np.ndarray, band: int) -> tuple[float, float]:
    """Return the pair of a band of (C, 2), or of (1, 2) for all."""
    low, high = pairs[min(band, len(pairs) - 1)].tolist()
    return low, high


def put_back(
    stored: np.ndarray,
    meta: Mapping[str, Any],
    covered: Callable[[np.ndarray], np.ndarray],
    codes: np.ndarray,
    *,
    shape: Sequence[int],
    lost: np.ndarray,
    nan: np.ndarray,
    hot: np.ndarray,
) -> None:
    """Give the blocks of what no network made their own values, in place.

    Those are codes, nodata, pixels that were NaN by themselves, and hot ones, whose uncertainty is
    not known. Without a nodata value invalid pixels keep what the network gave: alpha or the mask
    of the result hides them.

    Args:
        stored: a result, or a window of one, (C, ...).
        meta: of the result.
        covered: (..., X, Y[, Z]) of the input -> what covers the centers of the result's samples.
        codes: stored values of the input's bands of codes, (B, ...).
        shape: of the input.
        lost: pixels of the input that are nodata in the result.
        nan: those that are NaN there.
        hot: what :func:`monai_sr.transforms.bad_pixels.calm_hot_pixels` found.
    """
    for band, plane in zip(code_bands(meta), codes, strict=False):
        stored[band] = covered(plane)
    for where, value in ((lost, nodata_of_result(meta)), (nan, np.nan)):
        if where.any():
            stored[covered(where)] = value
    for channel, plane in hot_planes(hot, shape, Facts(meta).bounds):
        large = covered(plane)
        is_hot = ~np.isnan(large)
        own = large[is_hot].astype(stored.dtype)
        _avoid_nodata(own, meta, channel)  # where the bounds have brought it there
        stored[channel][is_hot] = own
        if Facts(meta).knows("uncertainty"):
            Facts(meta).uncertainty[channel][is_hot] = np.nan


def lost_pixels(valid: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Tell which pixels have nodata in the result; others that are invalid are hidden there.

    Shape: valid (C, ...) as read -> the same.
    """
    hidden = Facts(meta).valid == 0
    is_hiding = np.isnan(nodata_of_result(meta)) and hidden.size
    return np.asarray(~valid & ~hidden if is_hiding else ~valid)


def nodata_of_result(meta: Mapping[str, Any]) -> float:
    """Return the value that marks invalid pixels, NaN for none; MONAI's readers tell none."""
    facts = Facts(meta)
    return facts.fill if facts.knows("fill") else facts.nodata


class Provenance:
    """What a result says about its making: software, version, bundle, weights, options.

    Args:
        bundle: name of the bundle.
        weights: weights file, whose SHA-256 is recorded; None where nothing was learned.
        scale: factor.
        consistency: back-projection steps.
        spacing: spacing that was asked for in place of the scale.
        system: name of the system in place of the bundle's own model.
        size: of the bundle's own model.
        perceptual_weights: weights of the perceptual face, likewise recorded where it has a share.
        perception: its share.
        precision: of the computation: bfloat16 gives other pixels than float32.
        views: number of views of a self-ensemble, 1 for none.
        robust: whether the weights are those for degraded input.
        overshoot: see :class:`monai_sr.inferers.TiledInferer`.
        usual_overshoot: of the bundle; recorded is what differs from it.
        value_range, nodata, bounds: what a user said of stored values, see
            :class:`monai_sr.transforms.ScaleToUnit`; None for nothing.
        kind: what a user said that they mean, "auto" for nothing.
    """

    def __init__(
        self,
        bundle: str,
        weights: PathLike | None,
        scale: float,
        consistency: int,
        *,
        spacing: float | Sequence[float | None] | None = None,
        system: str | None = None,
        size: str = "best",
        perceptual_weights: PathLike | None = None,
        perception: float = 0.0,
        precision: str = "float32",
        views: int = 1,
        robust: bool = False,
        overshoot: float | None = None,
        usual_overshoot: float | None = None,
        value_range: Sequence[float] | None = None,
        nodata: float | None = None,
        bounds: Sequence[float] | None = None,
        kind: str = "auto",
    ) -> None:
        files = {"weights_sha256": weights}
        self.facts: dict[str, Any] = {
            "software": "monai-sr",
            "bundle": bundle,
            "scale": scale,
            "consistency": consistency,
            "precision": precision,
        }
        if spacing is not None:
            del self.facts["scale"]
            self.facts["spacing"] = spacing
        if system is not None:
            self.facts["system"] = Path(system).stem
        if size != "best":
            self.facts["size"] = size
        if robust:
            self.facts["weights"] = "robust"
        if views > 1:
            self.facts["self_ensemble"] = views
        hidden = "nan" if nodata is not None and math.isnan(nodata) else nodata  # no JSON, either
        asked = {"asked_range": value_range, "nodata": hidden, "bounds": bounds}
        self.facts |= {key: value for key, value in asked.items() if value is not None}
        if overshoot != usual_overshoot:  # infinity is no number of JSON
            self.facts["overshoot"] = "inf" if overshoot in (None, math.inf) else overshoot
        if kind != "auto":
            self.facts["kind"] = kind
        if perception:
            self.facts["perception"] = perception
            files["perceptual_sha256"] = perceptual_weights
        # Now, not with the first result: another file may lie there by then.
        self.facts["version"] = __version__
        for key, file in files.items():
            # A host such as MONAI Deploy loads the weights itself, from where it keeps them.
            known = file is not None and Path(file).is_file()
            self.facts[key] = weights_sha256(str(file)) if known else "unknown"

    def record(
        self,
        value_range: np.ndarray,
        runtime: str = "torch",
        kind: str | None = None,
        slices: str = "",
        interval: str = "",
        found: str = "",
    ) -> str:
        """Return the facts as JSON, the intensity mapping and what ran the network included.

        Args:
            value_range: stored values of 0 and 1.
            runtime: what ran the network.
            kind: what the values are, where no network made them: codes.
            slices: JSON of how slices were made thinner, "" where they were not.
            interval: what is to be known of the interval of uncertainty.
            found: what was measured of the input, where that chose the weights.
        """
        pairs = np.asarray(value_range, dtype=np.float64).reshape(-1, 2).tolist()
        is_one = all(pair == pairs[0] for pair in pairs)
        limits = (pairs[0] if pairs else []) if is_one else pairs
        facts = {**self.facts, "runtime": runtime, "range": limits}
        if slices:
            facts["slices"] = json.loads(slices)
        if interval:
            facts["interval"] = interval
        if found:
            facts = {"weights": "faithful", **facts, "found": found}
        if kind is not None:
            facts = {k: v for k, v in facts.items() if k in _WITHOUT_NETWORK}
            facts |= {"kind": kind, "resampling": "nearest neighbor"}
        return json.dumps(facts)


class RestoreStoredd(MapTransform):
    """Turn ``pred`` in [0, 1] into stored values that a writer can write as they are.

    Shape: pred MetaTensor (C, X * s, Y * s[, Z]) whose metadata the inferer has enlarged; the key
    ``ref`` holds the input in [0, 1]. The result has the values, the data type and the nodata mask
    of the source file, and gains the facts ``provenance`` and how it agrees with the
    input: ``lr_psnr``, ``off_share``, ``worst_off``, ``worst_at`` and ``bands``, see
    :class:`monai_sr.transforms.agreement.Agreement`. The spread that a
    self-ensemble gave (``spread``) becomes ``uncertainty``, float32 in stored units.

    Args:
        keys: results to restore.
        provenance: facts to record.
        ref: key of the input image.
        interval_factor: half width of the interval of uncertainty for a spread of 1.
        widening: how wide it is else, see :class:`monai_sr.transforms.Widening`; None: that factor
            times the spread.
    """

    def __init__(
        self,
        keys: KeysCollection,
        provenance: Provenance,
        ref: str = "image",
        allow_missing_keys: bool = False,
        interval_factor: float = 0.0,
        widening: Widening | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.provenance = provenance
        self.ref = ref
        self.interval_factor = interval_factor
        self.widening = widening or Widening()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Restore every key.

        Raises:
            BadImageError: a value is no single result in [0, 1] with metadata.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            check_result(d[key], str(key))
            d[key] = self._restore(d[key], d[self.ref], d.get(f"{self.ref}{VALID_SUFFIX}"))
        return d

    def _restore(self, pred: MetaTensor, lr: Tensor, valid: Tensor | None) -> MetaTensor:
        meta: dict[str, Any] = dict(pred.meta)
        if are_codes(meta):
            return self._restore_codes(pred, lr, meta)
        stored = to_stored(pred.as_tensor(), meta)
        avoid_nodata(stored, meta)
        mapping = UnitMapping.of(meta, len(stored))
        lr_plain = lr.as_tensor() if isinstance(lr, MetaTensor) else lr
        mask = torch.as_tensor(() if valid is None else valid).cpu().bool()
        agreement = agreement_by_kind(
            torch.from_numpy(stored), lr_plain.cpu(), mask,
            mapping.steps(stored.dtype).tolist(), mapping.lines(), meta,
        )  # fmt: skip
        _note(meta, agreement)
        facts = Facts(meta)
        if facts.knows("spread"):
            spread = torch.as_tensor(facts.spread).cpu().double().numpy()
            del facts.spread
            half_width = self._half_width(spread.reshape(stored.shape), pred, lr_plain, mask)
            half_width *= mapping.width.reshape(-1, *[1] * (stored.ndim - 1))
            if mask.numel():
                half_width[~covering(mask.numpy(), stored.shape[1:])] = np.nan
            facts.uncertainty = half_width.astype(np.float32)
        none = np.zeros((1,) * lr.ndim, bool)
        put_back(
            stored, meta, lambda plane: covering(plane, stored.shape[1:]),
            facts.codes,
            shape=tuple(lr.shape),
            lost=lost_pixels(mask.numpy(), meta) if mask.numel() else none,
            nan=facts.nan if facts.knows("nan") and mask.numel() else none,
            hot=facts.hot.reshape(-1, lr.ndim + 1),
        )  # fmt: skip
        facts.provenance = self.provenance.record(
            facts.range,
            facts.runtime,
            slices=facts.slices,
            interval="; ".join(filter(None, (facts.basis, facts.interval))),
            found=facts.found,
        )
        exact = torch.float64 if exact_float(stored.dtype) is np.float64 else torch.float32
        return MetaTensor(torch.from_numpy(stored).to(exact), meta=meta)

    def _half_width(
        self, spread: np.ndarray, pred: MetaTensor, lr: Tensor, mask: Tensor
    ) -> np.ndarray:
        """Return the half width of the interval, in [0, 1]."""
        axis = Facts(pred.meta).slice_axis
        reading = read_input(
            lr.detach().cpu().double().numpy(), mask.numpy() if mask.numel() else None, axis
        )
        result = pred.as_tensor().detach().cpu().double().numpy()
        scale = float(self.provenance.facts.get("scale", 1))
        plain = self.widening.plain(self.interval_factor, spread)
        return np.array(self.widening(plain, result, reading, scale, axis))

    def _restore_codes(self, pred: MetaTensor, lr: Tensor, meta: dict[str, Any]) -> MetaTensor:
        stored = stored_codes(pred.as_tensor(), meta)
        _note(meta, code_agreement(stored, lr.as_tensor() if isinstance(lr, MetaTensor) else lr))
        Facts(meta).provenance = self.provenance.record(Facts(meta).range, kind=kind_of(meta))
        return MetaTensor(torch.from_numpy(stored).to(pred.dtype), meta=meta)


def _note(meta: dict[str, Any], agreement: Agreement) -> None:
    facts = Facts(meta)
    facts.lr_psnr, facts.off_share = agreement.lr_psnr, agreement.off_share
    facts.worst_off, facts.worst_at = agreement.worst_off, np.array(agreement.worst_at)
    facts.bands = np.array(agreement.bands)
