"""SAM and ERGAS, against numpy by the formulas of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.metrics import ERGASMetric, SAMMetric, ergas, sam


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    hr = rng.random((2, 4, 12, 15))
    return np.clip(hr + 0.05 * rng.normal(size=hr.shape), 0, 1), hr


def test_angle_equals_numpy(pair):
    sr, hr = pair
    cosine = (sr * hr).sum(1) / np.linalg.norm(sr, axis=1) / np.linalg.norm(hr, axis=1)
    expected = np.degrees(np.arccos(cosine)).mean(axis=(1, 2))
    np.testing.assert_allclose(sam(*map(torch.from_numpy, pair)).numpy(), expected, rtol=1e-9)


def test_angle_ignores_brightness_and_knows_right_angles():
    hr = torch.rand(1, 3, 5, 7, dtype=torch.float64) + 0.1
    assert sam(0.5 * hr, hr).item() == pytest.approx(0, abs=1e-5)
    red, green = torch.zeros(2, 1, 3, 4, 4)
    red[:, 0], green[:, 1] = 1, 1
    assert sam(red, green).item() == pytest.approx(90)


def test_black_pixels_have_no_angle():
    hr = torch.ones(1, 2, 4, 4, dtype=torch.float64)
    hr[..., :2] = 0
    sr = torch.ones_like(hr)
    assert sam(sr, hr).item() == pytest.approx(0, abs=1e-5)
    assert torch.isnan(sam(sr, torch.zeros_like(hr))).item()


@pytest.mark.parametrize("metric", [SAMMetric(2, "native"), ERGASMetric(2, "native")])
def test_a_black_image_is_left_out_of_the_mean_and_told(pair, metric, caplog):
    sr, hr = (torch.from_numpy(image) for image in pair)
    expected = metric(y_pred=sr, y=hr).mean()
    metric(y_pred=torch.zeros_like(sr[:1]), y=torch.zeros_like(hr[:1]))
    torch.testing.assert_close(metric.aggregate(), expected)
    assert torch.isnan(metric.get_buffer()[2])
    assert f"{type(metric).__name__}: 1 of 3 images have no value" in caplog.text


def test_one_band_has_no_angle():
    with pytest.raises(OptionError, match="one band has no spectrum"):
        sam(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))


def test_ergas_equals_numpy_and_does_not_know_units(pair):
    sr, hr = pair
    rmse = np.sqrt(((sr - hr) ** 2).mean(axis=(2, 3)))
    expected = 100 / 4 * np.sqrt(((rmse / hr.mean(axis=(2, 3))) ** 2).mean(axis=1))
    tensors = [torch.from_numpy(image) for image in pair]
    np.testing.assert_allclose(ergas(*tensors, scale=4).numpy(), expected, rtol=1e-12)
    large = [10_000 * image for image in tensors]
    np.testing.assert_allclose(ergas(*large, scale=4).numpy(), expected, rtol=1e-9)


def test_ergas_of_a_band_that_averages_zero_is_unknown():
    assert torch.isnan(ergas(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), scale=2)).item()


def test_metrics_leave_the_border_out(pair):
    sr, hr = (torch.from_numpy(image) for image in pair)
    for metric, expected in (
        (SAMMetric(2, "native"), sam(sr[..., 2:-2, 2:-2], hr[..., 2:-2, 2:-2])),
        (ERGASMetric(2, "native"), ergas(sr[..., 2:-2, 2:-2], hr[..., 2:-2, 2:-2], 2)),
    ):
        torch.testing.assert_close(metric(y_pred=sr, y=hr)[:, 0], expected)
