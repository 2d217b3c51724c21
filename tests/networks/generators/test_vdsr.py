"""VDSR: what the contract of every generator does not say."""

from __future__ import annotations

import pytest
import torch

from monai_sr.networks import create_generator


@pytest.mark.parametrize("name", ["vdsr", "drcn", "subpixel_residual"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_network_interpolates(name, scale):
    lr = torch.rand(1, 2, 6, 5)
    model = create_generator(name, scale=scale, in_channels=2, channels=4)
    expected = create_generator("bicubic", scale=scale, in_channels=2)(lr)
    torch.testing.assert_close(model(lr), expected)


def test_signal_neither_fades_nor_explodes_over_twenty_layers():
    torch.manual_seed(0)
    model = create_generator("vdsr", scale=2)
    seen = []
    model.tail.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].std()))
    model(torch.rand(1, 3, 12, 12))
    assert 0.1 < seen[0] < 2
