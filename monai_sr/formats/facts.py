"""What is known of an image: a typed record in MONAI's metadata, the one home of its keys.

The record lies in the dictionary that MONAI carries with every image, under keys of plain values
(see docs/decisions/facts.md), and :class:`Facts` reads and writes them by name and type.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

import numpy as np
from monai.utils import SpaceKeys

from monai_sr.geometry import axis_places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    import numpy.typing as npt


T = TypeVar("T")
_NEEDED: Any = object()


class Fact(Generic[T]):
    """One entry of the record.

    Args:
        key: of the metadata.
        read: what is stored -> what is read; of a batch that of the first image.
        default: where there is no such entry; without it reading raises KeyError.
        write: what is set -> what is stored, which MONAI can collate.
    """

    def __init__(
        self,
        key: str,
        read: Callable[[Any], T],
        default: Any = _NEEDED,
        write: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        self.key, self.read, self.default, self.write = key, read, default, write

    @overload
    def __get__(self, facts: None, owner: type) -> Fact[T]: ...
    @overload
    def __get__(self, facts: Facts, owner: type) -> T: ...
    def __get__(self, facts: Facts | None, owner: type) -> T | Fact[T]:
        """Read a value; of the class, the entry itself."""
        if facts is None:
            return self
        if self.key in facts.meta:
            return self.read(facts.meta[self.key])
        if self.default is _NEEDED:
            raise KeyError(self.key)
        return cast("T", self.default)

    def __set__(self, facts: Facts, value: Any) -> None:
        """Store a value."""
        facts.meta[self.key] = self.write(value)

    def __delete__(self, facts: Facts) -> None:
        """Remove the entry, if there is one."""
        facts.meta.pop(self.key, None)


class _SliceAxis(Fact[int]):
    """The axis of slices, stored as the file has it, and read and set as the image lies now.

    Transforms that turn an image (``Orientationd``, ``Rotate90d``) keep ``affine`` true and
    ``original_affine`` as it was; the two tell where each axis of the file lies.
    """

    @overload
    def __get__(self, facts: None, owner: type) -> _SliceAxis: ...
    @overload
    def __get__(self, facts: Facts, owner: type) -> int: ...
    def __get__(self, facts: Facts | None, owner: type) -> int | _SliceAxis:
        """Read the axis; of a batch that of the first image."""
        return self if facts is None else self.of_all(facts.meta)[0]

    def __set__(self, facts: Facts, value: Any) -> None:
        """Store the axis."""
        if value >= 0 and (places := _places(facts.meta)):
            value = places[0].index(value)
        super().__set__(facts, value)

    def of_all(self, meta: Mapping[str, Any]) -> list[int]:
        """Read the axis in each image of a batch, -1 where it has none."""
        stored = [int(axis) for axis in np.ravel(meta.get(self.key, self.default))]
        if max(stored) < 0 or not (places := _places(meta)):
            return stored
        images = max(len(stored), len(places))
        pairs = zip(stored * (images // len(stored)), places * (images // len(places)), strict=True)
        return [place[axis] if axis >= 0 else axis for axis, place in pairs]


def _places(meta: Mapping[str, Any]) -> list[list[int]]:
    """Return for each image where each axis of the file lies now; nothing where none can tell."""
    if "affine" not in meta or "original_affine" not in meta:
        return []
    new, old = (np.asarray(meta[key], np.float64) for key in ("affine", "original_affine"))
    if new.shape != old.shape or new.shape[-2:] != (4, 4):
        return []
    pairs = zip(old.reshape(-1, 4, 4), new.reshape(-1, 4, 4), strict=True)
    return [axis_places(*pair) for pair in pairs]


def _first(value: Any) -> Any:
    return np.asarray(value).ravel()[0]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(_first(value))


def _whole(value: Any) -> int:
    return int(_first(value))


def _number(value: Any) -> float:
    return float(_first(value))


def _flag(value: Any) -> bool:
    return bool(np.asarray(value).any())


def _array(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value)


def _loaded(value: Any) -> Any:
    return json.loads(_text(value) or "{}")


def _table(value: Any) -> npt.NDArray[Any]:
    return np.asarray(_loaded(value))


def _rows(table: npt.NDArray[Any]) -> str:
    """Return a table as JSON: of any number of rows it can be collated."""
    return json.dumps(table.tolist())


def _dtype(value: Any) -> np.dtype[Any]:
    return np.dtype(_text(value))


_UNSEEN = np.empty(0, np.uint8)
_UNDECLARED = np.full(2, np.nan)
_OPEN = np.array([-np.inf, np.inf])


class Facts:
    """The record of one image, read and written by name; ``del`` removes an entry.

    Args:
        meta: the metadata of an image, which is changed where a fact is set; None for none.

    Attributes:
        format: name of the file format, see :mod:`monai_sr.formats.registry`.
        files: absolute paths of the sources, in slice order.
        dtype: data type in the file.
        storable: lowest and highest value that the file can hold.
        slice_storable: (N, 2), the same for each of ``files``, where they differ.
        frames: (C, Z), numbers of the file's frames, where channels are its quantities.
        declared_range: values that the file declares to be the ends of its range, NaN where none.
        is_inverted: whether low values are shown bright.
        nodata: stored value of invalid pixels, NaN for none.
        fill: what they get in the result.
        valid: (C, X, Y[, Z]), 0 where a mask or alpha hides pixels; empty where all are valid.
        false_alpha: band that is tagged as alpha and is data, -1 for none.
        slice_axis: of a volume, -1 where there is none; it follows transforms that turn the image.
        is_rgb: whether the first three channels are declared to be red, green and blue.
        unit_mm: millimeters of a unit of the affine, NaN where that cannot be trusted.
        unit: of the affine of a raster that has a geotransform, else "".
        groups: for each channel the number of its group of like units, -1 where none is known.
        natural, unit_natural: (C, 2), least and greatest values by their nature, which results
            leave no farther than the input does around, stored and in [0, 1].
        kind, kind_reason, code_bands: see :class:`monai_sr.formats.meaning.Meaning`.
        mosaic: images beside each other along both axes.
        range: (C, 2), stored values that become 0 and 1.
        bounds, clip: (C, 2), what results are clipped to, stored and in [0, 1].
        nan: where NaN lies beside another nodata value; known where any pixel is invalid.
        hot: places and values of hot pixels, a row each.
        codes: (B, X, Y), stored values of ``code_bands``, which [0, 1] is too coarse for.
        far_share: share of pixels far outside of the range.
        sizes: those of the result.
        scale: enlargement of a result.
        slices: JSON of how a result's slices were made thinner, see
            :class:`monai_sr.inferers.SliceRestorer`; empty where they were not, or by bicubic.
        source_affine: that of the source.
        spread: standard deviation of several passes, in [0, 1].
        uncertainty: half width of the 90 % interval, in stored units.
        unusual: how the input differs from what the interval was fitted on, "" for not at all.
        interval: what that does to it, likewise.
        basis: what the interval was fitted on, and what it held of such images.
        found: what was measured of the input to choose weights by, "" where nothing was.
        runtime: what has computed the result.
        provenance: JSON of what made the result.
        lr_psnr, off_share, worst_off, worst_at, bands: agreement with the input, see
            :mod:`monai_sr.transforms.agreement`.
        input: record of the input as it was, see :func:`monai_sr.formats.identity.input_record`.
        output: path of the result.
        is_deidentified: whether it must say nothing about a person.
    """

    format = Fact("sr_format", _text, "")
    files = Fact[list[str]]("sr_files", _loaded, write=json.dumps)
    dtype = Fact("sr_dtype", _dtype, write=lambda value: np.dtype(value).name)
    storable = Fact("sr_storable", _array)
    slice_storable = Fact("sr_slice_storable", _array)
    frames = Fact("sr_frames", _array)
    declared_range = Fact("sr_declared_range", _array, _UNDECLARED)
    is_inverted = Fact("sr_inverted", _flag, False, int)
    nodata = Fact("sr_nodata", _number, np.nan)
    fill = Fact("sr_fill", _number)
    valid = Fact("sr_valid", _array, _UNSEEN)
    false_alpha = Fact("sr_false_alpha", _whole, -1)
    slice_axis = _SliceAxis("sr_slice_axis", _whole, -1)
    is_rgb = Fact("sr_rgb", _flag, False, int)
    unit_mm = Fact("sr_unit_mm", _number, 1.0)  # MONAI's own readers give mm
    unit = Fact("sr_unit", _text, "")
    groups = Fact[Any]("sr_groups", _array)
    natural = Fact("sr_natural", _array, _OPEN)
    unit_natural = Fact("sr_unit_natural", _array, _OPEN)
    kind = Fact("sr_kind", _array, np.array(""))
    kind_reason = Fact("sr_kind_reason", _text, "by default")
    code_bands = Fact("sr_code_bands", _array, np.empty(0, int))
    mosaic = Fact("sr_mosaic", _whole, 1)
    range = Fact("sr_range", _array)
    bounds = Fact("sr_bounds", _array)
    clip = Fact("sr_clip", _array)
    nan = Fact("sr_nan", _array)
    hot = Fact("sr_hot", _table, np.empty(0), _rows)
    codes = Fact("sr_codes", _array, np.empty(0))
    far_share = Fact("sr_far_share", _number, 0.0)
    sizes = Fact("sr_sizes", _array, np.empty(0, int))
    scale = Fact("sr_scale", _number)
    slices = Fact("sr_slices", _text, "")
    source_affine = Fact("sr_source_affine", _array)
    spread = Fact[Any]("sr_spread", lambda value: value)  # of the network's device
    uncertainty = Fact("sr_uncertainty", _array)
    unusual = Fact("sr_unusual", _text, "")
    interval = Fact("sr_interval", _text, "")
    basis = Fact("sr_interval_basis", _text, "")
    found = Fact("sr_found", _text, "")
    runtime = Fact("sr_runtime", _text, "torch")
    provenance = Fact("sr_provenance", _text, "")
    lr_psnr = Fact("sr_lr_psnr", _number)
    off_share = Fact("sr_off_share", _number)
    worst_off = Fact("sr_worst_off", _number)
    worst_at = Fact("sr_worst_at", _array)
    bands = Fact("sr_bands", _array)
    input = Fact("sr_input", _text, "")
    output = Fact("sr_output", _text, "")
    is_deidentified = Fact("sr_deidentified", _flag, False, int)

    def __init__(self, meta: Mapping[str, Any] | None) -> None:
        self.meta = cast("MutableMapping[str, Any]", {} if meta is None else meta)

    @property
    def limits(self) -> npt.NDArray[np.float64]:
        """The bounds of results: as they were decided, else what the file can hold."""
        found = self.bounds if self.knows("bounds") else self.storable
        return np.asarray(found, dtype=np.float64)

    def knows(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        return getattr(Facts, name).key in self.meta


def with_facts(meta: Mapping[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """Return a copy of metadata with other facts, by their names in :class:`Facts`."""
    changed = dict(meta or {})
    for name, value in changes.items():
        setattr(Facts(changed), name, value)
    return changed


class _Meaning(Protocol):
    """What a :class:`monai_sr.formats.meaning.Meaning` is, which knows of facts itself."""

    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def bands(self) -> Sequence[int]: ...


def storable_range(stored: npt.DTypeLike) -> tuple[float, float]:
    """Return the smallest and largest value that a dtype holds; infinite for floats.

    Args:
        stored: dtype in the file.

    Returns:
        (lo, hi)
    """
    dtype = np.dtype(stored)
    if dtype.kind == "f":
        return -np.inf, np.inf
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def image_meta(
    *,
    files: Sequence[Path],
    sr_format: str,
    affine: npt.NDArray[np.float64],
    spatial_shape: Sequence[int],
    dtype: npt.DTypeLike,
    storable: Sequence[float] | None = None,
    declared: Sequence[float] | None = None,
    inverted: bool = False,
    nodata: float = float("nan"),
    fill: float | None = None,
    valid: npt.NDArray[Any] | None = None,
    slice_axis: int = -1,
    is_rgb: bool = False,
    unit_mm: float = float("nan"),
    unit: str = "",
    groups: Sequence[int] | None = None,
    natural: npt.NDArray[np.float64] | None = None,
    meaning: _Meaning | None = None,
    mosaic: int = 1,
) -> dict[str, Any]:
    """Build the meta dictionary of a sample: the same collatable keys for every format.

    Args:
        files: sources in slice order.
        sr_format: "dicom", "nifti" or "raster".
        affine: (4, 4), voxel centers to world.
        spatial_shape: (X, Y[, Z]).
        dtype: stored dtype.
        storable: lowest and highest value the file can hold; by dtype where None.
        declared: value range that the file declares; [0, 255] for uint8 where None, else NaN.
        inverted: whether low stored values are shown bright (MONOCHROME1).
        nodata: stored value of invalid pixels, NaN for none.
        fill: value that they get in the result, where another; ``nodata`` where None.
        valid: (C, X, Y[, Z]), 0 where something beside the values (alpha, a mask) declares them
            invalid; None where all are valid.
        slice_axis: axis along which slices are independent, -1 for 2D images.
        is_rgb: whether the first three channels are declared to be red, green and blue.
        unit_mm: millimeters of one unit of the affine; NaN where the file declares no lengths, or
            none that can be trusted.
        unit: of rasters, unit of the affine; "" where they have no geotransform.
        groups: for each channel a number that those share which are declared to be of one unit, -1
            where nothing is declared; None: all are.
        natural: (C, 2), smallest and largest stored value that each channel can have by its nature;
            None where nothing says so.
        meaning: what the values are; of phases ``declared`` is one turn.
        mosaic: images beside each other along both axes of a mosaic, 1 for a single image.

    Returns:
        Only strings, numbers and numpy arrays.
    """
    stored = np.dtype(dtype)
    if declared is None:
        declared = (0.0, 255.0) if stored == np.uint8 else (np.nan, np.nan)
    facts: dict[str, Any] = {
        "format": sr_format,
        "files": [os.path.abspath(file) for file in files],
        "dtype": stored,
        "storable": np.asarray(storable or storable_range(stored), dtype=np.float64),
        "declared_range": np.asarray(declared, dtype=np.float64),
        "is_inverted": inverted,
        "nodata": float(nodata),
        "fill": float(nodata if fill is None else fill),
        "valid": np.empty(0, np.uint8) if valid is None else valid.astype(np.uint8),
        "slice_axis": int(slice_axis),
        "is_rgb": is_rgb,
        "unit_mm": float(unit_mm),
        "unit": unit,
        **({} if groups is None else {"groups": np.asarray(groups, dtype=np.int64)}),
        **({} if natural is None else {"natural": natural}),
        "kind": meaning.kind if meaning else "",
        "kind_reason": meaning.reason if meaning else Facts.kind_reason.default,
        "code_bands": np.asarray(meaning.bands if meaning else (), dtype=np.int64),
        "mosaic": int(mosaic),
    }
    carried = {
        "affine": affine.copy(),
        "original_affine": affine.copy(),
        "spatial_shape": np.asarray(spatial_shape, dtype=np.int64),
        "original_channel_dim": 0,
        "space": SpaceKeys.RAS,
        "filename_or_obj": str(files[0]),
    }
    return with_facts(carried, **facts)
