"""Enlarge parts of images whose truth is known, in eight views: errors, spreads and readings.

What benchmarks/fit_uncertainty.py and benchmarks/fit_widening.py fit on, and benchmarks/coverage.py
judges. The input is read whole, as users' inputs are; the network runs on its middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from campaign_jobs import robust_job, split_of
from torch import Tensor

from monai_sr import SuperResolver
from monai_sr.inferers import SelfEnsembleInferer
from monai_sr.training import BicubicDegradation, ReadTrainingImage
from monai_sr.training.training_images import Source
from monai_sr.transforms import Reading, Widening, read_input

LEVELS = 255
SIDE_PX = 128
"""Side of what the network makes of each image."""
_BORDER_PX = 2  # of the small part: what the network did not see lies beside it
_WHOLE_PX = 1024  # side of the large image that is read
_SLICES = 8  # of a volume, every so many
_EMPTY = 0.02  # standard deviation under which a slice shows nothing
_LEAST_VALIDATION = 24  # images; with fewer, training images are taken, too

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A part of an image.

    Shape: error, spread, result (C, X, Y).

    Attributes:
        error: absolute difference to the truth, in [0, 1].
        spread: standard deviation of eight views.
        result: their mean.
        reading: of the whole small image.
        scale: of the enlargement.
    """

    error: Array
    spread: Array
    result: Array
    reading: Reading
    scale: int

    def half_width(self, factor: float, widening: Widening) -> Array:
        """Return the interval that users get."""
        plain = widening.plain(factor, self.spread)
        return np.asarray(widening(plain, self.result, self.reading, self.scale))

    def covered(self, factor: float, widening: Widening) -> npt.NDArray[np.bool_]:
        """Tell which values lie within it."""
        return np.asarray(self.error <= self.half_width(factor, widening))


def sources_of(bundle: str, data: Path) -> list[Source]:
    """Return the images that a bundle's campaign validates on, and some others where these are few.

    None is of a benchmark.

    Args:
        bundle: its name.
        data: folder of all images.
    """
    train, validation = split_of(robust_job(bundle), data)
    missing = max(_LEAST_VALIDATION - len(validation), 0)
    return [*validation, *evenly(train, missing)]


def drawn_images(sources: Sequence[Source], channels: int, count: int) -> list[Tensor]:
    """Return so many images of sources, evenly drawn; see :func:`images_of`."""
    chosen = evenly(sources, count)
    return evenly([image for source in chosen for image in images_of(source, channels)], count)


def images_of(source: Source, channels: int) -> Iterator[Tensor]:
    """Yield an image, or some slices of a volume, (C, H, W) uint8 or float32 in [0, 1]."""
    found = ReadTrainingImage(channels)(source)
    images = found[_SLICES // 2 :: _SLICES] or found if isinstance(found, list) else [found]
    for image in images:
        large = LEVELS if image.dtype == np.uint8 else 1
        if image.std() > _EMPTY * large:
            yield torch.from_numpy(_middle(image, _WHOLE_PX).copy())


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """Return so many items, evenly drawn."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def small(image: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Return an image made small by bicubic reduction, and itself, float32 in [0, 1]."""
    lr, hr = BicubicDegradation().shrink(image, scale).float(), image.float()
    return (lr / LEVELS, hr / LEVELS) if image.dtype == torch.uint8 else (lr, hr)


@torch.inference_mode()
def take_sample(resolver: SuperResolver, lr: Tensor, hr: Tensor) -> Sample:
    """Enlarge the middle of a small image.

    Shape: lr (C, h, w), hr (C, h * scale, w * scale), in [0, 1].
    """
    inferer, scale = resolver.inferer, int(resolver.scale)
    if not isinstance(inferer, SelfEnsembleInferer):
        raise TypeError("the bundle's inferer must be SelfEnsembleInferer")
    side = SIDE_PX // scale
    top, left = (max(length - side, 0) // 2 for length in lr.shape[1:])
    part = lr[:, top : top + side, left : left + side]
    mean, spread = inferer.mean_and_spread(part[None].float(), resolver.network)
    rows, columns = part.shape[1:]
    large = hr[:, scale * top : scale * (top + rows), scale * left : scale * (left + columns)]
    border = scale * _BORDER_PX
    inner = (slice(None), slice(border, -border), slice(border, -border))
    result = mean[0].double().clamp(0, 1)[inner]
    return Sample(
        (result - large.double()[inner]).abs().numpy(),
        spread[0].double()[inner].numpy(),
        result.numpy(),
        read_input(lr.double().numpy()),
        scale,
    )


def _middle(image: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    sides = [min(side, n) // 4 * 4 for n in image.shape[1:]]
    top, left = ((n - part) // 2 for n, part in zip(image.shape[1:], sides, strict=True))
    return image[:, top : top + sides[0], left : left + sides[1]]
