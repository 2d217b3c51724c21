"""The distance of features is their mean squared difference, image by image."""

from __future__ import annotations

import sys

import pytest
import torch

from monai_sr.metrics import vgg_distance


@pytest.fixture
def pair(monkeypatch):
    """Put a plain convolution in the place of VGG-19, whose weights are not everywhere."""
    weight = torch.randn(6, 3, 3, 3)

    def network(image, layers):
        return {layer: torch.nn.functional.conv2d(image, weight) for layer in layers}

    monkeypatch.setattr(
        sys.modules[vgg_distance.__module__], "vgg_network", lambda weights: network
    )
    sr, hr = torch.rand(2, 2, 3, 20, 24)
    return sr, hr, [network(image, ["a"])["a"] for image in (sr, hr)]


def test_it_is_the_mean_of_squares_of_each_image(pair):
    sr, hr, (ours, theirs) = pair
    expected = ((ours - theirs) ** 2).mean((1, 2, 3))
    torch.testing.assert_close(vgg_distance(sr, hr), expected)
