"""What readers and writers share: checks of files and pixels, stored values, derivation notes."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from monai.data.image_reader import ImageReader
from monai.data.image_writer import ImageWriter
from monai.utils import convert_to_numpy, ensure_tuple

from monai_sr.core import BadImageError, OutputError, PathLike, get_logger, head, to_integers
from monai_sr.formats.facts import Facts
from monai_sr.formats.format import Format, head_of
from monai_sr.formats.meaning import INTENSITY, check_asked

DISCLAIMER = "Derived by super-resolution; not for primary diagnosis"
CODES_DISCLAIMER = "Derived by enlargement; not for primary diagnosis"
"""Of codes, which no network has seen."""
MAP_MEANING = "Half width of the 90 % interval"
"""What maps of uncertainty say that they show."""


logger = get_logger(__name__)

# Integers above 2^53 have no exact float64.
_EXACT_INTEGER = 2.0**53


def single_path(data: Sequence[PathLike] | PathLike) -> Path:
    """Return the one path of a reader's argument and check that it is a file with content.

    Args:
        data: a path, or the tuple of one path that MONAI's ``LoadImage`` passes.

    Returns:
        The path as given.

    Raises:
        BadImageError: several paths, a missing file, a folder or an empty file.
    """
    if not isinstance(data, (str, os.PathLike)):
        if len(data) != 1:
            names = ", ".join(str(name) for name in data) or "nothing"
            raise BadImageError(f"{names}: must be one file, got {len(data)}; load one at a time.")
        data = data[0]
    path = Path(data)
    if not path.exists():
        raise BadImageError(f"{data}: must exist, got no such file; check the spelling.")
    if path.is_dir():
        raise BadImageError(f"{data}: must be a file, got a folder; name a file in it.")
    try:
        if path.stat().st_size == 0:
            raise BadImageError(
                f"{data}: must hold an image, got an empty file; copy or download it again."
            )
        head(path)
        return path
    except PermissionError as error:
        raise BadImageError(
            f"{data}: must be readable, got 'permission denied'; change its rights."
        ) from error


def holes_of_infinity(
    path: PathLike, pixels: npt.NDArray[Any], nodata: float | None = None, *, is_said: bool = False
) -> npt.NDArray[Any]:
    """Make infinite pixels, such as 10 log10(0), holes like NaN, unless that is the nodata value.

    Args:
        path: file named in the warning.
        pixels: stored values; integers stay as they are.
        nodata: declared invalid value, None when there is none.
        is_said: leave the warning out.
    """
    if pixels.dtype.kind != "f":
        return pixels
    infinite = np.isinf(pixels) & (True if nodata is None else pixels != nodata)
    if not infinite.any():
        return pixels
    if not is_said:
        logger.warning("%s: infinite pixels are taken as holes, like NaN", path)
    return np.where(infinite, pixels.dtype.type(np.nan), pixels)


def check_pixels(
    path: Path,
    pixels: npt.NDArray[Any],
    nodata: float | None,
    remedy: str,
    valid: npt.NDArray[np.bool_] | None = None,
    *,
    is_whole: bool = True,
) -> None:
    """Refuse pixels that no mapping to [0, 1] can use.

    Args:
        path: file named in the message.
        pixels: stored values of any shape.
        nodata: declared invalid value (NaN allowed), None when there is none.
        remedy: what to do about undeclared NaN pixels.
        valid: False where the file declares pixels invalid; broadcast to ``pixels``.
        is_whole: whether these are all pixels: a window may hold nothing but nodata.

    Raises:
        BadImageError: no pixel, undeclared NaN or infinite pixels, integers beyond 2^53, or
            nothing but nodata.
    """
    if pixels.size == 0:
        shape = " x ".join(str(side) for side in pixels.shape)
        raise BadImageError(f"{path}: must hold pixels, got size {shape}; export it again.")
    finite = np.isfinite(pixels) if pixels.dtype.kind == "f" else np.ones(1, dtype=bool)
    declared = finite if nodata is None else finite | np.isnan(pixels) | (pixels == nodata)
    if valid is not None:
        declared = declared | ~valid
    if not declared.all():
        count = int((~declared).sum())
        raise BadImageError(
            f"{path}: pixels must be finite, got {count} NaN or infinite ones; {remedy}."
        )
    if is_whole and nodata is not None and not (finite & (pixels != nodata)).any():
        raise BadImageError(f"{path}: must hold valid pixels, got only nodata; leave it out.")
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize == 8:
        extreme = max(abs(float(pixels.min())), abs(float(pixels.max())))
        if extreme > _EXACT_INTEGER:
            raise BadImageError(
                f"{path}: integers must lie within +-2^53, got {extreme:g}; convert to int32."
            )


def check_samples(path: Path, samples: npt.NDArray[Any]) -> None:
    """Refuse samples of a volume that cannot be used, see :func:`check_pixels`.

    NaN needs no declaration: no scanner measures it.
    """
    nodata = np.nan if samples.dtype.kind == "f" else None
    check_pixels(path, samples, nodata, "replace them, for example by 0 (numpy.nan_to_num)")


def stored_array(data: Any, channel_dim: int | None) -> npt.NDArray[Any]:
    """Bring a tensor or array to a contiguous channel-first numpy array.

    Shape: any axis order with one channel axis, or none -> (C, X, Y[, Z]), same dtype.

    Args:
        data: numpy array, tensor or MetaTensor on any device.
        channel_dim: where the channels are; None when there is no channel axis.

    Returns:
        The array on the CPU.
    """
    array: npt.NDArray[Any] = convert_to_numpy(data)
    array = array[None] if channel_dim is None else np.moveaxis(array, channel_dim, 0)
    return np.ascontiguousarray(array)


class StoredReader(ImageReader):
    """What the readers share: they take what the values mean, and know files of their format.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
    """

    form: ClassVar[Format]

    def __init__(self, kind: str = INTENSITY) -> None:
        super().__init__()
        check_asked(kind)
        self.kind = kind

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether every file is of the format by its content, or else by its name.

        Args:
            filename: one name, or the tuple that MONAI passes.
        """
        form, names = self.form, ensure_tuple(filename)
        return all(form.is_named(name) or form.claims(head_of(name)) for name in names)


class StoredWriter(ImageWriter):
    """What the writers of files share: they take raw stored values and the meta of their sample.

    ``SaveImage`` passes options of resampling and dtype, which they ignore: they never resample,
    and the dtype is the source's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._array: npt.NDArray[Any]
        self._meta: dict[str, Any] = {}

    def set_data_array(self, data_array: Any, channel_dim: int | None = 0, **kwargs: Any) -> None:
        """Take the values.

        Shape: data_array (C, X, Y[, Z]), of a raster (C, W, H), raw stored values.

        Args:
            data_array: array or tensor.
            channel_dim: its channel axis, None when there is none.
            **kwargs: options of MONAI's other writers, not used.
        """
        self._array = stored_array(data_array, channel_dim)

    def set_metadata(self, meta_dict: Mapping[str, Any] | None, **options: Any) -> None:
        """Take the meta of the sample; its ``affine`` is that of the result.

        Args:
            meta_dict: meta of a sample read by the reader of the same format.
            **options: options of MONAI's other writers, not used.
        """
        self._meta = dict(meta_dict or {})
        check_restored(self._meta)


def check_restored(meta: Mapping[str, Any]) -> None:
    """Refuse an image in [0, 1]: written as stored values it would be black.

    Raises:
        OutputError: it was mapped to [0, 1] and not restored.
    """
    if Facts(meta).knows("range") and not Facts(meta).knows("provenance"):
        raise OutputError(
            f"{meta.get('filename_or_obj', 'image')}: must have stored values to be written, got "
            "values in [0, 1]; restore them first (SuperResolver.restore, RestoreStoredd)"
        )


def as_stored(
    array: npt.NDArray[Any], meta: Mapping[str, Any], filename: PathLike
) -> npt.NDArray[Any]:
    """Cast to the stored dtype; integers are rounded and clipped to what the source can hold.

    Values that a restoring transform has already rounded and clipped do not change.

    Args:
        array: values in stored units.
        meta: sample meta with fact ``dtype`` and fact ``storable``.
        filename: named in the message.

    Returns:
        Array of dtype as in the file.

    Raises:
        OutputError: NaN or infinity in a result whose format stores integers.
    """
    dtype = Facts(meta).dtype
    if dtype.kind == "f" or array.dtype == dtype:
        return array.astype(dtype, copy=False)
    return to_integers(array, dtype, Facts(meta).storable.tolist(), filename)


def check_moved(
    filename: PathLike, scale: npt.NDArray[Any], size: Sequence[int], source: Sequence[int]
) -> None:
    """Refuse a result that is enlarged and lies, by its affine, where its source does.

    Args:
        filename: named in the message.
        scale: of each axis by the affines.
        size: of the result.
        source: size of the source.

    Raises:
        OutputError: it does.
    """
    if np.allclose(scale, 1) and np.prod(size) >= 4 * np.prod(source):
        raise OutputError(
            f"{filename}: the affine must belong to the enlarged image, got that of the source; "
            "update it with monai_sr.geometry.scaled_affine."
        )


def in_rows(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay the rows of transposed planes one behind the other in memory.

    Shape: (N, H, W) -> the same, in C order.
    """
    result = np.empty(planes.shape, planes.dtype)
    for target, plane in zip(result, planes, strict=True):
        # It copies in blocks that fit a cache: ten times as fast as numpy.
        torch.from_numpy(target).copy_(torch.from_numpy(plane))
    return result


def source_path(meta: Mapping[str, Any] | None, expected: str, filename: PathLike) -> Path:
    """Return the file that a result derives from.

    Args:
        meta: sample meta with fact ``format`` and fact ``files``.
        expected: format that the writer serves.
        filename: named in the message.

    Returns:
        The first source.

    Raises:
        OutputError: the sample came from another reader, or the source is gone.
    """
    if not meta or Facts(meta).format != expected:
        found = Facts(meta).format or "a sample of another reader"
        raise OutputError(
            f"{filename}: this writer needs a sample read as {expected}, got {found}; "
            "use the reader and the writer of the same format."
        )
    source = Path(Facts(meta).files[0])
    if not source.exists():
        raise OutputError(
            f"{filename}: its source {source.name} must still exist, got no such file; "
            "keep the inputs in place until the results are written."
        )
    return source


def provenance_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts on a result's making; empty where there are none."""
    facts: dict[str, Any] = json.loads(Facts(meta).provenance or "{}")
    return facts


def disclaimer(provenance: Mapping[str, Any]) -> str:
    """Return what every result says of itself.

    Args:
        provenance: see :func:`provenance_of`.
    """
    return CODES_DISCLAIMER if provenance.get("resampling") else DISCLAIMER


def map_meaning(meta: Mapping[str, Any]) -> str:
    """Say what a map of uncertainty shows, what its interval was fitted on, and what widened it.

    Args:
        meta: of the result.
    """
    facts = Facts(meta)
    basis = f"{MAP_MEANING}, {facts.basis}" if facts.basis else MAP_MEANING
    return f"{basis}; {facts.interval}" if facts.interval else basis


def software(meta: Mapping[str, Any]) -> str:
    """Return name and version for a software field, "monai-sr" without provenance.

    Args:
        meta: sample meta, fact ``provenance`` optional.

    Returns:
        For example "monai-sr 0.1.0".
    """
    facts = provenance_of(meta)
    return f"{facts.get('software', 'monai-sr')} {facts.get('version', '')}".strip()
