"""LR-PSNR: agreement of a result with the image it was made from."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.core.errors import OptionError
from monai_sr.functional import opencv_downsample
from monai_sr.functional.resize import downsample
from monai_sr.metrics import LRPSNRMetric, lr_psnr


def test_an_image_agrees_with_its_own_small_version():
    sr = torch.rand(1, 3, 12, 20, dtype=torch.float64)
    assert lr_psnr(sr, downsample(sr, 4), 4, 1.0).item() > 250  # float64 rounding only


def test_equal_flat_images_are_infinite():
    flat = torch.full((1, 1, 8, 12), 0.5, dtype=torch.float64)
    assert lr_psnr(flat, downsample(flat, 2), 2, 1.0).item() == math.inf


def test_value_is_the_psnr_of_the_shrunk_result():
    sr, lr = torch.rand(1, 1, 12, 20) * 255, torch.rand(1, 1, 6, 10) * 255
    expected = peak_signal_noise_ratio(
        lr.double().numpy(), downsample(sr.double(), 2).numpy(), data_range=255
    )
    assert lr_psnr(sr, lr, 2, 255).item() == pytest.approx(expected, abs=1e-9)


def test_result_of_another_scale_is_refused():
    with pytest.raises(OptionError, match="the input it was made from"):
        lr_psnr(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 2, 2), 2, 1.0)


def test_results_shrink_as_the_protocol_made_the_input():
    sr = torch.randint(0, 256, (1, 3, 16, 24)).double() / 255
    for protocol, shrink in (("natural", downsample), ("natural_opencv", opencv_downsample)):
        metric = LRPSNRMetric(scale=4, protocol=protocol)
        metric(y_pred=sr, y=shrink(sr, 4))
        assert metric.aggregate().item() > 35  # values are stored; the other way gives 14
