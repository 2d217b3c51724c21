"""Measured pairs: a small image that a scanner or camera took, and a large one of the same scene.

Training then learns that step instead of bicubic reduction: a thin and a thick slice, two sensors,
two doses. A pair is used only where its grids agree: the shift between both is measured, mended
where it is a whole number of pixels of the large image, and told where it is not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from monai_sr.core import BadImageError, OptionError, PathLike
from monai_sr.formats import image_stem
from monai_sr.functional import downsample
from monai_sr.training.training_images import (
    Source,
    first_file,
    list_images,
    match_names,
    shown_name,
)
from monai_sr.training.training_rasters import Area, valid_parts

TOLERANCE_PX = 0.25
"""Remainder of a shift, in pixels of the large image, that is taken for none: measured on natural
images with noise, the estimate is within 0.16 of the truth."""
_SMALLEST_CORRELATION = 0.5
_SMALLEST_SIDE_PX = 16  # of the small image; fewer pixels tell no shift
_PASSES = 4
_STEPS = 20  # of the estimate in a pixel of the large image


class TrainingPair(NamedTuple):
    """A large image, and the small one where it was measured.

    Shape: hr (C, H, W), lr (C, H / s, W / s) or None: uint8, or floating point in [0, 1].
    """

    hr: np.ndarray
    lr: np.ndarray | None = None


class MeasuredImages:
    """The small images of a folder, found by the names of the large ones.

    Names are equal but for the suffix and a mark of the scale, see :func:`match_names`; a DICOM
    series goes by the name of its folder.

    Args:
        folder: holds the small images, maybe in subfolders.
        scales: factors to train; the one that relates both.

    Raises:
        OptionError: if there are no images, or several scales.
    """

    def __init__(self, folder: PathLike, scales: Sequence[int]) -> None:
        if len(scales) != 1:
            raise OptionError(
                f"lr_dir: measured pairs have one scale, got scales {list(scales)}; "
                "name it, --scales '[4]' --scale_weights '[1]'"
            )
        self.folder = Path(folder)
        (self.scale,) = scales
        try:
            self.sources = list_images(self.folder)
        except OptionError as error:
            raise OptionError(str(error).replace("dataset_dir", "lr_dir")) from error
        self._names = [source_name(source) for source in self.sources]

    def partner(self, source: Source | PathLike) -> Source:
        """Return the small image of a large one.

        Raises:
            BadImageError: if there is none, or several.
        """
        large = source if isinstance(source, tuple | Area) else Path(source)
        if isinstance(large, Area):
            raise BadImageError(
                f"{shown_name(source)}: measured pairs cannot be divided by area; leave west, "
                "south, east, north of the split table empty"
            )
        (found,) = match_names([source_name(large)], self._names, self.scale)
        if len(found) != 1:
            count = f"{len(found)} files" if found else "none"
            raise BadImageError(
                f"{shown_name(large)}: must have one partner at x{self.scale} in {self.folder}, "
                f"got {count}; add or remove files"
            )
        return self.sources[found[0]]


def source_name(source: Source) -> str:
    """Return the name by which an image finds its partner."""
    if isinstance(source, tuple):
        return source[0].parent.name
    return image_stem(first_file(source))


def check_sizes(hr: Sequence[int], lr: Sequence[int], scale: int, name: str) -> None:
    """Check that the large image is exactly ``scale`` times the small one.

    Raises:
        BadImageError: if it is not, or the small one is too small to compare.
    """
    if [side * scale for side in lr] != list(hr):
        raise BadImageError(
            f"{name}: must be exactly x{scale} its small image {tuple(lr)}, got {tuple(hr)}; "
            "crop both to the same scene, or name the right --scales"
        )
    if min(lr) < _SMALLEST_SIDE_PX:
        raise BadImageError(
            f"{name}: its small image must have sides of {_SMALLEST_SIDE_PX} pixels or more, got "
            f"{tuple(lr)}; use larger ones"
        )


def measured_shift(hr: npt.NDArray[Any], lr: npt.NDArray[Any], scale: int) -> tuple[float, ...]:
    """Return how far the small image's content lies down and to the right of the large one's.

    Cross-correlation of both, the large one reduced, within a window that fades to its edges.

    Shape: hr (C, s * H, s * W), lr (C, H, W) -> (rows, columns), in pixels of the large image; of
    volumes likewise along three axes.
    """
    found: tuple[float, ...] = (0.0,) * (lr.ndim - 1)
    for _ in range(_PASSES):
        # What is cropped to the same scene first fades at the same places: no pull to zero.
        whole = [round(value) for value in found]
        large, little = _common(hr, lr, whole, scale)
        if min(little.shape[1:]) < _SMALLEST_SIDE_PX:
            break
        rest = _remaining_shift(large, little, scale)
        found = tuple(a + b for a, b in zip(whole, rest, strict=True))
        if whole == [round(value) for value in found]:
            break
    return found


def _remaining_shift(hr: npt.NDArray[Any], lr: npt.NDArray[Any], scale: int) -> list[float]:
    # Imported when used: scikit-image takes a second.
    from skimage.registration import phase_cross_correlation

    shift, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        _windowed(lr.mean(axis=0)),
        _windowed(_reduced(hr, scale)),
        upsample_factor=_STEPS * scale,
        normalization=None,  # whitening would follow the noise
    )
    return [float(value) * scale for value in shift]


def register(
    hr: npt.NDArray[Any],
    lr: npt.NDArray[Any],
    scale: int,
    name: str,
    shift: Sequence[float] | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Crop a pair to the same scene, the grids in line; a ``shift`` of None is measured here.

    Shape: hr (C, s * H, s * W), lr (C, H, W) -> the same with fewer rows and columns; of volumes
    likewise along three axes.

    Raises:
        BadImageError: if the shift is no whole number of pixels of the large image, or leaves
            hardly anything.
    """
    found = measured_shift(hr, lr, scale) if shift is None else shift
    whole = [round(value) for value in found]
    names = ("rows", "columns") if len(found) == 2 else ("along x", "along y", "along z")
    told = ", ".join(f"{value:+.2f} {axis}" for value, axis in zip(found, names, strict=True))
    if max(abs(a - b) for a, b in zip(found, whole, strict=True)) > TOLERANCE_PX:
        raise BadImageError(
            f"{name}: its small image must lie on its grid, or whole pixels beside, got a shift of "
            f"{told} (pixels of the large image); register the pair (resample the large image)"
        )
    large, little = _common(hr, lr, whole, scale)
    if min(little.shape[1:]) < _SMALLEST_SIDE_PX:
        raise BadImageError(
            f"{name}: must show the same scene as its small image, got a shift of {told} "
            "(pixels of the large image); check which files belong together"
        )
    return large, little


def check_likeness(hr: npt.NDArray[Any], lr: npt.NDArray[Any], scale: int, name: str) -> None:
    """Check that a registered pair shows one scene.

    Raises:
        BadImageError: if it does not.
    """
    likeness = _correlation(_reduced(hr, scale), lr.mean(axis=0))
    if likeness < _SMALLEST_CORRELATION:
        raise BadImageError(
            f"{name}: must show the same scene as its small image, got a correlation of "
            f"{likeness:.2f} where both fit best; check which files belong together"
        )


def comparable(
    hr: npt.NDArray[Any], lr: npt.NDArray[Any], scale: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Give what is invalid on either side the mean of the rest, so that only values count.

    Shape: hr (C + 1, s * H, s * W), lr (C + 1, H, W), the last band not 0 where the others are
    valid -> the same without it.
    """
    common = common_valid(hr[-1], lr[-1])
    fine = common.repeat(scale, axis=0).repeat(scale, axis=1)
    pair = []
    for values, valid in ((hr[:-1], fine), (lr[:-1], common)):
        means = [band[valid].mean() if valid.any() else 0.0 for band in values]
        pair.append(np.where(valid, values, np.array(means)[:, None, None]))
    return pair[0], pair[1]


def common_valid(hr: npt.NDArray[Any], lr: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where a small pixel and all of the large image under it are valid.

    Shape: hr (s * H, s * W), lr (H, W) -> (H, W).
    """
    scale = hr.shape[0] // lr.shape[0]
    whole = hr.reshape(lr.shape[0], scale, lr.shape[1], scale).min(axis=(1, 3))
    result: npt.NDArray[np.bool_] = (whole > 0) & (lr > 0)
    return result


def valid_pairs(pair: TrainingPair, valid: npt.NDArray[np.bool_]) -> Iterator[TrainingPair]:
    """Divide a pair into parts whose pixels are valid.

    Shape: pair as :class:`TrainingPair`; valid (H / s, W / s), on the small grid.
    """
    assert pair.lr is not None
    scale = pair.hr.shape[1] // pair.lr.shape[1]
    for part in valid_parts(np.indices(valid.shape), valid):
        (top, left), (bottom, right) = part[:, 0, 0], part[:, -1, -1] + 1
        yield TrainingPair(
            pair.hr[:, top * scale : bottom * scale, left * scale : right * scale],
            pair.lr[:, top:bottom, left:right],
        )


def _common(
    hr: npt.NDArray[Any], lr: npt.NDArray[Any], shift: Sequence[int], scale: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Crop a pair to the scene that both show, for a shift of whole pixels."""
    large, little = [slice(None)], [slice(None)]
    for length, small, moved in zip(hr.shape[1:], lr.shape[1:], shift, strict=True):
        # Content at row r of the large image lies at (r + moved) / scale of the small one.
        first = max(0, -(-moved // scale))
        start = first * scale - moved
        count = max(0, min((length - start) // scale, small - first))
        large.append(slice(start, start + count * scale))
        little.append(slice(first, first + count))
    return hr[tuple(large)], lr[tuple(little)]


def _reduced(hr: npt.NDArray[Any], scale: int) -> npt.NDArray[np.float32]:
    plane = torch.from_numpy(np.ascontiguousarray(hr.mean(axis=0, dtype=np.float32)))
    result: npt.NDArray[np.float32] = downsample(plane, scale, range(plane.ndim)).numpy()
    return result


def _windowed(plane: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    faded = plane.astype(np.float64)
    faded -= faded.mean()
    for axis, side in enumerate(plane.shape):
        shape = [1] * plane.ndim
        shape[axis] = side
        faded *= np.hanning(side + 2)[1:-1].reshape(shape)
    return faded


def _correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    a, b = (np.asarray(each, dtype=np.float64) - each.mean() for each in (a, b))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
