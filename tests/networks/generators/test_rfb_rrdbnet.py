"""Receptive field blocks: how far they see, and the network made of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_sr.networks import create_generator
from monai_sr.networks.generators.rfb_rrdbnet import ReceptiveFieldBlock


def positive(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.01, 0.1)
    return module.double()


@pytest.mark.parametrize("dims", [2, 3])
def test_block_reaches_six_pixels_along_every_axis(dims):
    block = positive(ReceptiveFieldBlock(dims, 4, 3))
    x = torch.rand(1, 4, *[15] * dims, dtype=torch.float64, requires_grad=True)
    center = (0, slice(None), *[7] * dims)
    (influence,) = torch.autograd.grad(block(x)[center].sum(), x)
    for axis in range(2, 2 + dims):
        others = [a for a in range(2 + dims) if a != axis]
        assert influence.sum(dim=others).nonzero().flatten().tolist() == list(range(1, 14))


@pytest.mark.parametrize(("dims", "branches"), [(2, 4), (3, 5)])
def test_plane_has_the_four_branches_of_the_paper_and_a_volume_one_more(dims, branches):
    block = ReceptiveFieldBlock(dims, 8, 8)
    assert len(block.branches) == branches
    assert all(branch[0].out_channels == 2 for branch in block.branches)


def test_branches_weigh_a_tenth_beside_the_shortcut():
    block = ReceptiveFieldBlock(2, 4, 1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.shortcut.bias.fill_(3.0)
        block.join.bias.fill_(5.0)
    torch.testing.assert_close(block(torch.rand(1, 4, 2, 2)), torch.full((1, 1, 2, 2), 3.5))


def test_dense_blocks_of_field_blocks_have_their_halo():
    model = create_generator(
        "rfb_rrdbnet", scale=2, in_channels=1, channels=2, growth_channels=1,
        num_blocks=1, num_rfb_blocks=1,
    )  # fmt: skip
    positive(model)
    # Head, RRDB, fifteen blocks and one more, then 6 + 2 pixels on the x2 grid.
    assert model.halo == 1 + 15 + 16 * 6 + 4
    middle = model.halo + 1
    lr = torch.rand(1, 1, 2 * middle + 1, 1, dtype=torch.float64, requires_grad=True)
    (influence,) = torch.autograd.grad(model(lr)[:, :, 2 * middle : 2 * middle + 2].sum(), lr)
    rows = influence.flatten().nonzero().flatten()
    assert (rows - middle).abs().max() == model.halo


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_network_is_interpolation(scale):
    model = create_generator(
        "rfb_rrdbnet", scale=scale, num_blocks=1, num_rfb_blocks=1, channels=8, growth_channels=4
    )
    lr = torch.rand(1, 3, 5, 4)
    first = 3 if scale == 3 else 2
    expected = F.interpolate(lr, scale_factor=float(first), mode="nearest")
    if scale == 4:
        expected = F.interpolate(expected, scale_factor=2.0, mode="bilinear")
    inner = (..., slice(2, -2), slice(2, -2))  # zeros lie beyond the edge
    torch.testing.assert_close(model(lr)[inner], expected[inner])
