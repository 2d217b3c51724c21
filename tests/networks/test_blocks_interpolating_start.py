"""First weights that carry the image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from monai_sr.networks.blocks import SubPixelStage, pass_enlarged, pass_image, pass_smoothed


@pytest.mark.parametrize("size", [1, 3, 9])
def test_convolution_passes_the_first_channels_and_keeps_the_others(size):
    conv = nn.Conv2d(2, 4, size, padding=size // 2)
    image = torch.rand(1, 2, 5, 6)
    before = conv(image)
    pass_image(conv, 2, gain=0.5)
    torch.testing.assert_close(conv(image)[:, :2], image / 2)
    torch.testing.assert_close(conv(image)[:, 2:], before[:, 2:])


@pytest.mark.parametrize("shape", [(3, 1), (1, 3)])
def test_as_many_channels_pass_as_there_are(shape):
    conv = nn.Conv2d(*shape, 3, padding=1, bias=False)
    pass_image(conv, 3)
    image = torch.rand(1, shape[0], 4, 4)
    torch.testing.assert_close(conv(image)[:, :1], image[:, :1])


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_stage_interpolates_linearly(factor, dims):
    stage = SubPixelStage(dims, 3, factor)
    pass_enlarged(stage, 2)
    image = torch.rand(2, 3, *(4, 5, 3)[:dims])
    mode = "bilinear" if dims == 2 else "trilinear"
    expected = F.interpolate(image, scale_factor=float(factor), mode=mode)
    inner = (slice(None), slice(2), *[slice(factor, -factor)] * dims)
    torch.testing.assert_close(stage(image)[inner], expected[inner])


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("dims", [2, 3])
def test_smoothing_makes_a_nearest_enlargement_linear(factor, dims):
    conv = (nn.Conv2d, nn.Conv3d)[dims - 2](3, 3, 3, padding=1)
    pass_smoothed(conv, 2, factor)
    image = torch.rand(2, 3, *(4, 5, 3)[:dims])
    mode = "bilinear" if dims == 2 else "trilinear"
    expected = F.interpolate(image, scale_factor=float(factor), mode=mode)
    inner = (slice(None), slice(2), *[slice(factor, -factor)] * dims)
    repeated = F.interpolate(image, scale_factor=float(factor), mode="nearest")
    torch.testing.assert_close(conv(repeated)[inner], expected[inner])
