"""Where RRDBNet starts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_sr.networks import create_generator


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_network_is_linear_interpolation(scale):
    model = create_generator("rrdbnet", scale=scale, num_blocks=1, channels=8)
    lr = torch.rand(1, 3, 5, 4)
    expected = lr
    for factor in {2: (2,), 3: (3,), 4: (2, 2)}[scale]:
        expected = F.interpolate(expected, scale_factor=float(factor), mode="bilinear")
    inner = (..., slice(scale, -scale), slice(scale, -scale))  # zeros lie beyond the edge
    torch.testing.assert_close(model(lr)[inner], expected[inner])


def test_narrow_network_of_many_channels_starts_too():
    model = create_generator("rrdbnet", in_channels=4, channels=2, num_blocks=1)
    assert model(torch.rand(1, 4, 3, 3)).std() < 10


@pytest.mark.parametrize(("num_blocks", "count"), [(23, 16_697_987), (12, 8_784_323)])
def test_depth_of_both_papers(num_blocks, count):
    model = create_generator("rrdbnet", num_blocks=num_blocks)
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.halo == 4 + 15 * num_blocks
