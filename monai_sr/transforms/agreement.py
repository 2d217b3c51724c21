"""Measure how well a stored result, shrunk by bicubic, agrees with the image it was made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_sr.formats import CODES, Facts, kind_of
from monai_sr.functional import SliceProfile, blocks, reduce_slices, resize_to
from monai_sr.geometry import covering_samples

_LINES = 8  # of the shrunk image, made at a time
_FARTHEST = (-1.0, 2.0)  # what lies farther outside [0, 1], as hot pixels do, counts as lying here
_ROUNDING = 1e-6  # of a unit: a difference of just one is none of more than one


@dataclass(frozen=True)
class Agreement:
    """What is left of the input in a result: of the worst band, if there are several.

    Attributes:
        lr_psnr: in dB, of the range that [0, 1] stands for; higher is better, infinite where all
            is equal. Values more than one range outside count as one range outside.
        off_share: share of the valid input pixels that differ by more than one unit.
        worst_off: largest difference in units.
        worst_at: its place, (channel, x, y[, z]) from 0 in the input.
        bands: ``lr_psnr`` and ``off_share`` of each band, NaN where nothing was compared.
    """

    lr_psnr: float
    off_share: float
    worst_off: float
    worst_at: tuple[int, ...]
    bands: tuple[tuple[float, float], ...] = ()


class AgreementSums:
    """Adds up the differences of an image part by part.

    Args:
        units: one stored unit of each band, in the units of the values that are compared.
    """

    def __init__(self, units: Sequence[float]) -> None:
        self.units = [float(unit) for unit in units]
        self._sums = np.zeros((len(self.units), 3))  # of squares, of pixels, of those off
        self._worst: tuple[float, tuple[int, ...]] = (-1.0, ())

    def add(
        self,
        channel: int,
        small: Tensor,
        lr: Tensor,
        counted: Tensor,
        origin: Sequence[int] = (0, 0, 0),
    ) -> None:
        """Compare a part of one channel.

        Shape: small, lr and counted (X, Y[, Z]): the shrunk result, the input, and which pixels
        are measurements.

        Args:
            channel: its number.
            small: the result, shrunk.
            lr: the input.
            counted: False for pixels that are left out.
            origin: where the part begins.
        """
        units = (small - lr).abs() * counted / self.units[channel]
        within = (small.clamp(*_FARTHEST) - lr.clamp(*_FARTHEST)) * counted
        total = float((within**2).sum())
        off = int((units > 1 + _ROUNDING).sum())
        self._sums[channel] += (total, int(counted.sum()), off)
        at = int(units.argmax())
        worst = float(units.flatten()[at])
        found = zip(np.unravel_index(at, units.shape), origin, strict=False)
        place = (channel, *(int(i) + first for i, first in found))
        # Of several alike the first, whatever the order of the parts.
        if worst > self._worst[0] or (worst == self._worst[0] and place < self._worst[1]):
            self._worst = (worst, place)

    def agreement(self) -> Agreement:
        """Return what has been found; NaN where nothing was compared."""
        bands = []
        for total, count, off in self._sums.tolist():
            error = total / count if count else math.nan
            lr_psnr = math.inf if error == 0 else -10 * math.log10(error) if count else math.nan
            bands.append((lr_psnr, off / count if count else math.nan))
        if not self._sums[:, 1].any():
            return Agreement(math.nan, math.nan, math.nan, (), tuple(bands))
        values = np.array(bands)
        lr_psnr, off_share = float(np.nanmin(values[:, 0])), float(np.nanmax(values[:, 1]))
        return Agreement(lr_psnr, off_share, *self._worst, tuple(bands))


def stored_agreement(
    stored: Tensor,
    lr: Tensor,
    valid: Tensor | None = None,
    units: Sequence[float] | None = None,
    mappings: Sequence[tuple[float, float]] | None = None,
    slices: tuple[int, SliceProfile] | None = None,
) -> Agreement:
    """Compare a stored result with its input.

    Where an axis of the result is the shorter one, the input is shrunk along it.

    Shape: stored (C, ...) enlarged, any type, lr (C, ...) in [0, 1]; computed channel by channel,
    in float64, to bound memory.

    Args:
        stored: the result.
        lr: the input.
        valid: a mask of lr's shape, empty where all are valid; other pixels are left out.
        units: one stored unit of each band, in the units of ``lr``; 1 where None.
        mappings: for each band the factor and offset that bring ``stored`` to [0, 1]. They are
            applied to the shrunk result: the weights of resizing add up to one.
        slices: spatial axis along which the result is shrunk by a profile, not by bicubic.
    """
    sums = AgreementSums([1.0] * len(lr) if units is None else units)
    if valid is None or not valid.numel():
        valid = torch.ones(1, dtype=torch.bool).expand(lr.shape)
    dims = range(lr.ndim - 1)
    mappings = [(1.0, 0.0)] * len(lr) if mappings is None else mappings
    common = [min(*pair) for pair in zip(stored.shape[1:], lr.shape[1:], strict=True)]
    for channel, (channel_sr, channel_lr, seen) in enumerate(zip(stored, lr, valid, strict=True)):
        small, small_lr = (
            _resized(image, common, dims, slices) for image in (channel_sr, channel_lr)
        )
        factor, offset = mappings[channel]
        sums.add(channel, small * factor + offset, small_lr, covering(seen, common))
    found = sums.agreement()
    channel, *place = found.worst_at
    sizes = zip(place, lr.shape[1:], common, strict=True)
    return replace(found, worst_at=(channel, *(i * n // m for i, n, m in sizes)))


def slices_of(meta: Mapping[str, Any]) -> tuple[int, SliceProfile] | None:
    """Return slice axis and profile of a result whose slices were made thinner, None of others."""
    facts = Facts(meta)
    if not facts.slices:
        return None
    return facts.slice_axis, SliceProfile(**json.loads(facts.slices)["profile"])


def _resized(
    image: Tensor,
    sizes: Sequence[int],
    dims: Sequence[int],
    slices: tuple[int, SliceProfile] | None,
) -> Tensor:
    """Resize in float64, without the whole image in float64 where its first axis shrinks."""
    if slices is not None and sizes[slices[0]] < image.shape[slices[0]]:
        image = reduce_slices(image.double(), sizes[slices[0]], *slices)
    given, wanted = image.shape[0], sizes[0]
    if wanted < given:
        narrow = torch.empty(wanted, *image.shape[1:], dtype=torch.float64)
        for out, source, matrix in blocks(given, wanted / given, _LINES, narrow):
            torch.mm(matrix, image[source].flatten(1).double(), out=narrow.flatten(1)[out])
        image = narrow
    return resize_to(image.double(), sizes, dims)


def covering(plane: Any, sizes: Sequence[int]) -> Any:
    """Give each sample of a grid of other sizes the value of the sample that covers its center.

    Shape: plane (X, Y[, Z]) or with leading axes; tensor or array -> trailing axes of ``sizes``.
    """
    first = plane.ndim - len(sizes)
    for axis, size in enumerate(sizes, first):
        length = plane.shape[axis]
        if length != size:
            index = [slice(None)] * axis + [covering_samples(length, size)]
            plane = plane[tuple(index)]
    return plane


def are_codes(meta: Mapping[str, Any]) -> bool:
    """Tell whether all values of an image, or of a batch, are codes."""
    return kind_of(meta) in CODES


def code_bands(meta: Mapping[str, Any]) -> list[int]:
    """Return the bands that are codes in an image whose others are not."""
    return [int(band) for band in Facts(meta).code_bands.ravel()]


def as_unit(stored: Tensor, meta: dict[str, Any]) -> MetaTensor:
    """Pass codes on as they are; ``meta`` gains what a mapping by (0, 1) would leave."""
    Facts(meta).range = np.array([[0.0, 1.0]])
    Facts(meta).clip = np.asarray(Facts(meta).storable, dtype=np.float64).copy()
    return MetaTensor(stored, meta=meta)


def stored_codes(pred: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Return enlarged codes in the file's data type."""
    codes: np.ndarray = pred.detach().cpu().numpy().astype(Facts(meta).dtype)
    return codes


def code_agreement(stored: np.ndarray, lr: Tensor) -> Agreement:
    """Compare codes with those they were made from, at the centers of the coarser grid.

    Shape: stored (C, ...) enlarged, lr (C, ...).

    Returns:
        The share of samples that differ; LR-PSNR is infinite where none does, else NaN: codes have
        no distance.
    """
    common = [min(*pair) for pair in zip(stored.shape[1:], lr.shape[1:], strict=True)]
    small, given = covering(stored, common), covering(lr.cpu().numpy(), common)
    differs = (small != given) & ~(np.isnan(small) & np.isnan(given))
    if not differs.any():
        bands = ((math.inf, 0.0),) * len(stored)
        return Agreement(math.inf, 0.0, 0.0, (0,) * stored.ndim, bands)
    place = tuple(int(i) for i in np.argwhere(differs)[0])
    shares = tuple((math.nan, float(band.mean())) for band in differs)
    return Agreement(math.nan, max(share for _, share in shares), math.nan, place, shares)
