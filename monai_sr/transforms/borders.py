"""What runs around the corners of an image: rotated scenes leave wedges of one value there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_LEAST_PX, _LEAST_SHARE = 4, 0.01  # of a run: pixels, and of the whole border


class Border:
    """Collects the outermost pixels of an image, part by part.

    Args:
        shape: (C, X, Y) of the image.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        channels, self._width, self._height = shape
        sizes = (self._width, self._height) * 2
        self._sides = [np.full((channels, size), np.nan) for size in sizes]

    def add(self, stored: np.ndarray, valid: np.ndarray, x: slice, y: slice) -> None:
        """Take what a part has of the border.

        Shape: stored and valid (C, x, y).
        """
        top, right, bottom, left = self._sides
        lines: list[tuple[bool, Any, Any]] = [
            (y.start == 0, top[:, x], np.s_[:, :, 0]),
            (x.stop == self._width, right[:, y], np.s_[:, -1]),
            (y.stop == self._height, bottom[:, x], np.s_[:, :, -1]),
            (x.start == 0, left[:, y], np.s_[:, 0]),
        ]
        for is_outermost, side, line in lines:
            if is_outermost:
                side[:] = np.where(valid[line], stored[line], np.nan)

    def corners(self) -> list[tuple[tuple[float, float], ...]]:
        """Return for each channel the values that run around a corner.

        With each comes how far off, on average, the pixels beyond the ends of its runs are.
        """
        top, right, bottom, left = self._sides
        ring = np.hstack(
            [top[:, :-1], right[:, :-1], bottom[:, :0:-1], left[:, :0:-1]]
        )  # clockwise, each corner once
        return [_corner_values(line, self._width - 1, self._height - 1) for line in ring]


def _corner_values(ring: np.ndarray, width: int, height: int) -> tuple[tuple[float, float], ...]:
    least = max(_LEAST_PX, math.ceil(_LEAST_SHARE * ring.size))
    found: dict[float, list[float]] = {}
    for corner in (0, width, width + height, 2 * width + height):
        turned = np.roll(ring, -corner)
        others = np.flatnonzero(turned != turned[:1])  # NaN differs from itself
        if not others.size or others[0] + ring.size - 1 - others[-1] < least:
            continue
        jumps = np.abs(turned[others[[0, -1]]] - turned[0])
        found.setdefault(float(turned[0]), []).extend(jumps[np.isfinite(jumps)].tolist())
    return tuple((value, sum(jumps) / len(jumps)) for value, jumps in found.items() if jumps)
