"""Dense residual blocks against sums worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from monai_sr.networks.blocks import he_conv, pass_image
from monai_sr.networks.dense_blocks import (
    NearestStage,
    ResidualDenseBlock,
    ResidualInResidual,
    rrdb,
)


class Sum(nn.Module):
    """Stands for a convolution: every result is the sum of all channels, times a factor."""

    def __init__(self, out_channels, factor=1.0):
        super().__init__()
        self.out_channels, self.factor = out_channels, factor

    def forward(self, x):
        return self.factor * x.sum(dim=1, keepdim=True).repeat(1, self.out_channels, 1, 1)


def test_every_layer_sees_all_results_before_it():
    block = ResidualDenseBlock(1, 1, layer=lambda _, out: Sum(out))
    # 1, then 1, 2, 4, 8 grow; the fusion sees 16; a fifth of it is added.
    torch.testing.assert_close(block(torch.ones(1, 1, 1, 1)).item(), 1 + 0.2 * 16)


def test_growth_passes_a_leaky_relu_and_the_fusion_does_not():
    block = ResidualDenseBlock(1, 1, layer=lambda _, out: Sum(out, -1.0), num_layers=2)
    # -1 becomes -0.2; the fusion gives -(1 - 0.2).
    torch.testing.assert_close(block(torch.ones(1, 1, 1, 1)).item(), 1 - 0.2 * 0.8)


def test_outer_residual_holds_the_result_of_three_blocks():
    block = ResidualInResidual(1, 1, layer=lambda _, out: Sum(out))
    torch.testing.assert_close(block(torch.ones(1, 1, 1, 1)).item(), 1 + 0.2 * 4.2**3)


def test_block_of_esrgan_has_its_weights():
    # 64, 96, 128, 160 -> 32 and 192 -> 64, 3 x 3 kernels and biases, three times.
    count = 9 * 32 * (64 + 96 + 128 + 160) + 9 * 192 * 64 + 4 * 32 + 64
    assert sum(p.numel() for p in rrdb(2, 64, 32).parameters()) == 3 * count


@pytest.mark.parametrize(("slope", "gain"), [(0.0, math.sqrt(2)), (1.0, 1.0)])
def test_he_start_has_the_variance_of_its_activation(slope, gain):
    conv = he_conv(2, 100, 100, slope=slope)
    # 90,000 normal numbers: their deviation is known to a quarter of a percent.
    assert conv.weight.std().item() == pytest.approx(gain / 30, rel=0.02)
    assert not conv.bias.any()


@pytest.mark.parametrize("dims", [2, 3])
def test_first_channels_pass_a_chain_unchanged(dims):
    chain = [he_conv(dims, 2, 5), he_conv(dims, 5, 4), he_conv(dims, 4, 2)]
    for conv in chain:
        pass_image(conv, 2)
    x = torch.rand(1, 2, *(4, 3, 3)[:dims])
    torch.testing.assert_close(nn.Sequential(*chain)(x), x)


def test_nearest_stage_repeats_pixels_before_its_layer():
    result = NearestStage(2, nn.Identity())(torch.tensor([[[[1.0, -1.0]]]]))
    torch.testing.assert_close(result, torch.tensor([[[[1, 1, -0.2, -0.2]] * 2]]))
