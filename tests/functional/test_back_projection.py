"""Back-projection against its formula, and the laws that tiling relies on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_sr.functional.back_projection import HALO_PER_STEP, back_project
from monai_sr.functional.resize import downsample, upsample


def formula(sr, lr, scale, steps, low, high):
    dims = tuple(range(2, sr.ndim))
    sr = sr.clamp(low, high)
    for _ in range(steps):
        sr = (sr + upsample(lr - downsample(sr, scale, dims), scale, dims)).clamp(low, high)
    return sr


def pair(scale, *sides, channels=2):
    lr = torch.rand(2, channels, *sides, dtype=torch.float64)
    sr = torch.rand(2, channels, *(side * scale for side in sides), dtype=torch.float64)
    return sr, lr


@settings(deadline=None, max_examples=50)
@given(
    scale=st.sampled_from([2, 3, 4]),
    height=st.integers(1, 5) | st.integers(15, 40),
    width=st.integers(1, 5) | st.integers(15, 40),
    steps=st.integers(0, 3),
)
def test_slabs_equal_the_formula_at_any_size(scale, height, width, steps):
    sr, lr = pair(scale, height, width)
    before = sr.clone()
    result = back_project(sr, lr, scale, steps, 0.2, 0.8)
    torch.testing.assert_close(result, formula(sr, lr, scale, steps, 0.2, 0.8))
    assert torch.equal(sr, before)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_slabs_of_a_volume_equal_the_formula(scale):
    sr, lr = pair(scale, 18, 3, 2)
    torch.testing.assert_close(
        back_project(sr, lr, scale, 2, 0.0, 1.0), formula(sr, lr, scale, 2, 0.0, 1.0)
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_each_step_is_more_consistent_than_the_one_before(scale):
    sr, lr = pair(scale, 24, 20)
    errors = [
        (lr - downsample(back_project(sr, lr, scale, steps), scale)).square().mean().item()
        for steps in range(6)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[5] < 1e-2 * errors[0]


def test_consistent_image_stays_as_it_is():
    sr, _ = pair(2, 9, 9)
    torch.testing.assert_close(back_project(sr, downsample(sr, 2), 2, 3), sr)


def test_result_keeps_to_the_limits_of_each_image():
    sr, lr = pair(2, 6, 6)
    low, high = (torch.tensor(v).double().view(2, 1, 1, 1) for v in ([0.1, 0.4], [0.5, 0.9]))
    result = back_project(sr, lr, 2, 2, low, high)
    assert (result >= low).all()
    assert (result <= high).all()
    single = back_project(sr[1:], lr[1:], 2, 2, 0.4, 0.9)
    torch.testing.assert_close(result[1:], single)


def test_no_steps_only_clip():
    sr, lr = pair(2, 4, 4)
    assert torch.equal(back_project(sr, lr, 2, 0, 0.3), sr.clamp(min=0.3))
    assert torch.equal(back_project(sr, lr, 2, 0), sr)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("steps", [1, 2])
def test_crop_with_the_halo_equals_the_whole(scale, steps):
    halo = HALO_PER_STEP * steps
    sr, lr = pair(scale, 50, 2 * halo + 3)
    begin, end = 11, 11 + 2 * halo + 10
    whole = back_project(sr, lr, scale, steps, 0.0, 1.0)
    fine = slice(begin * scale, end * scale)
    crop = back_project(sr[:, :, fine], lr[:, :, begin:end], scale, steps, 0.0, 1.0)
    inner = slice(halo * scale, -halo * scale)
    torch.testing.assert_close(crop[:, :, inner], whole[:, :, fine][:, :, inner])


def test_less_than_the_halo_is_not_enough():
    sr, lr = pair(2, 50, 5)
    whole = back_project(sr, lr, 2, 1)
    missing = HALO_PER_STEP - 1
    crop = back_project(sr[:, :, 40:], lr[:, :, 20:], 2, 1)
    assert not torch.allclose(crop[:, :, missing * 2 :], whole[:, :, 40:][:, :, missing * 2 :])


def test_gradient_reaches_both_images():
    sr, lr = (image[:1, :1].requires_grad_() for image in pair(2, 3, 2))
    assert torch.autograd.gradcheck(lambda a, b: back_project(a, b, 2, 2), (sr, lr))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_layout_of_the_input_make_no_difference(dtype):
    sr, lr = (image.to(dtype) for image in pair(2, 20, 7, channels=3))
    result = back_project(sr, lr, 2, 2, 0.0, 1.0)
    assert result.dtype == dtype
    turned = (image.contiguous(memory_format=torch.channels_last) for image in (sr, lr))
    with torch.inference_mode():
        torch.testing.assert_close(back_project(*turned, 2, 2, 0.0, 1.0), result)


def test_autocast_does_not_round():
    sr, lr = (image.float() for image in pair(2, 20, 7))
    expected = back_project(sr, lr, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(back_project(sr, lr, 2, 2), expected)
