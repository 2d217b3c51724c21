"""The Fourier loss against numpy's transform."""

from __future__ import annotations

import numpy as np
import torch

from monai_sr.losses import FrequencyLoss


def test_is_the_mean_over_real_and_imaginary_parts_of_the_half_spectrum():
    sr, hr = torch.rand(2, 2, 3, 6, 8, dtype=torch.float64).unbind()
    spectrum = np.fft.rfft2((sr - hr).numpy(), norm="ortho")
    expected = (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    torch.testing.assert_close(FrequencyLoss()(sr, hr), torch.tensor(expected))


def test_does_not_depend_on_the_size_of_a_patch_of_noise():
    small, large = torch.randn(1, 1, 64, 64), torch.randn(1, 1, 256, 256)
    zero = torch.zeros(())
    ratio = FrequencyLoss()(small, zero) / FrequencyLoss()(large, zero)
    assert 0.95 < float(ratio) < 1.05


def test_volumes_are_transformed_along_three_axes():
    # A single bright voxel has the same share of all frequencies along all axes.
    sr = torch.zeros(1, 1, 4, 4, 4)
    sr[..., 0, 0, 0] = 1.0
    value = FrequencyLoss()(sr, torch.zeros_like(sr))
    torch.testing.assert_close(value, torch.tensor(0.5 / 4**1.5))


def test_gradient_is_that_of_the_formula_and_finite_for_equal_images():
    hr = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    sr = torch.rand_like(hr).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: FrequencyLoss()(x, hr), sr)
    equal = hr.clone().requires_grad_()
    FrequencyLoss()(equal, hr).backward()
    assert equal.grad.isfinite().all()


def test_half_precision_images_are_compared_in_float32():
    sr, hr = torch.rand(2, 1, 1, 8, 8).bfloat16().unbind()
    assert FrequencyLoss()(sr, hr).dtype == torch.float32
