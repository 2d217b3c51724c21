"""The cascade gives every size of its stages from one set of weights."""

from __future__ import annotations

import pytest
import torch

from monai_sr.functional.resize import REACH, resize, upsample
from monai_sr.networks import create_generator
from monai_sr.networks.generators.recursive_cascade import (
    FractionalResize,
    RecursiveResidualBlock,
)


def small(**options):
    sizes = {"channels": 4, "num_blocks": 1, "stage_channels": 3, "in_channels": 1}
    return create_generator("recursive_cascade", **sizes | options)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("up", "down"), [(3, 2), (4, 3)])
def test_fractional_step_is_the_area_aligned_bicubic(up, down, dims):
    coarse = torch.rand(1, 2, *[6 * down] * dims)
    fine = FractionalResize(dims, up, down)(coarse)
    inner = (..., *[slice(REACH * up, -REACH * up)] * dims)  # edges are repeated, not mirrored
    expected = resize(coarse.double(), up / down, range(2, 2 + dims))
    assert fine.shape == expected.shape
    torch.testing.assert_close(fine[inner].double(), expected[inner], rtol=1e-5, atol=1e-6)


def test_block_adds_its_input_on_every_pass_with_the_same_weights():
    block = RecursiveResidualBlock(2, 3, recursions=3)
    x = torch.rand(1, 3, 5, 4)

    def residual(state):
        return block.second(block.first(state).relu())

    torch.testing.assert_close(block(x), x + residual(x + residual(x + residual(x))))
    assert len(list(block.parameters())) == 4


def test_every_output_ends_with_the_result_and_starts_with_the_coarsest_stage():
    model = small(scales=(2, 3, 4))
    torch.nn.init.ones_(model.stages[1].tail.weight)
    lr = torch.rand(1, 1, 6, 5)
    images = model.every_output(lr)
    assert [tuple(image.shape[2:]) for image in images] == [(12, 10), (18, 15), (24, 20)]
    for scale, image in zip((2, 3, 4), images, strict=True):
        torch.testing.assert_close(model(lr, scale), image)
    assert len(model.every_output(lr, 3)) == 2


@pytest.mark.parametrize(
    ("scale", "scales", "built"),
    [
        (4, None, (2, 4)),
        (3, None, (3,)),
        (4, (2, 3, 4), (2, 3, 4)),
        (2, (2, 3, 4), (2,)),
        (3, (2, 3, 4), (2, 3)),
        (4, (4,), (4,)),
    ],
)
def test_stages_above_the_scale_are_not_built(scale, scales, built):
    model = small(scale=scale, scales=scales)
    assert model.scales == built
    assert len(model.stages) == len(built)


def test_untrained_cascade_interpolates():
    model = small(scales=(2, 3, 4))
    lr = torch.rand(1, 1, 8, 7)
    for scale in (2, 3, 4):
        inner = (..., *[slice(2 * scale, -2 * scale)] * 2)
        torch.testing.assert_close(model(lr, scale)[inner], upsample(lr, scale)[inner])


@pytest.mark.parametrize(
    ("scales", "count", "halo"), [((2, 4), 539_078, 25), ((2, 3, 4), 530_697, 27)]
)
def test_default_size_is_as_designed(scales, count, halo):
    model = create_generator("recursive_cascade", scales=scales)
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.halo == halo
