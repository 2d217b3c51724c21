"""Parameters and multiply-adds against hand-computed convolutions and published figures."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_sr.evaluation.candidates import count_parameters, multiply_adds_per_pixel
from monai_sr.networks import Generator, GeneratorInfo, create_generator


class _Recursive(Generator):
    """Apply one convolution of 4 to 4 channels three times, on the coarse grid."""

    info = GeneratorInfo(paper="none", scales=(2,))

    def __init__(self):
        super().__init__()
        self._declare(scale=2, halo=3, in_channels=4, spatial_dims=2)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, image, scale=None):
        for _ in range(3):
            image = self.conv(image)
        return nn.functional.interpolate(image, scale_factor=float(self._factor(scale)))


class _Global(_Recursive):
    """Add a product of all pixels with all pixels."""

    info = GeneratorInfo(paper="none", scales=(2,), is_local=False)

    def forward(self, image, scale=None):
        flat = image.flatten(2)
        mixed = flat @ (flat.transpose(1, 2) @ flat)
        return super().forward(mixed.reshape(image.shape), scale)


class _ByValue(_Global):
    """Decide by a value, which the meta device does not have."""

    def forward(self, image, scale=None):
        return super().forward(image if image.mean() > 0 else -image, scale)


def test_a_recursion_counts_as_often_as_it_is_executed():
    network = _Recursive()
    assert count_parameters(network) == 4 * 4 * 9 + 4
    # 4 x 4 x 9 a pixel of the input, three times; four output pixels share it.
    assert multiply_adds_per_pixel(network, 2) == 3 * 144 / 4


def test_a_network_that_sees_the_whole_image_is_counted_for_1280x720():
    pixels = 640 * 360
    expected = (3 * 144 + 2 * 4 * pixels) / 4  # two products of (4, n) with (n, n)
    assert multiply_adds_per_pixel(_Global(), 2) == pytest.approx(expected, rel=1e-12)


def test_a_network_that_needs_values_is_counted_on_a_small_image():
    assert multiply_adds_per_pixel(_ByValue(), 2) == (3 * 144 + 2 * 4 * 64) / 4


def test_network_is_left_as_it_is():
    network = _Global().train()
    before = network.conv.weight.clone()
    multiply_adds_per_pixel(network, 2)
    assert network.training
    assert torch.equal(network.conv.weight, before)


@pytest.mark.parametrize(
    ("name", "parameters", "giga_multiply_adds"),
    # Parameters and multiply-adds of a 1280x720 result at x4, as the field's tables state them.
    [("edsr", 1_518_000, 114.0), ("vdsr", 665_000, 612.6), ("bicubic", 0, 0.0)],
)
def test_counts_meet_the_published_figures(name, parameters, giga_multiply_adds):
    network = create_generator(name, scale=4)
    assert count_parameters(network) == pytest.approx(parameters, rel=0.01)
    measured = multiply_adds_per_pixel(network, 4) * 1280 * 720 / 1e9
    assert measured == pytest.approx(giga_multiply_adds, rel=0.01, abs=0.1)
