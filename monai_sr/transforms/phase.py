"""Phases as points on a circle, mosaics as the images they are made of, and their agreement.

A phase has no value between its two ends, which are one: what is enlarged are cosine and sine. A
mosaic has no neighbors across the edges of its tiles.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_sr.formats import PHASE, Facts, kind_of
from monai_sr.functional import resize_to
from monai_sr.transforms.agreement import (
    Agreement,
    AgreementSums,
    code_bands,
    covering,
    slices_of,
    stored_agreement,
)


def circle_points(turns: Tensor) -> Tensor:
    """Return cosine and sine of phases, in [0, 1].

    Shape: (N, C, ...) in turns -> (N, 2 * C, ...), all cosines first.
    """
    angle = turns * (2 * math.pi)
    return torch.cat([angle.cos(), angle.sin()], dim=1) / 2 + 0.5


def turns_of(points: Tensor) -> Tensor:
    """Return the phases of points near the circle, in [0, 1): inverse of :func:`circle_points`."""
    cosine, sine = (points - 0.5).chunk(2, dim=1)
    return torch.remainder(torch.atan2(sine, cosine) / (2 * math.pi), 1.0)


def begin_anew(stored: np.ndarray, turns: np.ndarray) -> None:
    """Write the end of a turn, to which rounding may lead, as its begin: in place.

    Args:
        stored: values of phases, (C, ...).
        turns: begin and end of each band, or of all: (C, 2) or (1, 2).
    """
    pairs = np.broadcast_to(turns.reshape(-1, 2), (len(stored), 2)).tolist()
    for band, (begin, end) in zip(stored, pairs, strict=True):
        band[band >= end] = begin if stored.dtype.kind == "f" else round(begin)


def half_turn_apart(first: Tensor, second: Tensor) -> Tensor:
    """Return by how much phases in turns differ, from -0.5 to 0.5."""
    return torch.remainder(first - second + 0.5, 1.0) - 0.5


def tiles_of(mosaic: Tensor, side: int) -> Tensor:
    """Cut a mosaic into the images that it is made of.

    Shape: (N, C, X, Y[, Z]) -> (N * side * side, C, X / side, Y / side[, Z]).
    """
    n, c, x, y, *rest = mosaic.shape
    cut = mosaic.reshape(n, c, side, x // side, side, y // side, *rest)
    cut = cut.movedim((2, 4), (1, 2))
    return cut.reshape(n * side * side, c, x // side, y // side, *rest)


def joined(tiles: Tensor, side: int) -> Tensor:
    """Put a mosaic together: inverse of :func:`tiles_of`."""
    n, c, x, y, *rest = tiles.shape
    parts = tiles.reshape(n // side**2, side, side, c, x, y, *rest).movedim((1, 2), (2, 4))
    return parts.reshape(n // side**2, c, side * x, side * y, *rest)


def agreement_by_kind(
    stored: Tensor,
    lr: Tensor,
    valid: Tensor | None,
    units: Sequence[float],
    mappings: Sequence[tuple[float, float]],
    meta: Mapping[str, Any],
) -> Agreement:
    """Compare a result with its input as :func:`stored_agreement` does, by what its values are.

    Args:
        stored: the result.
        lr: the input.
        valid: mask of the input, empty where all are valid.
        units: one stored unit of each band, in the units of ``lr``.
        mappings: for each band the factor and offset that bring ``stored`` to [0, 1].
        meta: of the result.
    """
    if kind_of(meta) == PHASE:
        return _phase_agreement(stored, lr, valid, units, mappings)
    side, codes = Facts(meta).mosaic, code_bands(meta)
    if codes:
        is_known = valid is not None and valid.numel()
        valid = valid.clone() if valid is not None and is_known else torch.ones_like(lr).bool()
        valid[codes] = False
    if side == 1:
        return stored_agreement(stored, lr, valid, units, mappings, slices_of(meta))
    # Tiles take the place of channels: none is resized together with its neighbors.
    masks = [] if valid is None or not valid.numel() else [valid]
    large, small, *seen = (
        tiles_of(image[None], side).flatten(0, 1) for image in (stored, lr, *masks)
    )
    found = stored_agreement(
        large, small, next(iter(seen), None), [*units] * side**2, [*mappings] * side**2,
        slices_of(meta),
    )  # fmt: skip
    if not found.worst_at:
        return found
    index, x, y, *rest = found.worst_at
    tile, channel = divmod(index, len(lr))
    column, row = divmod(tile, side)
    width, height = small.shape[1:3]
    each = np.array(found.bands).reshape(side**2, len(lr), 2)
    worst = zip(np.nanmin(each[..., 0], axis=0), np.nanmax(each[..., 1], axis=0), strict=True)
    return replace(
        found,
        worst_at=(channel, x + column * width, y + row * height, *rest),
        bands=tuple((float(psnr), float(share)) for psnr, share in worst),
    )


def _phase_agreement(
    stored: Tensor,
    lr: Tensor,
    valid: Tensor | None,
    units: Sequence[float],
    mappings: Sequence[tuple[float, float]],
) -> Agreement:
    """Compare phases by cosine and sine, at most half a turn apart."""
    sums = AgreementSums(units)
    common = [min(*pair) for pair in zip(stored.shape[1:], lr.shape[1:], strict=True)]
    dims = range(2, lr.ndim + 1)
    for channel, (large, small) in enumerate(zip(stored, lr, strict=True)):
        factor, offset = mappings[channel]
        turns = (large.double() * factor + offset)[None, None]
        shrunk, given = (
            turns_of(resize_to(circle_points(image), common, dims))[0, 0]
            for image in (turns, small.double()[None, None])
        )
        difference = half_turn_apart(shrunk, given)
        seen = torch.ones(1, dtype=torch.bool).expand(small.shape)
        if valid is not None and valid.numel():
            seen = valid[channel]
        sums.add(channel, difference, torch.zeros_like(difference), covering(seen, common))
    return sums.agreement()
