"""The dense residual generator: its start, its size and its normalization."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_sr.networks import create_generator


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("norm", ["batch", None])
def test_untrained_network_is_bicubic_interpolation(scale, norm):
    model = create_generator("dense_residual", scale=scale, num_groups=1, norm=norm)
    lr = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(model(lr), create_generator("bicubic", scale=scale)(lr),
                               atol=1e-5, rtol=0)  # fmt: skip


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_weights_in_half_precision_take_less_than_three_megabytes(scale):
    model = create_generator("dense_residual", scale=scale)
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 3_000_000


def test_normalization_lies_in_the_dense_layers_alone_and_can_be_left_out():
    with_norm = create_generator("dense_residual", num_groups=2, num_blocks=1, num_layers=3)
    found = [n for n, m in with_norm.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(found) == 2 * 3
    assert all(".growth." in name for name in found)
    without = create_generator("dense_residual", num_groups=1, norm=None)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without.modules())


def test_resolution_rises_by_two_and_by_two():
    model = create_generator("dense_residual", scale=4, num_groups=1)
    assert [stage.factor for stage in model.stages] == [2, 2]
    assert [stage.factor for stage in create_generator("dense_residual", scale=3).stages] == [3]
