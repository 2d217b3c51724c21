"""Structural similarity against scikit-image and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.regression import SSIMMetric as MonaiSSIM
from skimage import data
from skimage.metrics import structural_similarity

from monai_sr.core.errors import OptionError
from monai_sr.functional.ssim import ssim, ssim_map


def _pair(shape=(37, 52)):
    clean = data.camera()[100 : 100 + shape[0], 200 : 200 + shape[1]].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 12, shape)
    return clean, clean + noise


def _tensor(array):
    return torch.from_numpy(array)[None, None]


def test_map_equals_scikit_image_inside_its_border():
    clean, noisy = _pair()
    _, expected = structural_similarity(
        noisy, clean, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    result = ssim_map(_tensor(noisy), _tensor(clean), data_range=255)
    np.testing.assert_allclose(result[0, 0].numpy(), expected[5:-5, 5:-5], atol=1e-10)


def test_mean_equals_monai_in_range_one():
    clean, noisy = (_tensor(a / 255).float() for a in _pair())
    expected = MonaiSSIM(spatial_dims=2, data_range=1.0)(noisy, clean)
    torch.testing.assert_close(
        ssim(noisy, clean, data_range=1.0), expected[:, 0], atol=1e-5, rtol=0
    )


def test_volume_equals_monai_in_three_dimensions():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 1, 12, 13, 14, generator=generator)
    noisy = clean + 0.1 * torch.rand(clean.shape, generator=generator)
    expected = MonaiSSIM(spatial_dims=3, data_range=1.0)(noisy, clean)
    torch.testing.assert_close(
        ssim(noisy, clean, data_range=1.0), expected[:, 0], atol=1e-5, rtol=0
    )


def test_float32_agrees_with_float64_on_a_large_mean():
    clean, noisy = _pair()
    exact = ssim(_tensor(noisy), _tensor(clean), data_range=255)
    single = ssim(_tensor(noisy).float(), _tensor(clean).float(), data_range=255)
    assert single.item() == pytest.approx(exact.item(), abs=2e-6)


def test_equal_images_score_one():
    clean, _ = _pair()
    assert ssim(_tensor(clean), _tensor(clean), data_range=255).item() == pytest.approx(1.0)


def test_batch_equals_one_by_one():
    clean, noisy = _pair()
    batch = ssim(
        torch.cat([_tensor(noisy), _tensor(clean)]),
        torch.cat([_tensor(clean), _tensor(noisy)]),
        data_range=255,
    )
    single = ssim(_tensor(noisy), _tensor(clean), data_range=255)
    torch.testing.assert_close(batch[:1], single)


def test_a_gradient_reaches_the_image():
    clean, noisy = (_tensor(a / 255) for a in _pair((11, 12)))
    noisy.requires_grad_()
    ssim(noisy, clean, data_range=1.0).sum().backward()
    assert noisy.grad is not None
    assert noisy.grad.abs().min() > 0


def test_image_smaller_than_the_window_is_refused_with_the_remedy():
    with pytest.raises(OptionError, match="use PSNR"):
        ssim(torch.zeros(1, 1, 10, 40), torch.zeros(1, 1, 10, 40), data_range=1.0)


@pytest.mark.parametrize(
    ("other", "data_range", "remedy"),
    [
        (torch.zeros(1, 1, 12, 13), 1.0, "crop or convert"),
        (torch.zeros(1, 1, 12, 12, dtype=torch.float64), 1.0, "crop or convert"),
        (torch.zeros(1, 1, 12, 12), 0.0, "pass 255"),
    ],
)
def test_a_pair_that_cannot_be_compared_is_refused(other, data_range, remedy):
    with pytest.raises(OptionError, match=remedy):
        ssim(torch.zeros(1, 1, 12, 12), other, data_range=data_range)


def test_an_image_without_batch_axis_is_refused():
    with pytest.raises(OptionError, match="add the missing axes"):
        ssim(torch.zeros(1, 12, 12), torch.zeros(1, 12, 12), data_range=1.0)
