"""GMSD against its formula, written out with scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from monai_sr.core.errors import OptionError
from monai_sr.metrics import GMSDMetric, gmsd, native
from monai_sr.metrics.protocol import prepare_colors

_LUMA = np.array([0.299, 0.587, 0.114])  # the Y of YIQ
_STABILITY = 170 / 255**2  # section IV of the paper, for values in [0, 1]


def _reference(sr, hr):
    """Follow Xue et al. (2014), equations 1 to 5, on (H, W) arrays of even sizes."""

    def magnitude(image):
        halved = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).mean((1, 3))
        prewitt = np.repeat([[1.0, 0.0, -1.0]], 3, axis=0) / 3
        across, along = (convolve(halved, k, mode="constant") for k in (prewitt, prewitt.T))
        return np.sqrt(across**2 + along**2)

    a, b = magnitude(hr), magnitude(sr)
    return ((2 * a * b + _STABILITY) / (a**2 + b**2 + _STABILITY)).std()


@pytest.fixture
def pair():
    hr = torch.rand(2, 3, 24, 32, dtype=torch.float64)
    return (hr + 0.1 * torch.randn_like(hr)).clamp(0, 1), hr


def test_color_images_are_compared_by_luma(pair):
    luma = [np.einsum("c,nchw->nhw", _LUMA, image.numpy()) for image in pair]
    expected = [_reference(sr, hr) for sr, hr in zip(*luma, strict=True)]
    # The package rounds the coefficients of luma to float32.
    np.testing.assert_allclose(gmsd(*pair).numpy(), expected, rtol=1e-5)


def test_grey_images_are_compared_as_they_are(pair):
    sr, hr = (image[:, :1] for image in pair)
    expected = [_reference(a, b) for a, b in zip(sr[:, 0].numpy(), hr[:, 0].numpy(), strict=True)]
    np.testing.assert_allclose(gmsd(sr, hr).numpy(), expected, rtol=1e-5)


def test_other_channels_are_judged_one_by_one(pair):
    sr, hr = (torch.cat([image, image[:, :1]], dim=1) for image in pair)
    each = [gmsd(sr[:, [i]], hr[:, [i]]) for i in range(4)]
    torch.testing.assert_close(gmsd(sr, hr), torch.stack(each).mean(0))


def test_equal_images_have_distance_zero_at_odd_sizes_too():
    image = torch.rand(1, 3, 21, 33)
    assert gmsd(image, image).item() == 0.0


def test_blur_is_worse_than_equality_and_more_blur_is_worse():
    hr = torch.rand(1, 1, 32, 32)
    blurred = [torch.nn.functional.avg_pool2d(hr, k, 1, k // 2) for k in (3, 5)]
    assert 0 < gmsd(blurred[0], hr).item() < gmsd(blurred[1], hr).item()


def test_metric_sees_stored_colors_inside_the_border(pair):
    metric = GMSDMetric(scale=2, protocol="natural")
    metric(*pair)
    sr, hr = ((image * 255 + 0.5).floor()[..., 2:-2, 2:-2] / 255 for image in pair)
    torch.testing.assert_close(metric.get_buffer()[:, 0], gmsd(sr, hr))


def test_values_that_are_not_stored_are_clipped_to_what_can_be_shown():
    image = torch.linspace(-0.5, 1.5, 48).reshape(1, 1, 6, 8)
    shown, _ = prepare_colors(image, image, 0, native())
    assert (shown.min().item(), shown.max().item()) == (0.0, 1.0)


def test_volumes_and_tiny_images_are_refused():
    for shape in ((1, 1, 8, 8, 8), (1, 1, 4, 8)):
        with pytest.raises(OptionError, match="use PSNR for others"):
            gmsd(torch.zeros(shape), torch.zeros(shape))
