"""The local range, against scipy's filters, and back-projection that stays within it."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from monai_sr.functional.back_projection import back_project, local_range


@pytest.mark.parametrize("sides", [(7, 5), (1, 6), (4, 5, 3)])
def test_the_range_is_that_of_the_neighbors_widened(sides):
    lr = torch.rand(2, 3, *sides, dtype=torch.float64)
    low, high = local_range(lr, 0.25)
    images = zip(*(each.flatten(0, 1) for each in (lr, low, high)), strict=True)
    for image, lowest, highest in images:
        least = minimum_filter(image.numpy(), 3, mode="nearest")
        most = maximum_filter(image.numpy(), 3, mode="nearest")
        torch.testing.assert_close(lowest, torch.from_numpy(least - 0.25 * (most - least)))
        torch.testing.assert_close(highest, torch.from_numpy(most + 0.25 * (most - least)))


def test_a_hot_pixel_may_grow_but_its_neighbors_do_not_ring():
    lr = torch.rand(1, 1, 5, 5)
    lr[0, 0, 2, 2] = 1000
    low, high = local_range(lr, 0.5)
    assert float(low.min()) >= -0.5
    assert float(high.max()) == pytest.approx(1500, abs=1)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("sides", [(18, 6), (9, 4, 3)])
def test_back_projection_within_local_limits_equals_its_formula(scale, sides):
    lr = torch.rand(2, 2, *sides, dtype=torch.float64)
    sr = torch.randn(2, 2, *(side * scale for side in sides), dtype=torch.float64)
    low, high = local_range(lr, 0.1)
    result = back_project(sr, lr, scale, 2, low, high)
    with_graph = back_project(sr.clone().requires_grad_(), lr, scale, 2, low, high)
    torch.testing.assert_close(result, with_graph.detach())
    for axis in range(2, lr.ndim):
        low, high = (end.repeat_interleave(scale, axis) for end in (low, high))
    assert bool((result >= low).all())
    assert bool((result <= high).all())
    assert not torch.equal(result, back_project(sr, lr, scale, 2))
