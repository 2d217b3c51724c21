"""Receptive fields across grids."""

from __future__ import annotations

import pytest

from monai_sr.networks.blocks import fine_reach, steps


@pytest.mark.parametrize(
    ("stages", "reach"),
    [
        ([], 0),
        ([(2, 0)], 0),
        # Of pixels 0 and 1 in a coarse pixel, 0 looks as far as -1: one coarse pixel aside.
        ([(2, 1)], 1),
        ([(2, 2)], 1),
        ([(2, 3)], 2),
        ([(3, 3)], 1),
        ([(3, 4)], 2),
        # -3 on the x4 grid lies in -2 of the x2 grid, one further is -3, which lies in -2.
        ([(2, 1), (2, 3)], 2),
    ],
)
def test_reach_is_that_of_the_outermost_enlarged_pixel(stages, reach):
    assert fine_reach(stages) == reach


@pytest.mark.parametrize(("scale", "factors"), [(2, (2,)), (3, (3,)), (4, (2, 2))])
def test_only_four_is_enlarged_in_two_steps(scale, factors):
    assert steps(scale) == factors
