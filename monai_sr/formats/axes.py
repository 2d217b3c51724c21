"""Brings arrays from the order of a file's axes to channels first, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def channels_first(
    stored: npt.NDArray[Any], space_axes: Sequence[int], other_axes: Sequence[int]
) -> npt.NDArray[Any]:
    """Bring an array in the order of a file's axes to (C, X, Y[, Z]); one slice makes a 2D image.

    Args:
        stored: the array.
        space_axes: along X, Y and Z.
        other_axes: what becomes channels, the slowest first.
    """
    spatial = [stored.shape[axis] for axis in space_axes]
    flat = spatial[:2] if len(spatial) == 3 and spatial[2] == 1 else spatial
    channels: npt.NDArray[Any] = stored.transpose(*other_axes, *space_axes).reshape(-1, *flat)
    return channels


def stored_layout(
    channels: npt.NDArray[Any],
    space_axes: Sequence[int],
    other_axes: Sequence[int],
    shape: Sequence[int],
) -> npt.NDArray[Any]:
    """Bring (C, X, Y[, Z]) back to the order of the axes; inverse of :func:`channels_first`.

    Args:
        channels: the values.
        space_axes: as there.
        other_axes: likewise.
        shape: of the source's array, for the axes that do not lie in space.
    """
    spatial = (*channels.shape[1:], 1)[: len(space_axes)]
    others = [shape[axis] for axis in other_axes]
    order = np.argsort([*other_axes, *space_axes])
    stored: npt.NDArray[Any] = channels.reshape(*others, *spatial).transpose(order)
    return stored
