"""How each image of a training run becomes arrays."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset, MetaTensor
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, PathLike
from monai_sr.formats import AUTO, COLOR, GRAY, Facts, check_asked, format_of_meta, kind_of
from monai_sr.training.degradations import Degradation
from monai_sr.training.measured_pairs import (
    MeasuredImages,
    TrainingPair,
    check_likeness,
    check_sizes,
    common_valid,
    comparable,
    measured_shift,
    register,
    valid_pairs,
)
from monai_sr.training.training_images import Source, shown_name, try_read
from monai_sr.training.training_rasters import (
    Area,
    alpha_bands,
    band_groups,
    valid_parts,
    window_of,
)
from monai_sr.transforms import (
    ScaleToUnit,
    code_bands,
    declared_range,
    enlarged_axes,
    load_image,
)

_SMALLEST_SIDE_PX = 3  # of small images: metrics leave out one of their pixels at each border
# BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


Loaded = np.ndarray | TrainingPair
"""An image (C, H, W), with its small one where that was measured."""


class ReadTrainingImage:
    """Read an image for training: 8-bit images stay 8-bit, others become float32 in [0, 1].

    A volume is read as the list of its slices, which share the mapping of the whole volume to
    [0, 1]; slices of one value are left out. A raster of several bands is read as inference feeds
    them: the first three together where they are red, green and blue (or there are four at most),
    every other one by itself. Opacity is left out, and so are bands of codes and areas without
    valid pixels: a raster then gives the list of its valid parts.

    With ``lr_dir`` an image comes as a :class:`TrainingPair` with its measured small one, in line
    with it. Where no range is declared, that of the small image maps both to [0, 1], as at
    inference, when it alone is there.

    Args:
        channels: 1 (colors become BT.601 luma) or 3 (single bands are repeated).
        lr_dir: folder of measured small images of the same names; None: they are made.
        scales: with ``lr_dir``, the one factor between both.
        kind: what values mean: by each file, or "intensity", see :func:`load_amounts`.
    """

    def __init__(
        self,
        channels: int,
        lr_dir: PathLike | None = None,
        scales: Sequence[int] = (),
        kind: str = AUTO,
    ) -> None:
        if channels not in (1, 3):
            raise OptionError(f"channels: must be 1 or 3, got {channels}")
        check_asked(kind)
        self.channels = channels
        self.kind = kind
        self.scale = ScaleToUnit()
        self.measured = None if lr_dir is None else MeasuredImages(lr_dir, scales)

    def __call__(self, source: Source | PathLike) -> Loaded | list[Loaded]:
        """Return (C, H, W), or a list of them: rows first, as benchmarks shrink images.

        Values are uint8 or float32.

        Raises:
            BadImageError: if it is nothing to train on, or not in line with its small image.
        """
        images, _ = self._images(source)
        return images[0] if len(images) == 1 else images

    def shown(self, source: Source | PathLike) -> Loaded:
        """Return the one image (C, H, W) that validation looks at.

        It is the middle slice of a volume, the largest part of the first bands of a raster.

        Raises:
            BadImageError: as a call.
        """
        images, shown = self._images(source)
        return images[shown]

    def _images(self, source: Source | PathLike) -> tuple[list[Loaded], int]:
        """Return every image of a source, and which of them validation looks at."""
        image = self._load(source)
        if self.measured is not None:
            return self._measured(source, image, self.measured)
        unit, valid = self.scale(image)
        is_8bit = _is_8bit(image)
        values = unit.numpy() * 255 if is_8bit else unit.numpy()
        if image.ndim == 3:
            parts = self._raster_parts(source, values, valid.numpy(), image.meta)
            return [self._bands(part, is_8bit=is_8bit) for part in parts], 0
        slices: list[Loaded] = [
            self._bands(plane[:3], is_8bit=is_8bit)
            for plane in _slices(image, values)
            if plane.min() < plane.max()
        ]
        if not slices:
            raise BadImageError(
                f"{shown_name(source)}: must hold more than one value to train on; "
                "remove it from the folder"
            )
        return slices, len(slices) // 2

    def _load(self, source: Source | PathLike) -> MetaTensor:
        image = load_amounts(source, self.kind)
        has_bands = format_of_meta(image.meta).has_bands and image.ndim == 3
        is_one = image.shape[0] == 1 or Facts(image.meta).is_rgb or has_bands
        if image.ndim not in (3, 4) or not is_one:  # three time points are no red, green and blue
            raise BadImageError(
                f"{shown_name(source)}: must be an image or volume of one value or a color a pixel "
                f"to train on, got shape {tuple(image.shape)}; remove it from the folder"
            )
        return image

    def _measured(
        self, source: Source | PathLike, image: MetaTensor, measured: MeasuredImages
    ) -> tuple[list[Loaded], int]:
        """Return the pairs of a large image and its small one."""
        name, partner = shown_name(source), measured.partner(source)
        small = self._load(partner)
        if image.ndim != small.ndim or image.shape[0] != small.shape[0]:
            raise BadImageError(
                f"{name}: must have the bands and axes of its small image {tuple(small.shape)}, "
                f"got {tuple(image.shape)}; convert one of them"
            )
        is_8bit = _is_8bit(image) and _is_8bit(small)
        low, low_valid = self.scale(small)
        shared = None if declared_range(image.meta) else Facts(low.meta).range.tolist()
        high, high_valid = ScaleToUnit(shared)(image)
        planes = []
        for values, valid, of in ((high, high_valid, image), (low, low_valid, small)):
            mask = valid if valid.numel() else torch.ones(values.shape, dtype=torch.bool)
            stacked = torch.cat([values, mask.all(dim=0, keepdim=True).to(values)])
            parts = [stacked.numpy()] if image.ndim == 3 else _slices(of, stacked.numpy())
            planes.append([part.swapaxes(1, 2) for part in parts])
        if len(planes[0]) != len(planes[1]):
            raise BadImageError(
                f"{name}: must have the {len(planes[1])} slices of its small image, got "
                f"{len(planes[0])}; slices are enlarged, not their distance"
            )
        middle = len(planes[0]) // 2
        large_shape, small_shape = (side[0].shape[1:] for side in planes)
        check_sizes(large_shape, small_shape, measured.scale, name)
        scale = measured.scale
        shift = measured_shift(*comparable(planes[0][middle], planes[1][middle], scale), scale)
        pairs: list[Loaded] = []
        shown = 0
        for place, (hr, lr) in enumerate(zip(*planes, strict=True)):
            if hr[:-1].min() == hr[:-1].max() or lr[:-1].min() == lr[:-1].max():
                continue
            hr, lr = register(hr, lr, scale, name, shift)
            if place == middle:
                check_likeness(*comparable(hr, lr, scale), scale, name)
            shown = len(pairs) if place <= middle else shown
            pairs += self._valid_pairs(hr, lr, image, is_8bit=is_8bit)
        if not pairs:
            raise BadImageError(f"{name}: must hold valid pixels side by side; remove it")
        return pairs, min(shown, len(pairs) - 1)

    def _valid_pairs(
        self, hr: np.ndarray, lr: np.ndarray, image: MetaTensor, *, is_8bit: bool
    ) -> Iterator[TrainingPair]:
        """Divide a pair, whose last band tells what is valid, as inference feeds its bands."""
        count = len(hr) - 1 if format_of_meta(image.meta).has_bands else min(len(hr) - 1, 3)
        factor = 255 if is_8bit else 1
        for group in _learned_groups(image.meta, count):
            bands = [
                self._bands((side[group] * factor).swapaxes(1, 2), is_8bit=is_8bit)
                for side in (hr, lr)
            ]
            yield from valid_pairs(TrainingPair(*bands), common_valid(hr[-1], lr[-1]))

    @staticmethod
    def _raster_parts(
        source: Source | PathLike, values: np.ndarray, valid: np.ndarray, facts: Mapping[str, Any]
    ) -> list[np.ndarray]:
        """Divide (C, X, Y) into what is learned together; the largest of the first bands first."""
        count = len(values)
        if format_of_meta(facts).has_bands:
            count -= alpha_bands(Path(facts["filename_or_obj"]), count)
        elif count == 4:
            count = 3
        groups = _learned_groups(facts, count)
        valid = valid if valid.size else np.ones(values.shape, dtype=bool)
        if isinstance(source, Area):
            columns, rows = window_of(source, facts["affine"], values.shape[1:])
            values, valid = values[:, columns, rows], valid[:, columns, rows]
        parts: list[np.ndarray] = []
        for group in groups:
            found = valid_parts(values[group], np.all(valid[group], axis=0))
            parts += sorted(found, key=lambda part: -part.size)
        if not parts:
            raise BadImageError(
                f"{shown_name(source)}: must hold valid pixels side by side to train on; "
                "remove it from the folder"
            )
        return parts

    def _bands(self, values: np.ndarray, *, is_8bit: bool) -> np.ndarray:
        """Bring (C, X, Y) to rows first and to the number of channels."""
        values = values.swapaxes(1, 2)
        if self.channels == 1 and values.shape[0] == 3:
            values = np.tensordot(_LUMA, values, axes=1)[None]
        if self.channels == 3 and values.shape[0] == 1:
            values = np.repeat(values, 3, axis=0)
        return np.rint(values).astype(np.uint8) if is_8bit else values.astype(np.float32)


def load_amounts(source: Source | PathLike, kind: str = AUTO) -> MetaTensor:
    """Read an image to learn from: gray values or colors, not labels, phases or the like.

    Args:
        source: what to read.
        kind: what values mean: by each file as at inference, or "intensity".

    Raises:
        BadImageError: if it cannot be read, or holds something else.
    """
    image = load_image(source.file if isinstance(source, Area) else source, kind)
    if (found := kind_of(image.meta)) not in (GRAY, COLOR):
        raise BadImageError(
            f"{shown_name(source)}: must hold gray values or colors to train on, got {found} "
            f"({Facts(image.meta).kind_reason}); remove it, or set read#kind to intensity"
        )
    return image


def _learned_groups(facts: Mapping[str, Any], count: int) -> list[slice]:
    """Return the bands that are learned together; those of codes are in none."""
    codes = set(code_bands(facts))
    groups = band_groups(count, has_colors=Facts(facts).is_rgb or (count in (3, 4) and not codes))
    return [each for each in groups if codes.isdisjoint(range(each.start, each.stop))]


class ValidationImages(Dataset):
    """Whole images with their low-resolution versions, for validation while training.

    An item is {"image": (C, H / s, W / s), "label": (C, H, W)}, float32 in [0, 1]. Of a volume it
    is the slice in the middle, see :meth:`ReadTrainingImage.shown`. What cannot be read, is of one
    value or too small to be measured is named in the log and left out, before a run begins.

    Args:
        data: images, see :func:`list_images`.
        load: see :class:`ReadTrainingImage`.
        scale: factor s.
        degradation: how small images are made, see :mod:`monai_sr.training.degradations`; bicubic
            where None. What it draws at random is the same for an image at every validation.
        largest_side: larger images are cropped to their center, to bound the time.

    Raises:
        BadImageError: if there are images, and none can be used.
    """

    def __init__(
        self,
        data: Sequence[Source],
        load: ReadTrainingImage,
        scale: int,
        *,
        degradation: Degradation | None = None,
        largest_side: int = 768,
    ) -> None:
        super().__init__(list(data), None)
        self.load = load
        self.scale = scale
        self.degradation = degradation or Degradation()
        self.largest_side = largest_side
        kept = [file for file in data if try_read(partial(self._pair, file)) is not None]
        if data and not kept:
            raise BadImageError(
                f"{shown_name(data[0])}: none of {len(data)} validation images can be used, each "
                "is named above; name another --validation_dir"
            )
        self.data = kept

    def _pair(self, source: Source) -> TrainingPair:
        """Return the part of an image that is looked at, with its small one where measured."""
        shown = self.load.shown(source)
        pair = shown if isinstance(shown, TrainingPair) else TrainingPair(shown)
        kept = [min(side, self.largest_side) // self.scale for side in pair.hr.shape[1:]]
        large, small = [slice(None)], [slice(None)]
        for side, count in zip(pair.hr.shape[1:], kept, strict=True):
            start = (side - count * self.scale) // 2
            if pair.lr is not None:
                start = (side // self.scale - count) // 2 * self.scale
            large.append(slice(start, start + count * self.scale))
            small.append(slice(start // self.scale, start // self.scale + count))
        hr = pair.hr[tuple(large)]
        if min(kept) < _SMALLEST_SIDE_PX or hr.min() == hr.max():
            seen = hr if hr.size else pair.hr
            raise BadImageError(
                f"{shown_name(source)}: must show more than one value in its middle, on sides of "
                f"{_SMALLEST_SIDE_PX * self.scale} pixels or more, to validate on, got "
                f"{seen.min():g} to {seen.max():g} on {seen.shape[1:]}; remove it"
            )
        return TrainingPair(hr, None if pair.lr is None else pair.lr[tuple(small)])

    def _transform(self, index: int) -> dict[str, Tensor]:
        pair = self._pair(self.data[index])
        hr = torch.from_numpy(pair.hr)
        measured = None if pair.lr is None else torch.from_numpy(pair.lr)
        lr = self.degradation.shrink(hr, self.scale) if measured is None else measured
        if hr.dtype == torch.uint8:
            lr, hr = lr.float() / 255, hr.float() / 255
        return {"image": self.degradation.corrupt(lr[None], torch.tensor([index]))[0], "label": hr}


def _is_8bit(image: MetaTensor) -> bool:
    """Tell whether all values of a byte count from 0 to 1."""
    whole = np.array_equal(Facts(image.meta).declared_range, [0, 255])
    return Facts(image.meta).dtype == "uint8" and whole and not Facts(image.meta).is_inverted


def _slices(image: MetaTensor, values: np.ndarray) -> list[np.ndarray]:
    """Return the slices (C, X, Y) that inference enlarges in a volume."""
    (slice_axis,) = set(range(3)) - set(enlarged_axes(image.meta, 3))
    return list(np.moveaxis(values, slice_axis + 1, 0))


def of_one_depth(images: list[Tensor]) -> list[Tensor]:
    """Leave 8-bit images as they are, unless deeper ones are among them: all in [0, 1] then."""
    if len({image.dtype for image in images}) == 1:
        return images
    return [image.float() / 255 if image.dtype == torch.uint8 else image for image in images]
