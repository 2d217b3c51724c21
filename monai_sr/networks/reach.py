"""Receptive fields of networks that work on several grids, in input pixels."""

from __future__ import annotations

from collections.abc import Sequence


def steps(scale: int) -> tuple[int, ...]:
    """Divide an enlargement into whole steps of at most 3: x4 is x2 and x2 again."""
    # A scale that is not offered passes: the base class refuses it with the reason.
    return (2, 2) if scale == 4 else (max(scale, 1),)


def fine_reach(stages: Sequence[tuple[int, int]]) -> int:
    """Return how many coarse pixels aside an enlarged pixel depends on, at most.

    Args:
        stages: from coarse to fine, each enlargement's factor and the reach of the convolutions
            that follow it, in pixels of the finer grid.

    Example:
        >>> fine_reach([(2, 1), (2, 3)])
        2
    """
    reach = 0
    for factor, radius in reversed(stages):
        # The outermost of `factor` pixels in a coarse pixel looks `radius` past its edge.
        reach = -(-(reach + radius) // factor)
    return reach
