"""Map stored values to [0, 1] and back, by one mapping for each file or series.

The mapping follows declared facts (``sr_declared_range``: 8-bit types, DICOM up to 12 bits stored)
or the caller's range; where nothing declares one, the exact smallest and largest valid value of the
whole file. It is kept in the metadata, so that every slice and window shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from monai_sr.core.dtypes import PART, exact_float, is_wide, to_integers
from monai_sr.core.errors import BadImageError, OptionError

_SMALLEST_STEP = 1e-30  # differences divided by less would be lost to underflow
_WIDEST_RANGE = 1e30  # a fill value that nobody declared, such as -3.4e38, hides all others

FILL_REACH = 64
"""How far, in pixels, valid pixels lend their values to invalid ones: farther than results of most
generators depend on (``halo``), and little enough for windows of large rasters."""

VALID_SUFFIX = "_valid"
"""Key suffix under which :class:`ScaleToUnitd` leaves the mask of valid pixels."""


def valid_mask(stored: Tensor, nodata: float, declared: Any = ()) -> Tensor:
    """Tell which stored values are measurements: finite, not nodata, and not declared invalid.

    ``declared`` is ``sr_valid``: of the shape of ``stored``, 0 where alpha or a mask hides a pixel;
    empty where nothing does.

    Raises:
        BadImageError: if ``declared`` has another shape.
    """
    valid = torch.isfinite(stored)
    if not np.isnan(nodata):
        valid &= stored != nodata
    mask = torch.as_tensor(declared)
    if not mask.numel():
        return valid
    if mask.shape != stored.shape:
        raise BadImageError(
            f"sr_valid: must have the image's shape {tuple(stored.shape)}, got "
            f"{tuple(mask.shape)}; map values to [0, 1] before cropping"
        )
    return valid & (mask != 0)


def fill_invalid(stored: Tensor, valid: Tensor, otherwise: float) -> Tensor:
    """Give every invalid pixel the value of the nearest valid one of its channel.

    Shape: both (C, X, Y[, Z]) -> the same. What lies farther than ``FILL_REACH`` from any valid
    pixel becomes ``otherwise``: a window with that margin is filled as within the whole.
    """
    filled = stored.clone()
    for channel, mask in zip(filled, valid, strict=True):
        if mask.all():
            continue
        if not mask.any():
            channel.fill_(otherwise)
            continue
        nearest = distance_transform_edt(~mask.numpy(), return_distances=False, return_indices=True)
        source = channel.clone()
        for row, index in enumerate(np.moveaxis(nearest, 1, 0)):
            here = np.indices(index.shape[1:], dtype=np.int32)
            squared = (index[0] - row) ** 2 + ((index[1:] - here) ** 2).sum(axis=0)
            line = source[tuple(torch.from_numpy(index))]
            line[torch.from_numpy(squared > FILL_REACH**2)] = otherwise
            channel[row] = line
    return filled


def other_nan(stored: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Tell which pixels are NaN where that is not the nodata value: the result has NaN there.

    Shape: (C, ...) -> bool of the same shape.
    """
    is_nodata = np.isnan(float(meta["sr_nodata"]))
    return np.asarray((torch.isnan(stored) & (not is_nodata)).numpy())


class ScaleToUnit(Transform):
    """Map stored values to [0, 1] in float32.

    Shape: MetaTensor (C, X, Y[, Z]) of stored values with the metadata of our readers -> a pair of
    the same shape, float32 (values outside the range map outside [0, 1] and stay), and its mask of
    valid pixels, bool, which is empty where all are valid.

    The result's metadata gains ``sr_range`` (stored values of 0 and 1), and ``sr_clip`` (what can
    be stored, in the new units), and ``sr_nan`` where pixels are NaN that is not the nodata value.

    Args:
        value_range: (low, high) stored values of 0 and 1; None: by the rule of this module.

    Raises:
        OptionError: if ``value_range`` is not two rising numbers.
    """

    def __init__(self, value_range: Sequence[float] | None = None) -> None:
        if value_range is not None and not _is_rising_pair(value_range):
            raise OptionError(
                f"range: must be two rising numbers, got {value_range}; write --range '[0,4095]'"
            )
        self.value_range = value_range

    def __call__(self, image: Tensor) -> tuple[MetaTensor, Tensor]:
        """Return the mapped image and its mask of valid pixels (empty where all are valid).

        Raises:
            BadImageError: if no pixel is valid, or the values reach too far for one mapping.
        """
        stored = image.as_tensor() if isinstance(image, MetaTensor) else image
        meta = _in_memory_meta(stored)
        meta.update(image.meta if isinstance(image, MetaTensor) else {})
        stored = stored.to(_exact_dtype(stored))
        valid = valid_mask(stored, float(meta["sr_nodata"]), meta.get("sr_valid", ()))
        nan = other_nan(stored, meta)
        if nan.any():
            meta["sr_nan"] = nan
        if not bool(valid.any()):
            name = meta.get("filename_or_obj", "image")
            raise BadImageError(f"{name}: holds no valid pixel; check the file or its nodata value")
        low, high = self.range_of(meta, lambda: _extremes(stored, valid))
        if bool(valid.all()):
            valid = torch.empty(0, dtype=torch.bool)
        else:
            stored = fill_invalid(stored, valid, low)
        return to_unit(stored, meta, low, high), valid

    def range_of(
        self, meta: Mapping[str, Any], measure: Callable[[], tuple[float, float]]
    ) -> tuple[float, float]:
        """Return the stored values of 0 and 1.

        Args:
            meta: of the image.
            measure: finds the smallest and largest valid value, where nothing declares the range.

        Raises:
            BadImageError: the values reach too far for one mapping.
        """
        given = self.value_range if self.value_range is not None else declared_range(meta)
        low, high = map(float, measure() if given is None else given)
        if given is None and high - low > _WIDEST_RANGE:
            name = meta.get("filename_or_obj", "image")
            raise BadImageError(
                f"{name}: values must lie in one range, got {low:g} to {high:g}; declare the "
                "nodata value (gdal_edit -a_nodata) or give the range (--range)"
            )
        return low, high if high > low else low + _one_step(low, np.dtype(str(meta["sr_dtype"])))


def declared_range(meta: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the range that a file declares, None where it declares none."""
    low, high = np.asarray(meta["sr_declared_range"], dtype=np.float64).tolist()
    return (low, high) if np.isfinite([low, high]).all() else None


def to_unit(stored: Tensor, meta: dict[str, Any], low: float, high: float) -> MetaTensor:
    """Map stored values by a known range; ``meta`` gains ``sr_range`` and ``sr_clip``.

    Shape: stored (C, ...), floating point -> the same, float32.
    """
    storable = np.asarray(meta["sr_storable"], dtype=np.float64)
    # The offset is taken in the reader's precision (float64 for wide types), then narrowed.
    unit = ((stored - low) / (high - low)).to(torch.float32)
    clip = (storable - low) / (high - low)
    if meta.get("sr_inverted", 0):
        unit, clip = 1 - unit, 1 - clip[::-1]
    meta["sr_range"] = np.array([low, high])
    meta["sr_clip"] = clip.copy()
    return MetaTensor(unit, meta=meta)


def _extremes(stored: Tensor, valid: Tensor) -> tuple[float, float]:
    measured = stored if bool(valid.all()) else stored[valid]
    return float(measured.min()), float(measured.max())


def _one_step(value: float, dtype: np.dtype[Any]) -> float:
    """Return the distance to the next stored value: a constant image then stays constant."""
    if dtype.kind in "iu":
        return 1.0
    return max(float(np.spacing(dtype.type(abs(value)))), _SMALLEST_STEP)


def _is_rising_pair(value_range: Any) -> bool:
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite([low, high]).all()) and low < high


def _exact_dtype(stored: Tensor) -> torch.dtype:
    """Return the floating-point type that holds every value of a tensor's type."""
    wide = is_wide(stored.element_size(), stored.is_floating_point())
    return torch.float64 if wide else torch.float32


class ScaleToUnitd(MapTransform):
    """Dictionary version of :class:`ScaleToUnit`; the mask goes to ``<key>_valid``."""

    def __init__(
        self,
        keys: KeysCollection,
        value_range: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleToUnit(value_range)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Map every key."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key], d[f"{key}{VALID_SUFFIX}"] = self.scale(d[key])
        return d


def _in_memory_meta(stored: Tensor) -> dict[str, Any]:
    """Return what our readers would say of an image that came from none of them (MONAI Deploy)."""
    limits: Any = np.array([-np.inf, np.inf])
    if not stored.is_floating_point():
        info = torch.iinfo(stored.dtype)
        limits = np.array([info.min, info.max], dtype=np.float64)
    return {
        "sr_dtype": str(stored.dtype).removeprefix("torch."),
        "sr_storable": limits,
        "sr_declared_range": limits if stored.dtype == torch.uint8 else np.full(2, np.nan),
        "sr_nodata": float("nan"),
    }


def to_stored(unit: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Map [0, 1] back to stored values: rounded, clipped to what can be stored, original dtype.

    Shape: (C, X, Y[, Z]) -> numpy array of the same shape and dtype ``sr_dtype``.

    Raises:
        OutputError: if a result to be stored as integers holds NaN or infinity.
    """
    low, high = (float(v) for v in np.asarray(meta["sr_range"]).ravel())
    storable = np.asarray(meta["sr_storable"], dtype=np.float64).ravel()
    dtype = np.dtype(str(meta["sr_dtype"]))
    exact: np.dtype[Any] = np.dtype(exact_float(dtype))
    name, limits = str(meta.get("filename_or_obj", "image")), storable.tolist()
    source = unit.detach().cpu().numpy().reshape(-1)
    result = np.empty(source.shape, dtype)
    for begin in range(0, source.size, PART):
        part = slice(begin, begin + PART)
        values = source[part].astype(exact)
        if meta.get("sr_inverted", 0):
            np.subtract(1, values, out=values)
        values *= high - low
        values += low
        is_float = dtype.kind == "f"
        result[part] = values if is_float else to_integers(values, dtype, limits, name)
    return result.reshape(unit.shape)
