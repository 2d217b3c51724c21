"""Map stored values to [0, 1] and back, by one mapping for each band of a file or series.

The mapping follows declared facts (``declared_range``: 8-bit types, DICOM up to 12 bits stored)
or the caller's range; where nothing declares one, the valid values of the whole file, see
:mod:`monai_sr.transforms.ranges`. It is kept in the metadata, so that every slice and window shares
it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, exact_float, is_wide, to_integers
from monai_sr.core.dtypes import PART
from monai_sr.formats import PHASE, Facts, kind_of, with_facts
from monai_sr.transforms.agreement import are_codes, as_unit, code_bands
from monai_sr.transforms.bad_pixels import (
    calm_hot_pixels,
    declare_nodata,
    fill_invalid,
    other_nan,
    valid_mask,
)
from monai_sr.transforms.checks import with_history
from monai_sr.transforms.phase import begin_anew
from monai_sr.transforms.ranges import Levels, band_levels, band_ranges, tell_far, warn_of_fill

_FLOAT_STEPS = 255
_ROUNDING = 1e-6  # of [0, 1], by which float32 misses a natural bound
_SMALLEST_STEP = 1e-30  # differences divided by less would be lost to underflow
_WIDEST_RANGE = 1e30  # a fill value that nobody declared, such as -3.4e38, hides all others

VALID_SUFFIX = "_valid"
"""Key suffix under which :class:`ScaleToUnitd` leaves the mask of valid pixels."""


class ScaleToUnit(Transform):
    """Map stored values to [0, 1] in float32.

    Shape: MetaTensor (C, X, Y[, Z]) of stored values with the metadata of our readers -> a pair of
    the same shape, float32 (values outside the range map outside [0, 1] and stay), and its mask of
    valid pixels, bool, which is empty where all are valid.

    The result's metadata gain facts: ``range`` (C, 2), the stored values of 0 and 1 of each band,
    ``clip`` (C, 2), what can be stored, in the new units, ``hot``, the pixels that are hot, which
    the result is without, see :mod:`monai_sr.transforms.bad_pixels`, and where there is a mask
    ``nan``, which pixels are NaN that is not the nodata value.

    Args:
        value_range: (low, high) stored values of 0 and 1, or such a pair for each band; None: by
            the rule of this module.
        nodata: stored value that is no measurement, beside what the file declares; None: none.
        bounds: (low, high) stored values that results are held in; None: what can be stored. What
            a field's values are by their nature (fact ``natural``, or not negative where no value
            but outliers is) results leave only where the input does.
        is_exact: use the smallest and largest valid value of bands on one range, no robust ones.

    Raises:
        OptionError: if ``value_range`` or ``bounds`` are not two rising numbers.
    """

    def __init__(
        self,
        value_range: Sequence[float] | None = None,
        nodata: float | None = None,
        bounds: Sequence[float] | None = None,
        *,
        is_exact: bool = False,
    ) -> None:
        for name, pair in (("range", value_range), ("bounds", bounds)):
            if pair is not None and not _is_rising_pair(pair):
                raise OptionError(
                    f"{name}: must be two rising numbers, got {pair}; write --{name} "
                    f"'{'[0,4095]' if name == 'range' else '[-1,1]'}'"
                )
        if nodata is not None and not isinstance(nodata, int | float):
            raise OptionError(f"nodata: must be a number, got {nodata!r}; write --nodata -9999")
        self.value_range, self.nodata, self.bounds = value_range, nodata, bounds
        self.is_exact = is_exact

    def __call__(self, image: Tensor) -> tuple[MetaTensor, Tensor]:
        """Return the mapped image and its mask of valid pixels (empty where all are valid).

        Raises:
            BadImageError: if no pixel is valid, or the values or their type fit no mapping.
        """
        stored = image.as_tensor() if isinstance(image, MetaTensor) else image
        meta = _in_memory_meta(stored) | (image.meta if isinstance(image, MetaTensor) else {})
        stored = stored.to(_exact_dtype(stored))
        given = Given.of(stored, meta, self.nodata)
        if are_codes(meta):
            return with_history(as_unit(stored, meta), image), torch.empty(0, dtype=torch.bool)
        if not bool(given.valid.any()):
            name = meta.get("filename_or_obj", "image")
            raise BadImageError(f"{name}: holds no valid pixel; check the file or its nodata value")
        self.decide(meta, len(stored), lambda: band_levels(stored, given.valid))
        Facts(meta).codes = stored[code_bands(meta)].numpy()
        given = given.calm(meta)
        # Collation drops what not all images of a batch have: these depend on the mask alone.
        Facts(meta).hot = given.hot
        valid = torch.empty(0, dtype=torch.bool)
        if not bool(given.valid.all()):
            valid, Facts(meta).nan = given.valid, given.nan
        return with_history(to_unit(given.filled(meta), meta), image), valid

    def needs_levels(self, meta: Mapping[str, Any]) -> bool:
        """Tell whether :meth:`decide` looks at the values: it may be spared where it does not."""
        return self._given(meta) is None or bool(Facts(meta).unit)

    def decide(
        self, meta: dict[str, Any], channels: int, measure: Callable[[], Sequence[Levels]]
    ) -> None:
        """Choose ranges and bounds, which ``meta`` gains, and say which values look like nodata.

        Args:
            meta: of the image.
            channels: number of its bands.
            measure: counts the valid values of each band.

        Raises:
            BadImageError: the values reach too far for one mapping.
        """
        facts = Facts(meta)
        given, name = self._given(meta), str(meta.get("filename_or_obj", "image"))
        if given is None and kind_of(meta) == PHASE:
            raise BadImageError(
                f"{name}: holds phases, one turn of them must be known, got values that span none; "
                "give its stored values (--range LOW HIGH), or unwrap it and add --kind intensity"
            )
        levels = measure() if self.needs_levels(meta) else []
        pairs = np.asarray((0.0, 1.0) if given is None else given, float).reshape(-1, 2)
        ranges = np.broadcast_to(pairs, (channels, 2)).copy()
        expected = facts.natural if self.bounds is None else (-np.inf, np.inf)
        natural = np.broadcast_to(np.asarray(expected, float), (channels, 2)).copy()
        if levels and (given is None or facts.unit):
            groups: Any = facts.groups if facts.knows("groups") else np.full(channels, 0)
            found, fill = band_ranges(
                levels, groups, facts.is_rgb, bool(facts.unit), is_exact=self.is_exact
            )
            codes = set(facts.code_bands.ravel().tolist())  # a class may have many pixels
            warn_of_fill(name, [each for each in fill if each[0] not in codes], channels)
            if given is None:
                ends = [each.extremes for each in levels if each.counts.size]
                low, high = min(ends)[0], max(end[1] for end in ends)
                if high - low > _WIDEST_RANGE:
                    raise BadImageError(
                        f"{name}: values must lie in one range, got {low:g} to {high:g}; name the "
                        "value of missing pixels (--nodata) or give the range (--range)"
                    )
                is_known = np.isfinite(found)
                ranges = np.where(is_known, found, ranges)
                is_positive = np.isinf(natural).all(axis=1) & (found[:, 0] >= 0)
                natural[is_positive & (self.bounds is None)] = 0, np.inf
            facts.far_share = tell_far(name, levels, ranges, fill)
        dtype = facts.dtype
        for pair in ranges:
            if pair[1] <= pair[0]:
                pair[1] = pair[0] + _one_step(pair[0], dtype)
        storable = np.asarray(facts.storable, dtype=np.float64)
        bounds = storable if self.bounds is None else np.clip(self.bounds, *storable)
        facts.range, facts.natural = ranges, natural
        facts.bounds = np.tile(bounds, (channels, 1))

    def _given(self, meta: Mapping[str, Any]) -> Sequence[float] | None:
        return self.value_range if self.value_range is not None else declared_range(meta)


def declared_range(meta: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the range that a file declares, None where it declares none."""
    low, high = np.asarray(Facts(meta).declared_range, dtype=np.float64).tolist()
    return (low, high) if np.isfinite([low, high]).all() else None


def range_of(meta: Mapping[str, Any]) -> np.ndarray:
    """Return the stored values of 0 and 1 of each band: (C, 2), or (1, 2) for all."""
    return np.asarray(Facts(meta).range, dtype=np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class UnitMapping:
    """What stored values are in [0, 1]: a line for each band, the same in windows and in the whole.

    Attributes:
        low: (C,), or (1,) for all bands, the stored value of 0.
        width: likewise, what lies between it and that of 1.
        is_inverted: whether 0 and 1 change places, as where stored zeros are white.
    """

    low: np.ndarray
    width: np.ndarray
    is_inverted: bool = False

    @classmethod
    def of(cls, meta: Mapping[str, Any], channels: int | None = None) -> UnitMapping:
        """Return the mapping that is known of an image, for each of its channels if they are."""
        ranges = range_of(meta)
        if channels is not None:
            ranges = np.broadcast_to(ranges, (channels, 2))
        return cls(ranges[:, 0], ranges[:, 1] - ranges[:, 0], Facts(meta).is_inverted)

    def unit(self, stored: Tensor) -> Tensor:
        """Map stored values (C, ...), floating point, to float32."""
        corner = (-1, *[1] * (stored.ndim - 1))
        offset, factor = (
            torch.tensor(each, dtype=stored.dtype).reshape(corner)
            for each in (self.low, self.width)
        )
        # The offset is taken in the reader's precision (float64 for wide types), then narrowed.
        unit = ((stored - offset) / factor).to(torch.float32)
        return 1 - unit if self.is_inverted else unit

    def clip(self, bounds: Any) -> np.ndarray:
        """Map (C, 2) stored values that results are held in."""
        pairs = np.asarray(bounds, dtype=np.float64).reshape(-1, 2)
        clip: np.ndarray = (pairs - self.low[:, None]) / self.width[:, None]
        return 1 - clip[:, ::-1] if self.is_inverted else clip

    def lines(self) -> list[tuple[float, float]]:
        """Return factor and offset that bring stored values of each band to [0, 1]."""
        pairs = zip(self.low, self.width, strict=True)
        lines = [(1 / width, -low / width) for low, width in pairs]
        return [(-factor, 1 - offset) for factor, offset in lines] if self.is_inverted else lines

    def steps(self, dtype: np.dtype[Any]) -> np.ndarray:
        """Return what counts as one stored unit in [0, 1]: 1 of integers, 1/255 of a float's range.

        Floats have no unit: their range is divided as that of 8-bit images.
        """
        ones = np.ones(len(self.width)) if dtype.kind in "iu" else self.width / _FLOAT_STEPS
        return np.asarray(ones / self.width)

    def restore(self, values: np.ndarray, band: int) -> np.ndarray:
        """Map values of a band back, in place, in their precision; nothing is rounded."""
        if self.is_inverted:
            np.subtract(1, values, out=values)
        values *= float(self.width[band])
        values += float(self.low[band])
        return values


def to_unit(stored: Tensor, meta: dict[str, Any]) -> MetaTensor:
    """Map stored values by the known range of each band; ``meta`` gains ``clip``.

    Shape: stored (C, ...), floating point -> the same, float32.
    """
    mapping = UnitMapping.of(meta)
    Facts(meta).clip = mapping.clip(Facts(meta).limits).copy()
    Facts(meta).unit_natural = mapping.clip(Facts(meta).natural).copy()
    return MetaTensor(mapping.unit(stored), meta=meta)


@dataclass(frozen=True)
class Given:
    """An image as it was read, whole or a window of it, and what of it is no measurement.

    Attributes:
        stored: (C, X, Y[, Z]) stored values, but for hot pixels where they are known.
        valid: which of them are measurements.
        nan: which are NaN where that is not the nodata value: the result has NaN there.
        hot: channel, place and value of hot ones, see :mod:`monai_sr.transforms.bad_pixels`.
    """

    stored: Tensor
    valid: Tensor
    nan: np.ndarray
    hot: np.ndarray

    @classmethod
    def of(cls, stored: Tensor, meta: dict[str, Any], nodata: float | None = None) -> Given:
        """Look at stored values (C, ...).

        Args:
            stored: as read.
            meta: of them; tells of ``nodata`` afterwards.
            nodata: a value that is no measurement, beside what the file declares.
        """
        if nodata is not None:
            declare_nodata(stored, meta, nodata)
        valid = valid_mask(stored, Facts(meta).nodata, Facts(meta).valid)
        return cls(stored, valid, other_nan(stored, meta), np.empty((0, stored.ndim + 1)))

    def calm(self, meta: Mapping[str, Any]) -> Given:
        """Return the image without its hot pixels, by the known range of each band."""
        calm, hot = calm_hot_pixels(self.stored.numpy(), self.valid.numpy(), meta)
        return replace(self, stored=torch.from_numpy(calm), hot=hot) if len(hot) else self

    def filled(self, meta: Mapping[str, Any]) -> Tensor:
        """Return stored values in which the nearest measurements stand for all that are none."""
        if bool(self.valid.all()):
            return self.stored
        return fill_invalid(self.stored, self.valid, range_of(meta)[:, 0])


def _one_step(value: float, dtype: np.dtype[Any]) -> float:
    """Return the distance to the next stored value: a constant image then stays constant."""
    if dtype.kind in "iu":
        return 1.0
    return max(float(np.spacing(dtype.type(abs(value)))), _SMALLEST_STEP)


def _is_rising_pair(value_range: Any) -> bool:
    try:
        pairs = np.asarray(value_range, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    is_shaped = pairs.shape == (2,) or (pairs.ndim == 2 and pairs.shape[1] == 2)
    return is_shaped and bool(np.isfinite(pairs).all() and (pairs[..., 0] < pairs[..., 1]).all())


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
        nodata: float | None = None,
        bounds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleToUnit(value_range, nodata, bounds)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Map every key."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key], d[f"{key}{VALID_SUFFIX}"] = self.scale(d[key])
        return d


def _in_memory_meta(stored: Tensor) -> dict[str, Any]:
    """Return what our readers would say of an image that came from none of them (MONAI Deploy)."""
    name = str(stored.dtype).removeprefix("torch.")
    if name.rstrip("0123456789") not in ("int", "uint", "float"):
        raise BadImageError(
            f"image: must be integers, float16, float32 or float64, got {name}; convert it "
            "(image.float()), complex values to magnitudes (image.abs())"
        )
    limits: Any = np.array([-np.inf, np.inf])
    if not stored.is_floating_point():
        info = torch.iinfo(stored.dtype)
        limits = np.array([info.min, info.max], dtype=np.float64)
    return with_facts(
        None,
        dtype=name,
        storable=limits,
        declared_range=limits if stored.dtype == torch.uint8 else np.full(2, np.nan),
        nodata=float("nan"),
        fill=float("nan"),
    )


def to_stored(unit: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Map [0, 1] back to stored values: rounded, clipped to what can be stored, original dtype.

    Shape: (C, X, Y[, Z]) -> numpy array of the same shape and the dtype of the file.

    Raises:
        OutputError: if a result to be stored as integers holds NaN or infinity.
    """
    dtype, name = Facts(meta).dtype, str(meta.get("filename_or_obj", "image"))
    bounds = np.broadcast_to(Facts(meta).limits.reshape(-1, 2), (len(unit), 2))
    mapping = UnitMapping.of(meta, len(unit))
    slack = _ROUNDING * mapping.width
    natural = np.broadcast_to(Facts(meta).natural.reshape(-1, 2), (len(unit), 2))
    result = np.empty(unit.shape, dtype)
    for number, (band, target, limits) in enumerate(zip(unit, result, bounds, strict=True)):
        source, flat = band.detach().cpu().numpy().reshape(-1), target.reshape(-1)
        for begin in range(0, source.size, PART):
            part = slice(begin, begin + PART)
            values = mapping.restore(source[part].astype(exact_float(dtype)), number)
            if dtype.kind == "f":
                held = values.clip(*natural[number].tolist())
                np.copyto(values, held, where=np.abs(values - held) < slack[number])
                flat[part] = np.clip(values, *limits.tolist())
            else:
                flat[part] = to_integers(values, dtype, limits.tolist(), name)
    if kind_of(meta) == PHASE:
        begin_anew(result, Facts(meta).range)
    return result
