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


@pytest.mark.parametrize("margin", [None, 0.25])
def test_natural_ends_are_left_no_farther_than_by_the_samples_around(margin):
    lr = torch.rand(2, 1, 9, 8)
    lr[:, :, 7:] += 0.8
    natural = (torch.full((2, 1, 1, 1), 0.1), torch.full((2, 1, 1, 1), 0.9))
    low, high = local_range(lr, margin, natural)
    wide_low, wide_high = local_range(lr, margin)
    least, most = local_range(lr, 0.0)
    assert torch.equal(low, torch.maximum(wide_low, least.clamp(max=0.1)))
    assert torch.equal(high, torch.minimum(wide_high, most.clamp(min=0.9)))
    assert bool(torch.isinf(wide_low).all()) == (margin is None)


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


@pytest.mark.parametrize("sides", [(18, 6), (9, 4, 3)])
@pytest.mark.parametrize("other", [None, 0.5, torch.rand(2, 2, 1, 1), torch.tensor(0.5)])
@pytest.mark.parametrize("is_low", [True, False])
def test_a_local_limit_stands_beside_none_or_one_of_another_kind(sides, other, is_low):
    lr = torch.rand(2, 2, *sides, dtype=torch.float64)
    sr = torch.randn(2, 2, *(2 * side for side in sides), dtype=torch.float64)
    if isinstance(other, torch.Tensor) and other.ndim:
        other = other.reshape(2, 2, *[1] * len(sides))
    given = (lr - 0.1, other) if is_low else (other, lr + 0.1)
    result = back_project(sr, lr, 2, 2, *given)
    infinite = [torch.full_like(lr, end) for end in (-torch.inf, torch.inf)]
    full = [torch.full_like(lr, 0) + (end if one is None else one)
            for one, end in zip(given, infinite, strict=True)]  # fmt: skip
    torch.testing.assert_close(result, back_project(sr, lr, 2, 2, *full))
    with_graph = back_project(sr.clone().requires_grad_(), lr, 2, 2, *given)
    torch.testing.assert_close(result, with_graph.detach())
