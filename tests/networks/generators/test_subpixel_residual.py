"""Residual network with a sub-pixel convolution: what the contract does not say."""

from __future__ import annotations

import torch

from monai_sr.networks import create_generator


def test_each_phase_of_the_detail_adds_to_its_own_pixels():
    lr = torch.rand(1, 1, 4, 5)
    model = create_generator("subpixel_residual", scale=2, in_channels=1, channels=4, num_layers=1)
    with torch.no_grad():
        model.reconstruction.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    detail = model(lr) - create_generator("bicubic", scale=2, in_channels=1)(lr)
    expected = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(4, 5)[None, None]
    torch.testing.assert_close(detail, expected)


def test_every_mapping_layer_is_convolution_normalization_and_relu():
    model = create_generator("subpixel_residual", channels=4, num_layers=3)
    layers = [type(part).__name__ for layer in model.mapping for part in layer]
    assert layers == 3 * ["Conv2d", "BatchNorm2d", "ReLU"]


def test_parameters_are_as_many_as_counted_by_hand():
    # Extraction, 16 mapping layers, sub-pixel convolution to 3 x 4 x 4 channels.
    count = (27 * 64 + 128) + 16 * (576 * 64 + 128) + (576 * 48 + 48)
    model = create_generator("subpixel_residual")
    assert sum(p.numel() for p in model.parameters()) == count
