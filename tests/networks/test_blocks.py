"""Bicubic enlargement as one convolution."""

from __future__ import annotations

import pytest
import torch

from monai_sr.functional.resize import upsample
from monai_sr.networks.blocks import Interpolation, Limited


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_interpolation_equals_resizing_but_for_the_outermost_pixels(scale, dims):
    image = torch.rand(2, 3, *(6, 7, 5)[:dims])
    inner = (..., *[slice(2 * scale, -2 * scale)] * dims)
    expected = upsample(image, scale, range(2, 2 + dims))
    torch.testing.assert_close(Interpolation(dims, scale)(image)[inner], expected[inner])


def test_constant_stays_constant_up_to_the_edge():
    image = torch.full((1, 1, 3, 1), 0.7)
    torch.testing.assert_close(Interpolation(2, 4)(image), torch.full((1, 1, 12, 4), 0.7))


def test_autocast_does_not_round_the_image():
    image, enlarge = torch.rand(1, 1, 8, 8), Interpolation(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        result = enlarge(image)
    assert result.dtype == torch.float32
    assert torch.equal(result, enlarge(image))


@pytest.mark.parametrize(("low", "steps"), [(0.0, 63), (-2.0, 31)])
def test_limited_features_are_integers_in_training_alone(low, steps):
    x = torch.linspace(-3, 3, 1001, requires_grad=True)
    limited = Limited(low, 2.0)
    integers = limited(x) * steps / 2
    torch.testing.assert_close(integers, integers.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(limited(x), x.clamp(low, 2), atol=0.5 / (steps / 2) + 1e-6, rtol=0)
    limited(x).sum().backward()
    inside = (x > low) & (x < 2)
    torch.testing.assert_close(x.grad, inside.float())  # as if nothing was rounded
    assert torch.equal(limited.eval()(x), x.clamp(low, 2))
    assert torch.equal(torch.jit.script(limited)(x), x.clamp(low, 2))
    for dtype in (torch.float64, torch.bfloat16):
        assert limited.train()(x.to(dtype)).dtype == dtype
