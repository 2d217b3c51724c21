"""Enlarges an image by what its values are: by a network, as codes, as phases, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from monai_sr.core.errors import OptionError
from monai_sr.formats.meaning import CODES, PHASE, kind_of
from monai_sr.transforms.agreement import covering
from monai_sr.transforms.phase import circle_points, joined, mosaic_side, tiles_of, turns_of

Grow = Callable[[Tensor, "dict[str, Any] | None", list[int]], Tensor]

_UNBOUNDED = np.array([-np.inf, np.inf])


def circle_meta(meta: dict[str, Any] | None) -> dict[str, Any]:
    """Return the metadata of phases as those of their cosines and sines."""
    return {**(meta or {}), "sr_clip": _UNBOUNDED, "sr_rgb": 0}


def enlarged_by_kind(
    image: Tensor, meta: dict[str, Any] | None, sizes: Sequence[int], grow: Grow
) -> Tensor:
    """Enlarge a batch.

    Shape: (N, C, X, Y[, Z]) -> (N, C, *sizes).

    Args:
        image: the batch; phases in turns.
        meta: what its images say alike.
        sizes: of the result.
        grow: enlarges a batch of measured values to some sizes.

    Raises:
        OptionError: a mosaic cannot have these sizes.
    """
    if kind_of(meta) in CODES:
        codes: Tensor = covering(image, sizes)
        return codes
    side = mosaic_side(meta)
    if side > 1:
        if any(n % side for n in sizes[:2]):
            raise OptionError(
                f"scale: a mosaic of {side} x {side} images needs sizes that these divide, got "
                f"{sizes[0]} x {sizes[1]}; choose --scale 2, 3 or 4, or convert it (dcm2niix)"
            )
        own = {**(meta or {}), "sr_mosaic": 1}
        clip = np.asarray(own.get("sr_clip", _UNBOUNDED))
        if clip.ndim == 3:  # of each image of a batch
            own["sr_clip"] = np.repeat(clip, side**2, axis=0)
        each = [sizes[0] // side, sizes[1] // side, *sizes[2:]]
        return joined(enlarged_by_kind(tiles_of(image, side), own, each, grow), side)
    if kind_of(meta) == PHASE:
        return turns_of(grow(circle_points(image), circle_meta(meta), list(sizes)))
    return grow(image, meta, list(sizes))
