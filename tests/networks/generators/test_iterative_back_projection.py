"""Iterative back projection: what the contract of every generator does not say."""

from __future__ import annotations

import pytest
import torch

from monai_sr.functional.back_projection import back_project
from monai_sr.functional.resize import downsample, upsample
from monai_sr.networks import create_generator


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("steps", [1, 4])
def test_network_equals_the_function_up_to_the_edge(scale, dims, steps):
    lr = torch.rand(2, 2, *(6, 5, 4)[:dims])
    model = create_generator(
        "iterative_back_projection", scale=scale, in_channels=2, spatial_dims=dims, steps=steps
    )
    expected = back_project(upsample(lr, scale, range(2, 2 + dims)), lr, scale, steps)
    torch.testing.assert_close(model(lr), expected)


def test_more_steps_shrink_closer_to_the_given_image():
    lr = torch.rand(1, 1, 12, 12)
    errors = [
        (downsample(model(lr), 3) - lr).abs().max().item()
        for steps in (1, 4, 16)
        for model in [create_generator("iterative_back_projection", scale=3, steps=steps)]
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_autocast_does_not_round():
    lr = torch.rand(1, 3, 8, 8)
    model = create_generator("iterative_back_projection", scale=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(lr), create_generator("iterative_back_projection", scale=2)(lr))
    assert model(lr).dtype == torch.float32
