"""The artifact loss against a loop over windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.losses import ArtifactLoss, L1Loss, artifact_map


@pytest.fixture
def images():
    """sr, hr and ema_sr."""
    return torch.rand(3, 2, 3, 9, 10, dtype=torch.float64).unbind()


def test_the_map_is_the_variance_of_each_window_times_the_fifth_root_of_the_whole(images):
    sr, hr, ema_sr = images
    computed = artifact_map(sr, hr, ema_sr, window=5)
    for n in range(2):
        residual = (hr - sr).abs().sum(1)[n].numpy()
        steady = (hr - ema_sr).abs().sum(1)[n].numpy()
        padded = np.pad(residual, 2, mode="reflect")
        for y, x in np.ndindex(residual.shape):
            local = padded[y : y + 5, x : x + 5].var(ddof=1)
            expected = local * residual.var(ddof=1) ** 0.2 if residual[y, x] >= steady[y, x] else 0
            assert float(computed[n, 0, y, x]) == pytest.approx(expected, rel=1e-9)


def test_the_loss_is_the_error_weighted_by_the_map(images):
    sr, hr, ema_sr = images
    expected = (artifact_map(sr, hr, ema_sr) * (sr - hr).abs()).mean()
    torch.testing.assert_close(ArtifactLoss()(sr, hr, ema_sr), expected)


def test_where_the_averaged_generator_is_worse_nothing_is_punished(images):
    sr, hr, _ = images
    assert float(ArtifactLoss()(sr, hr, hr + 2)) == 0


def test_an_even_error_is_no_artifact_and_an_isolated_one_is():
    hr = torch.zeros(1, 1, 32, 32)
    even, spot = hr + 0.1, hr.clone()
    spot[..., 16, 16] = 0.1 * 32**2
    assert L1Loss()(even, hr) == pytest.approx(float(L1Loss()(spot, hr)))
    loss = ArtifactLoss()
    assert float(loss(even, hr, hr)) < 1e-9 < float(loss(spot, hr, hr))


def test_the_gradient_is_the_map_times_the_sign_of_the_error(images):
    sr, hr, ema_sr = images
    sr.requires_grad_()
    ArtifactLoss()(sr, hr, ema_sr).backward()
    expected = artifact_map(sr, hr, ema_sr) * (sr - hr).sign() / sr.numel()
    torch.testing.assert_close(sr.grad, expected.detach())


def test_equal_images_and_half_precision_stay_finite():
    sr = torch.rand(1, 3, 16, 16).bfloat16().requires_grad_()
    value = ArtifactLoss()(sr, sr.detach(), sr.detach())
    value.backward()
    assert value == 0
    assert value.dtype == torch.float32
    assert sr.grad.isfinite().all()


@pytest.mark.parametrize("window", [1, 6])
def test_a_window_without_a_middle_is_refused(window):
    with pytest.raises(OptionError, match="window: must be odd and at least 3"):
        ArtifactLoss(window)
