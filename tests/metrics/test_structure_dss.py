"""DSS against its formula, written out with scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from scipy.ndimage import convolve

from monai_sr.core.errors import OptionError
from monai_sr.metrics import DSSMetric, dss

_LUMA = np.array([0.299, 0.587, 0.114])  # the Y of YIQ
_WINDOW = np.exp(-(np.arange(-1, 2)[:, None] ** 2 + np.arange(-1, 2) ** 2) / (2 * 1.5**2))


def _bands(image):
    """Return the coefficients of 8 x 8 blocks as (8, 8, rows, columns)."""
    rows, columns = (side // 8 for side in image.shape)
    blocks = 255 * image[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return dctn(blocks.transpose(0, 2, 1, 3), axes=(2, 3), norm="ortho").transpose(2, 3, 0, 1)


def _reference(sr, hr):
    """Follow Balanov et al. (2015), section 2, on (H, W) arrays in [0, 1]."""

    def mean(band):
        return convolve(band, _WINDOW / _WINDOW.sum(), mode="constant")

    def worst(values):
        values = np.sort(values, axis=None)
        return values[: round(0.05 * values.size)].mean()

    place = (np.arange(8) + 0.5) ** 2
    weights = np.exp(-(place[:, None] + place) / (2 * 1.55**2))
    weights[weights < 1e-2] = 0
    total = 0.0
    for m, n in np.argwhere(weights):
        a, b = _bands(sr)[m, n], _bands(hr)[m, n]
        stable = 1000 if (m, n) == (0, 0) else 300
        var_a, var_b = (np.maximum(mean(x * x) - mean(x) ** 2, 0) for x in (a, b))
        score = worst((2 * np.sqrt(var_a * var_b) + stable) / (var_a + var_b + stable))
        if (m, n) == (0, 0):
            covariance = mean(a * b) - mean(a) * mean(b)
            score *= worst((covariance + stable) / (np.sqrt(var_a * var_b) + stable))
        total += weights[m, n] * score
    return total / weights.sum()


@pytest.fixture
def pair():
    hr = torch.rand(2, 3, 45, 64, dtype=torch.float64)
    return (hr + 0.1 * torch.randn_like(hr)).clamp(0, 1), hr


def test_color_images_are_compared_by_luma(pair):
    luma = [np.einsum("c,nchw->nhw", _LUMA, image.numpy()) for image in pair]
    expected = [_reference(sr, hr) for sr, hr in zip(*luma, strict=True)]
    assert max(expected) < 0.99
    # The package rounds the coefficients of luma to float32.
    np.testing.assert_allclose(dss(*pair).numpy(), expected, rtol=1e-5)


def test_other_channels_are_judged_one_by_one(pair):
    sr, hr = (torch.cat([image, image[:, :1]], dim=1) for image in pair)
    each = [dss(sr[:, [i]], hr[:, [i]]) for i in range(4)]
    torch.testing.assert_close(dss(sr, hr), torch.stack(each).mean(0))


def test_equal_images_score_one_and_blur_less_than_that():
    hr = torch.rand(1, 1, 40, 48, dtype=torch.float64)
    assert dss(hr, hr).item() == pytest.approx(1, abs=1e-6)
    blurred = [torch.nn.functional.avg_pool2d(hr, k, 1, k // 2) for k in (3, 5)]
    assert dss(blurred[1], hr).item() < dss(blurred[0], hr).item() < 0.9


def test_metric_sees_stored_colors_inside_the_border(pair):
    metric = DSSMetric(scale=2, protocol="natural")
    metric(*pair)
    sr, hr = ((image * 255 + 0.5).floor()[..., 2:-2, 2:-2] / 255 for image in pair)
    torch.testing.assert_close(metric.get_buffer()[:, 0], dss(sr, hr))


def test_tiny_images_are_refused():
    with pytest.raises(OptionError, match="use PSNR for others"):
        dss(torch.zeros(1, 1, 31, 64), torch.zeros(1, 1, 31, 64))
