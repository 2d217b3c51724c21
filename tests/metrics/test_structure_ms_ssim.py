"""Multi-scale SSIM: equal to MONAI's and piq's, which compute the same definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric

from monai_sr.core.errors import OptionError
from monai_sr.core.optional import import_torchvision
from monai_sr.functional.ssim import ms_ssim
from monai_sr.metrics import MSSSIMMetric


def _pair(side=176):
    rng = np.random.default_rng(0)
    smooth = rng.random((2, 3, side // 8, side // 8 + 1))
    hr = torch.nn.functional.interpolate(torch.from_numpy(smooth), scale_factor=8, mode="bicubic")
    hr = hr.clamp(0, 1)
    return (hr + 0.08 * torch.from_numpy(rng.normal(size=hr.shape))).clamp(0, 1), hr


def test_equals_piq():
    import_torchvision()
    import piq

    sr, hr = _pair()
    expected = piq.multi_scale_ssim(sr, hr, data_range=1.0, reduction="none")
    # piq normalizes its weights, whose sum is 1.0001; and its images are averaged over channels.
    torch.testing.assert_close(ms_ssim(sr, hr, data_range=1.0), expected, atol=5e-4, rtol=0)


def test_equals_monai():
    sr, hr = (image.float() for image in _pair(192))
    theirs = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, kernel_sigma=1.5)
    expected = theirs(sr, hr)[:, 0].double()
    # MONAI averages the channels at each resolution, here at the end; measured apart by 2e-4.
    ours = ms_ssim(sr.double(), hr.double(), data_range=1.0)
    torch.testing.assert_close(ours, expected, atol=5e-4, rtol=0)


def test_equal_images_give_one_and_the_metric_averages():
    _, hr = _pair()
    metric = MSSSIMMetric(scale=0, protocol="native")
    metric(y_pred=hr, y=hr)
    assert metric.aggregate().item() == pytest.approx(1.0, abs=1e-12)


def test_images_too_small_for_five_resolutions_are_refused():
    image = torch.zeros(1, 1, 160, 200, dtype=torch.float64)
    with pytest.raises(OptionError, match="161 pixels for five resolutions"):
        ms_ssim(image, image, data_range=1.0)
