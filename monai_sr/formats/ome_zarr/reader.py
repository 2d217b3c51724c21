"""Reads the finest level of an OME-Zarr image as the raw values that it stores."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import ensure_tuple

from monai_sr.core.dtypes import exact_float
from monai_sr.core.errors import BadImageError
from monai_sr.core.memory import check_memory
from monai_sr.core.optional import import_extra
from monai_sr.formats.axes import channels_first
from monai_sr.formats.facts import image_meta
from monai_sr.formats.format import head_of
from monai_sr.formats.meaning import AUTO, LABEL, PHASE, Meaning, decided
from monai_sr.formats.nifti.meaning import meaning_of_colors, nifti_meaning, nifti_turn
from monai_sr.formats.ome_zarr.format import OmeZarr
from monai_sr.formats.ome_zarr.metadata import OmeMetadata, read_metadata
from monai_sr.formats.stored import StoredReader, check_samples, holes_of_infinity
from monai_sr.geometry import slice_axis

if TYPE_CHECKING:
    import numpy.typing as npt

    from monai_sr.core.types import PathLike

_DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zlib.error)


@dataclass(frozen=True)
class OmeImage:
    """An OME-Zarr image in memory; pixels in the order of its axes."""

    metadata: OmeMetadata
    pixels: npt.NDArray[Any]


class OmeZarrReader(StoredReader):
    """Read one OME-Zarr folder as channel-first raw values with its geometry.

    Times and channels become channels, each channel with an intensity mapping of its own. World
    coordinates are those of the image, x, y, z, in its unit, which ``Facts.unit_mm`` states.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.

    Shape: axes t, c, z, y, x -> (t * c, X, Y, Z), of one z (t * c, X, Y); float32, or float64 for
    wide types.
    """

    form = OmeZarr()

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether every path is a folder of OME-Zarr."""
        return all(self.form.claims(head_of(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> OmeImage:
        """Decode the whole of the finest level.

        Args:
            data: one folder.
            **kwargs: options of MONAI's other readers, not used.

        Raises:
            BadImageError: missing, damaged, no image, or values that cannot be used.
            MissingDependencyError: zarr is not installed.
        """
        paths = ensure_tuple(data)
        path = Path(paths[0])
        if len(paths) != 1 or not path.is_dir():
            raise BadImageError(
                f"{path}: must be the folder of one image, got none; check its name."
            )
        metadata = read_metadata(path)
        array = open_level(metadata)
        check_memory(path, array.shape, array.dtype.itemsize + 8)
        check_memory(path, array.chunks, array.dtype.itemsize)
        try:
            stored = np.asarray(array[...])
        except _DAMAGE as error:
            raise BadImageError(
                f"{path}: must hold complete chunks, got a damaged one; copy or download it again."
            ) from error
        pixels = holes_of_infinity(path, stored.astype(array.dtype.newbyteorder("="), copy=False))
        check_samples(path, pixels)
        return OmeImage(metadata, pixels)

    def get_data(
        self, img: OmeImage | Sequence[OmeImage]
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return (C, X, Y[, Z]) stored values and the meta of the sample.

        Args:
            img: what :meth:`read` returned.
        """
        image = img if isinstance(img, OmeImage) else img[0]
        metadata = image.metadata
        channels = channels_first(image.pixels, metadata.space_axes, metadata.other_axes)
        is_rgb = metadata.is_rgb(channels.dtype) and len(channels) == 3
        found = None
        if metadata.is_label:
            found = Meaning(LABEL, "image-label of its metadata")
        elif self.kind == AUTO and is_rgb:
            found = meaning_of_colors(metadata.path, channels)
        elif self.kind == AUTO:
            found = nifti_meaning(metadata.path, 0, channels, (1.0, 0.0))
        meaning = decided(self.kind, found, metadata.path, is_rgb)
        turn = None
        if meaning.kind == PHASE:
            turn = meaning.turn or nifti_turn(channels) or (np.nan, np.nan)
        meta = image_meta(
            files=[metadata.path],
            sr_format=OmeZarr.name,
            affine=metadata.affine,
            spatial_shape=channels.shape[1:],
            dtype=channels.dtype,
            slice_axis=slice_axis(metadata.affine, channels.shape[1:]),
            declared=turn,
            is_rgb=is_rgb,
            unit_mm=metadata.unit_mm,
            groups=None if is_rgb else _groups(image),
            meaning=meaning,
        )
        return channels.astype(exact_float(channels.dtype), order="C"), meta


def open_level(metadata: OmeMetadata) -> Any:
    """Open the array of the finest level.

    Raises:
        BadImageError: it is missing, damaged, or holds no real numbers.
        MissingDependencyError: zarr is not installed.
    """
    zarr = import_extra("zarr", extra="zarr")
    level = str(metadata.multiscale["datasets"][0]["path"])
    try:
        array = zarr.open_array(metadata.path / level, mode="r")
    except _DAMAGE as error:
        raise BadImageError(
            f"{metadata.path}: must hold the array {level}, got none or a damaged one; "
            "copy it again."
        ) from error
    if len(array.shape) != len(metadata.axes):
        raise BadImageError(
            f"{metadata.path}: its array must have {len(metadata.axes)} axes, got shape "
            f"{array.shape}; export it again."
        )
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise BadImageError(
            f"{metadata.path}: values must be real numbers of at most 64 bits, got {array.dtype}; "
            "convert them."
        )
    return array


def _groups(image: OmeImage) -> list[int]:
    """Return for each of the flattened channels the number of its channel: times share one."""
    names = [image.metadata.axes[a]["name"] for a in image.metadata.other_axes]
    sizes = [image.pixels.shape[a] for a in image.metadata.other_axes]
    if "c" not in names:
        return [0] * int(np.prod(sizes, dtype=int))
    found: list[int] = np.indices(sizes)[names.index("c")].ravel().tolist()
    return found
