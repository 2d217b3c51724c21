"""SSIM as a metric, against scikit-image on stored values."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity

from monai_sr.core.errors import OptionError
from monai_sr.metrics import SSIMMetric, native, prepare_pair


def test_metric_equals_scikit_image_on_stored_values():
    hr = torch.rand(1, 1, 30, 40)
    sr = (hr + 0.1 * torch.randn(hr.shape)).clamp(0, 1)
    metric = SSIMMetric(scale=4, protocol=native(255))
    metric(sr, hr)
    a, b = (plane[0, 0].numpy() for plane in prepare_pair(sr, hr, 4, native(255)))
    _, full = structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert metric.aggregate().item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-10)


def test_images_too_small_for_the_window_are_refused():
    with pytest.raises(OptionError, match="use PSNR"):
        SSIMMetric(scale=4)(torch.zeros(1, 1, 18, 40), torch.zeros(1, 1, 18, 40))
