"""SRResNet: what the contract of every generator does not say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_sr.networks import create_generator


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_untrained_network_interpolates_linearly(scale, dims, mode):
    lr = torch.rand(2, 2, *(6, 7, 5)[:dims])
    model = create_generator(
        "srresnet", scale=scale, in_channels=2, spatial_dims=dims, channels=3, num_blocks=1
    )
    expected = lr
    for factor in {1: (), 4: (2, 2)}.get(scale, (scale,)):
        kind = "bilinear" if dims == 2 else "trilinear"
        expected = F.interpolate(expected, scale_factor=float(factor), mode=kind)
    inner = (..., *[slice(2 * scale, -2 * scale)] * dims)
    getattr(model, mode)()
    torch.testing.assert_close(model(lr)[inner], expected[inner])


@pytest.mark.parametrize(
    ("num_blocks", "count"),
    [
        # By hand: head, blocks, end of the body, two stages, tail.
        (16, 15_680 + 16 * 74_048 + 36_992 + 2 * 147_776 + 15_555),
        (8, 15_680 + 8 * 74_048 + 36_992 + 2 * 147_776 + 15_555),
    ],
)
def test_parameters_are_as_many_as_the_docstring_says(num_blocks, count):
    model = create_generator("srresnet", num_blocks=num_blocks)
    assert sum(p.numel() for p in model.parameters()) == count
    assert f"{count:,}" in type(model).__doc__


@pytest.mark.parametrize(("scale", "halo"), [(1, 41), (2, 40), (3, 40), (4, 40)])
def test_sixteen_blocks_reach_forty_pixels(scale, halo):
    assert create_generator("srresnet", scale=scale, channels=1).halo == halo
