"""How each image of a training run becomes arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.types import PathLike
from monai_sr.engines.degradations import Degradation
from monai_sr.engines.training_images import Source, shown_name
from monai_sr.engines.training_rasters import (
    Area,
    alpha_bands,
    band_groups,
    valid_parts,
    window_of,
)
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.grid import enlarged_axes

# BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class ReadTrainingImage:
    """Read an image for training: 8-bit images stay 8-bit, others become float32 in [0, 1].

    A volume is read as the list of its slices, which share the mapping of the whole volume to
    [0, 1]; slices of one value are left out. A raster of several bands is read as inference feeds
    them: the first three together where they are red, green and blue (or there are four at most),
    every other one by itself. Opacity is left out, and so are areas without valid pixels: a raster
    then gives the list of its valid parts.

    Args:
        channels: 1 (colors become BT.601 luma) or 3 (single bands are repeated).
    """

    def __init__(self, channels: int) -> None:
        if channels not in (1, 3):
            raise OptionError(f"channels: must be 1 or 3, got {channels}")
        self.channels = channels
        self.scale = ScaleToUnit()

    def __call__(self, source: Source | PathLike) -> np.ndarray | list[np.ndarray]:
        """Return (C, H, W), or a list of them: rows first, as benchmarks shrink images.

        Values are uint8 or float32.

        Raises:
            BadImageError: if it is nothing to train on.
        """
        images, _ = self._images(source)
        return images[0] if len(images) == 1 else images

    def shown(self, source: Source | PathLike) -> np.ndarray:
        """Return the one image (C, H, W) that validation looks at.

        It is the middle slice of a volume, the largest part of the first bands of a raster.

        Raises:
            BadImageError: as a call.
        """
        images, shown = self._images(source)
        return images[shown]

    def _images(self, source: Source | PathLike) -> tuple[list[np.ndarray], int]:
        """Return every image of a source, and which of them validation looks at."""
        image = load_image(source.file if isinstance(source, Area) else source)
        facts = image.meta
        is_raster = facts["sr_format"] == "raster" and image.ndim == 3
        if image.ndim not in (3, 4) or (image.shape[0] not in (1, 3, 4) and not is_raster):
            raise BadImageError(
                f"{shown_name(source)}: must be an image or volume of 1, 3 or 4 bands to train on, "
                f"got shape {tuple(image.shape)}; remove it from the folder"
            )
        whole = np.array_equal(np.asarray(facts["sr_declared_range"]), [0, 255])
        is_8bit = str(facts["sr_dtype"]) == "uint8" and whole and not facts["sr_inverted"]
        unit, valid = self.scale(image)
        values = unit.numpy() * 255 if is_8bit else unit.numpy()
        if image.ndim == 3:
            parts = self._raster_parts(source, values, valid.numpy(), facts)
            return [self._bands(part, is_8bit=is_8bit) for part in parts], 0
        (slice_axis,) = set(range(3)) - set(enlarged_axes(facts, 3))
        slices = [
            self._bands(plane[:3], is_8bit=is_8bit)
            for plane in np.moveaxis(values, slice_axis + 1, 0)
            if plane.min() < plane.max()
        ]
        if not slices:
            raise BadImageError(
                f"{shown_name(source)}: must hold more than one value to train on; "
                "remove it from the folder"
            )
        return slices, len(slices) // 2

    @staticmethod
    def _raster_parts(
        source: Source | PathLike, values: np.ndarray, valid: np.ndarray, facts: Mapping[str, Any]
    ) -> list[np.ndarray]:
        """Divide (C, X, Y) into what is learned together; the largest of the first bands first."""
        count = len(values)
        if facts["sr_format"] == "raster":
            count -= alpha_bands(Path(facts["filename_or_obj"]), count)
        elif count == 4:
            count = 3
        groups = band_groups(count, has_colors=bool(facts["sr_rgb"]) or count in (3, 4))
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


class ValidationImages(Dataset):
    """Whole images with their low-resolution versions, for validation while training.

    An item is {"image": (C, H / s, W / s), "label": (C, H, W)}, float32 in [0, 1]. Of a volume it
    is the slice in the middle, see :meth:`ReadTrainingImage.shown`.

    Args:
        data: images, see :func:`list_images`.
        load: see :class:`ReadTrainingImage`.
        scale: factor s.
        degradation: how small images are made, see :mod:`monai_sr.engines.degradations`; bicubic
            where None. What it draws at random is the same for an image at every validation.
        largest_side: larger images are cropped to their center, to bound the time.
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

    def _transform(self, index: int) -> dict[str, Tensor]:
        hr = torch.from_numpy(self.load.shown(self.data[index]))
        sides = [min(side, self.largest_side) // self.scale * self.scale for side in hr.shape[1:]]
        starts = [(side - kept) // 2 for side, kept in zip(hr.shape[1:], sides, strict=True)]
        for axis, (start, kept) in enumerate(zip(starts, sides, strict=True), start=1):
            hr = hr.narrow(axis, start, kept)
        lr = self.degradation.shrink(hr, self.scale)
        if hr.dtype == torch.uint8:
            lr, hr = lr.float() / 255, hr.float() / 255
        return {"image": self.degradation.corrupt(lr[None], torch.tensor([index]))[0], "label": hr}


def of_one_depth(images: list[Tensor]) -> list[Tensor]:
    """Leave 8-bit images as they are, unless deeper ones are among them: all in [0, 1] then."""
    if len({image.dtype for image in images}) == 1:
        return images
    return [image.float() / 255 if image.dtype == torch.uint8 else image for image in images]
