"""IGAN-SRCP: the range of its results and where it starts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_sr.networks import create_generator
from monai_sr.networks.generators.igan_srcp import PyramidAttention


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_network_is_squashed_linear_interpolation(scale):
    model = create_generator("igan_srcp", scale=scale, num_blocks=1, channels=8)
    lr = torch.rand(1, 3, 5, 6)
    linear = lr
    for factor in {2: (2,), 3: (3,), 4: (2, 2)}[scale]:
        linear = F.interpolate(linear, scale_factor=float(factor), mode="bilinear")
    inner = (..., slice(scale, -scale), slice(scale, -scale))  # zeros lie beyond the edge
    expected = (torch.tanh(2.4 * linear - 1.2) + 1) / 2
    torch.testing.assert_close(model(lr)[inner], expected[inner])
    assert (model(lr) - linear)[inner].abs().max() < 0.09


def test_results_stay_between_zero_and_one():
    model = create_generator("igan_srcp", scale=2, num_blocks=1, channels=4)
    result = model(20 * torch.randn(1, 3, 6, 6))
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize(("num_blocks", "place"), [(5, 3), (2, 2)])
def test_attention_follows_the_third_block_or_the_last(num_blocks, place):
    blocks = create_generator("igan_srcp", num_blocks=num_blocks, channels=4).blocks
    assert [isinstance(block, PyramidAttention) for block in blocks].index(True) == place
    assert len(blocks) == num_blocks + 1
