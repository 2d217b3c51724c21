"""Reads NIfTI-1 and NIfTI-2 files as the raw values that the file stores, before slope and offset.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (fields dim, pixdim, qform_code,
sform_code, scl_slope).
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError, PathLike, exact_float, reading
from monai_sr.formats.facts import image_meta
from monai_sr.formats.format import head_of
from monai_sr.formats.meaning import AUTO, GRAY, PHASE, Meaning, decided
from monai_sr.formats.nifti.format import Nifti
from monai_sr.formats.nifti.header import (
    DAMAGE_ERRORS,
    GZIP_SLACK,
    check_length,
    check_offset,
    is_analyze,
    load_nifti,
    pair_of,
    source_affine,
    unit_mm,
)
from monai_sr.formats.nifti.meaning import (
    meaning_of_colors,
    natural_bounds,
    nifti_meaning,
    nifti_turn,
)
from monai_sr.formats.stored import StoredReader, check_samples, holes_of_infinity, single_path
from monai_sr.geometry import slice_axis

_RGBA = 4


@dataclass(frozen=True)
class NiftiImage:
    """A NIfTI image in memory, between ``read`` and ``get_data``.

    Shape: pixels as stored, (X, Y), (X, Y, Z) or with more axes; structured dtype for RGB.
    ``unit_mm`` is NaN where lengths cannot be trusted.
    """

    path: Path
    pixels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    unit_mm: float = 1.0
    intent: int = 0
    rescaling: tuple[float, float] = (1.0, 0.0)


class NiftiReader(StoredReader):
    """Read one NIfTI file as channel-first raw values with its geometry.

    Time points and vector components become channels, and so do the colors of RGB images. A
    volume with a single last slice is a 2D image. World coordinates are RAS+ in the file's unit,
    which fact ``unit_mm`` states.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`; "auto" asks header, name
            and values.

    Shape: (X, Y, Z) -> (1, X, Y, Z); (X, Y, Z, T) -> (T, X, Y, Z); (X, Y[, 1]) -> (1, X, Y);
    float32, or float64 for wide types.

    Example:
        >>> from pathlib import Path
        >>> from monai_sr.formats.facts import Facts
        >>> folder = Path(nib.__file__).parent / "tests" / "data"
        >>> reader = NiftiReader()
        >>> pixels, meta = reader.get_data(reader.read(folder / "example4d.nii.gz"))
        >>> pixels.shape, Facts(meta).dtype, Facts(meta).slice_axis
        ((2, 128, 96, 24), dtype('int16'), 2)
    """

    form = Nifti()

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> NiftiImage:
        """Decode the whole file, so that damage shows here and not later.

        Args:
            data: one path that ends in .nii or .nii.gz, or either file of a pair.
            **kwargs: passed to ``nibabel.load``.

        Returns:
            The image for :meth:`get_data`.

        Raises:
            BadImageError: missing, empty, damaged, not NIfTI, or values that cannot be used.
        """
        path = single_path(data)
        if not self.verify_suffix(path):
            raise BadImageError(
                f"{path}: must be NIfTI (.nii or .nii.gz), got '{path.suffix}'; "
                "convert it, for example with nibabel's nib-convert."
            )
        head = head_of(path)
        if head.unpacked != head.data and path.suffix.lower() != ".gz":
            raise BadImageError(
                f"{path}: must end in .nii.gz, for it is compressed NIfTI, got '{path.suffix}'; "
                "rename it."
            )
        pair = pair_of(path)
        path, voxels = (path, path) if pair is None else pair
        if pair is not None:
            _check_pair(path, voxels)
        check_offset(path)
        image = _load(path, **kwargs)
        check_length(path, image, voxels)
        try:
            # A copy: a memory-mapped file that changes under us would change the pixels.
            pixels = np.array(image.dataobj.get_unscaled())
            _check_gzip(voxels, pixels.nbytes)
        except MemoryError as error:
            raise BadImageError(
                f"{path}: must fit into memory, got shape {image.shape}; check its header."
            ) from error
        except DAMAGE_ERRORS as error:
            raise BadImageError(
                f"{path}: must be a complete NIfTI file, got damaged or truncated data; "
                "copy or download it again."
            ) from error
        pixels = holes_of_infinity(path, pixels)
        _check(path, pixels)
        intent = int(image.header["intent_code"])
        rescaling = (float(image.dataobj.slope), float(image.dataobj.inter))
        return NiftiImage(
            path, pixels, source_affine(image), unit_mm(path, image), intent, rescaling
        )

    def get_data(
        self, img: NiftiImage | Sequence[NiftiImage]
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return the raw values channel first and the meta dictionary.

        Args:
            img: what :meth:`read` returned.

        Returns:
            (C, X, Y[, Z]) stored values and the meta of the sample.
        """
        image = img if isinstance(img, NiftiImage) else img[0]
        channels = channels_first(image.pixels)
        spatial = channels.shape[1:]
        is_rgb = image.pixels.dtype.names is not None
        found = valid = groups = None
        if "A" in (image.pixels.dtype.names or ()):
            found, valid, groups = _alpha(channels)
        if self.kind == AUTO:
            found = _meaning(image, channels) or found
        meaning = decided(self.kind, found, image.path, is_rgb)
        turn = natural = None
        if meaning.kind == GRAY:
            natural = natural_bounds(image.intent, len(channels), image.rescaling)
        if meaning.kind == PHASE:
            turn = meaning.turn or nifti_turn(channels, *image.rescaling) or (np.nan, np.nan)
        meta = image_meta(
            files=[image.path],
            sr_format="nifti",
            affine=image.affine,
            spatial_shape=spatial,
            dtype=channels.dtype,
            slice_axis=slice_axis(image.affine, spatial),
            declared=turn,
            valid=valid,
            groups=groups,
            # Of several times the first three channels are of one color.
            is_rgb=is_rgb and len(channels) <= _RGBA,
            unit_mm=image.unit_mm,
            natural=natural,
            meaning=meaning,
        )
        return channels.astype(exact_float(channels.dtype), order="C"), meta


def _meaning(image: NiftiImage, channels: npt.NDArray[Any]) -> Meaning | None:
    names = image.pixels.dtype.names
    if names is None:
        return nifti_meaning(image.path, image.intent, channels, image.rescaling)
    return meaning_of_colors(image.path, channels[: len(channels) // len(names) * 3])


def _alpha(
    channels: npt.NDArray[Any],
) -> tuple[Meaning | None, npt.NDArray[np.bool_] | None, list[int]]:
    """State what alpha, the last quarter of the channels, hides, and that it is no color.

    Returns:
        Which channels hide or show and have nothing between; what is valid, None where alpha is 0
        everywhere, for writers that do not know it; and the groups of like channels.
    """
    first = len(channels) - len(channels) // _RGBA
    alpha = channels[first:]
    valid = np.concatenate([*[alpha != 0] * (_RGBA - 1), np.ones_like(alpha, dtype=bool)])
    is_hard = bool(((alpha == alpha.min()) | (alpha == alpha.max())).all())
    hard = Meaning(GRAY, "alpha of two levels", tuple(range(first, len(channels))))
    groups = [0] * first + [1] * len(alpha)
    return hard if is_hard else None, valid if alpha.any() else None, groups


def channels_first(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Bring a stored array to (C, X, Y[, Z]).

    Shape: (X, Y), (X, Y, Z) or (X, Y, Z, ...) -> (C, X, Y) for a single slice, else
    (C, X, Y, Z). Trailing axes and color fields vary in Fortran order along C.

    Args:
        stored: array in the file's shape; structured dtype for RGB.

    Returns:
        A view or copy of a plain dtype.
    """
    if stored.dtype.names:
        stored = np.stack([stored[name] for name in stored.dtype.names], axis=-1)
        stored = stored.reshape(*stored.shape[:-1], *(1,) * (4 - stored.ndim), stored.shape[-1])
    spatial = (*stored.shape, 1)[:3]
    channels = np.moveaxis(stored.reshape(*spatial, -1, order="F"), -1, 0)
    return channels[..., 0] if spatial[2] == 1 else channels


def stored_layout(
    channels: npt.NDArray[Any], shape: Sequence[int], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Bring (C, X, Y[, Z]) back to the axes and colors of the file; new X, Y, Z are kept.

    Inverse of :func:`channels_first`.

    Args:
        channels: values of a plain dtype.
        shape: shape of the source file.
        dtype: dtype of the source file, structured for RGB.

    Returns:
        An array with as many axes as ``shape``.
    """
    spatial = (*channels.shape[1:], 1)[:3]
    last = np.moveaxis(channels.reshape(-1, *spatial), 0, -1)
    trailing = tuple(shape[3:])
    result: npt.NDArray[Any]
    if dtype.names:
        colors = last.reshape(*spatial, *trailing, len(dtype.names), order="F")
        result = np.empty(colors.shape[:-1], dtype=dtype)
        for index, name in enumerate(dtype.names):
            result[name] = colors[..., index]
    else:
        result = last.astype(dtype, copy=False)
    result = result.reshape(*spatial[: len(shape)], *trailing, order="F")
    return result


def _check_pair(header: Path, voxels: Path) -> None:
    if is_analyze(header):
        raise BadImageError(
            f"{header}: must be NIfTI, got ANALYZE 7.5, which does not say where left and right "
            "are; convert it with a tool that knows them (fslchfiletype, nib-convert)."
        )
    if not voxels.is_file():
        raise BadImageError(
            f"{header}: its voxels must lie beside it, got no {voxels.name}; copy both files."
        )


def _load(path: Path, **kwargs: Any) -> Any:
    try:
        with np.errstate(invalid="ignore"):  # an infinite pixdim is reported by nifti_header
            image: Any = load_nifti(path, **kwargs)
    except DAMAGE_ERRORS as error:
        raise BadImageError(
            f"{path}: must be a NIfTI file, got an unknown or damaged header; "
            "copy or export it again."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):  # all others are subclasses
        raise BadImageError(
            f"{path}: must be a NIfTI image, got {type(image).__name__}; convert it to a volume."
        )
    return image


def _check(path: Path, pixels: npt.NDArray[Any]) -> None:
    if pixels.ndim not in (2, 3, 4, 5):
        raise BadImageError(
            f"{path}: must have 2 to 5 axes, got shape {pixels.shape}; extract an image from it."
        )
    values = pixels[pixels.dtype.names[0]] if pixels.dtype.names else pixels
    if values.dtype.kind not in "iuf" or values.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise BadImageError(
            f"{path}: voxels must be real numbers of at most 64 bits, got {values.dtype}; "
            "convert to float32."
        )
    check_samples(path, values)


def _check_gzip(path: Path, size: int) -> None:
    """Read on to the checksum: nibabel stops before it, and a flipped bit would pass."""
    if path.suffix.lower() != ".gz":
        return
    with reading(path) as packed, gzip.GzipFile(fileobj=packed) as stream:
        # Header and extensions may be long; what follows the voxels does not matter.
        left = size + GZIP_SLACK
        while left > 0 and (block := stream.read(min(left, GZIP_SLACK))):
            left -= len(block)
