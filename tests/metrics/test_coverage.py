"""Whether intervals hold, squared errors, and consistency as a metric of an engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from skimage.metrics import mean_squared_error

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, upsample
from monai_sr.metrics import (
    CoverageMetric,
    LRPSNRHandler,
    LRPSNRMetric,
    MSEMetric,
    coverage,
    lr_psnr,
    mse,
)


def test_a_normal_interval_holds_nine_tenths():
    hr = torch.zeros(1, 1, 200, 200, dtype=torch.float64)
    sr = torch.randn(1, 1, 200, 200, dtype=torch.float64)
    # 1.645 standard deviations hold 90 %; 40,000 values are within 0.5 % of it.
    assert coverage(sr, hr, torch.full_like(sr, 1.645)).item() == pytest.approx(90, abs=0.5)


def test_metric_takes_result_and_half_width_as_channels_and_leaves_the_border_out():
    hr = torch.zeros(2, 3, 8, 9)
    sr = torch.zeros(2, 3, 8, 9)
    sr[:, :, 2, 3] = 0.5
    sr[:, :, 0] = 1  # border
    half = torch.full_like(sr, 0.1)
    values = CoverageMetric(2, "native")(y_pred=torch.cat([sr, half], 1), y=hr)
    np.testing.assert_allclose(values.numpy(), 100 * 19 / 20)
    with pytest.raises(OptionError, match="concatenate them"):
        CoverageMetric(2, "native")(y_pred=sr, y=hr)


def test_squared_error_equals_scikit_image():
    rng = np.random.default_rng(0)
    sr, hr = rng.random((2, 1, 3, 12, 14))
    assert mse(*map(torch.from_numpy, (sr, hr))).item() == pytest.approx(mean_squared_error(sr, hr))
    inner = (..., slice(2, -2), slice(2, -2))
    metric = MSEMetric(2, "native", 255)
    stored = [np.round(image[inner] * 255) / 255 for image in (sr, hr)]
    value = metric(y_pred=torch.from_numpy(sr), y=torch.from_numpy(hr)).item()
    assert value == pytest.approx(mean_squared_error(*stored), rel=1e-9)


def test_consistency_compares_with_the_input_also_in_an_engine():
    lr = torch.rand(2, 1, 6, 7, dtype=torch.float64)
    sr = upsample(lr, 2)
    expected = lr_psnr(sr, lr, 2, 1.0)
    torch.testing.assert_close(LRPSNRMetric(2, "native")(y_pred=sr, y=lr)[:, 0], expected)
    engine = Engine(lambda _engine, batch: batch)
    LRPSNRHandler(2, "native").attach(engine, "lr_psnr")
    engine.run([[{"pred": a, "image": b} for a, b in zip(sr, lr, strict=True)]])
    assert engine.state.metrics["lr_psnr"] == pytest.approx(expected.mean().item())
    assert downsample(sr, 2).shape == lr.shape
