"""Bicubic resizing against the published benchmark images and a matrix written from the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.io import imread

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import (
    REACH,
    downsample,
    downsample_uint8,
    phase_kernel,
    resize,
    resize_to,
    round_half_up,
    upsample,
)


def keys(distance):
    """Keys, 1981, equation (15)."""
    d = abs(distance)
    if d < 1:
        return (3 * d**3 - 5 * d**2 + 2) / 2
    return (-(d**3) + 5 * d**2 - 8 * d + 4) / 2 if d < 2 else 0.0


def reference_matrix(size, scale):
    """Fill the matrix of one axis sample by sample, mirroring every source by itself."""
    out_size = math.ceil(round(size * scale, 9))
    matrix, shrink = np.zeros((out_size, size)), min(scale, 1.0)
    reach = math.ceil(2 / shrink) + 1
    for row in range(out_size):
        center = (row + 0.5) / scale - 0.5
        for source in range(math.floor(center) - reach, math.floor(center) + reach + 1):
            weight = keys(shrink * (center - source))
            inside = source
            while not 0 <= inside < size:
                inside = -1 - inside if inside < 0 else 2 * size - 1 - inside
            matrix[row, inside] += weight
        matrix[row] /= matrix[row].sum()
    return torch.from_numpy(matrix)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["baby", "bird", "butterfly", "head", "woman"])
def test_shrunk_set5_equals_the_published_images_in_every_value(shared_data, name, scale):
    benchmarks = shared_data / "benchmarks"
    hr = torch.from_numpy(imread(benchmarks / "Set5" / f"{name}.png")).movedim(-1, 0)
    height, width = (size // scale * scale for size in hr.shape[1:])
    folder = benchmarks / f"Set5_LR_bicubic_X{scale}"
    expected = imread(next(folder.glob(f"{name}*.png")))
    assert np.array_equal(
        downsample_uint8(hr[:, :height, :width], scale).movedim(0, -1).numpy(), expected
    )


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    scale=st.one_of(st.sampled_from([0.25, 1 / 3, 0.5, 2.0, 3.0, 4.0]), st.floats(0.1, 5)),
)
def test_any_size_and_factor_equals_the_reference(height, width, scale):
    image = torch.rand(2, height, width, dtype=torch.float64)
    expected = reference_matrix(height, scale) @ image @ reference_matrix(width, scale).T
    torch.testing.assert_close(resize(image, scale), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [32, 33, 129, 300])
@pytest.mark.parametrize("scale", [0.25, 1 / 3, 0.7, 1.9, 4])
@pytest.mark.parametrize("dim", [0, 1])
def test_blocks_join_without_a_gap(size, scale, dim):
    image = torch.rand([size, 3][:: 1 - 2 * dim], dtype=torch.float64)
    expected = torch.tensordot(reference_matrix(size, scale), image, ([1], [dim])).movedim(0, dim)
    torch.testing.assert_close(resize(image, scale, (dim,)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_constant_stays_constant(scale, dtype):
    image = torch.full((1, 12, 24), 0.3, dtype=dtype)
    for result in (upsample(image, scale), downsample(image, scale)):
        assert result.dtype == dtype
        torch.testing.assert_close(result, torch.full_like(result, 0.3))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_outer_edges_coincide(scale):
    # A ramp whose value is the position in units of the coarse grid, edges at 0 and 24.
    coarse = torch.arange(24, dtype=torch.float64) + 0.5
    fine = (torch.arange(24 * scale, dtype=torch.float64) + 0.5) / scale
    inner, fine_inner = slice(REACH, -REACH), slice(REACH * scale, -REACH * scale)
    torch.testing.assert_close(upsample(coarse, scale, (0,))[fine_inner], fine[fine_inner])
    torch.testing.assert_close(downsample(fine, scale, (0,))[inner], coarse[inner])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_and_shrinking_a_smooth_image_gives_it_back(scale):
    # Cosines of whole half-waves are smooth across the mirrored edges too.
    wave = torch.cos(torch.pi * (torch.arange(60, dtype=torch.float64) + 0.5) / 60)
    image = wave[:, None] * wave
    torch.testing.assert_close(downsample(upsample(image, scale), scale), image, rtol=0, atol=5e-4)


def test_axes_of_a_volume_are_resized_each_by_its_factor():
    volume = torch.rand(6, 8, 10, 2, dtype=torch.float64)
    factors, dims = (2.0, 0.5, 1.5), (0, 1, 2)
    expected = volume
    for factor, dim in zip(factors, dims, strict=True):
        matrix = reference_matrix(volume.shape[dim], factor)
        expected = torch.tensordot(matrix, expected, ([1], [dim])).movedim(0, dim)
    torch.testing.assert_close(resize(volume, factors, dims), expected)


def test_memory_layout_makes_no_difference():
    image = torch.rand(2, 3, 16, 12)
    turned = image.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(upsample(turned, 2), upsample(image, 2))
    torch.testing.assert_close(upsample(image.mT, 2).mT, upsample(image, 2))


@pytest.mark.parametrize("scale", [0.5, 2.0, 1.3])
def test_gradient_is_the_transposed_matrix(scale):
    image = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, scale), image)


def test_matrices_made_in_inference_mode_serve_training_later():
    image = torch.rand(1, 11, 13)
    with torch.inference_mode():
        expected = resize(image, 1.7)
    resized = resize(image.requires_grad_(), 1.7)
    resized.sum().backward()
    torch.testing.assert_close(resized, expected.clone())


def test_autocast_does_not_round():
    image = torch.rand(1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        result = upsample(image, 2)
    assert torch.equal(result, upsample(image, 2))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_phase_kernels_are_the_rows_of_the_matrices(scale):
    size, middle = 9, 4
    columns = slice(middle - REACH, middle + REACH + 1)
    up = reference_matrix(size, scale)[middle * scale : (middle + 1) * scale, columns]
    torch.testing.assert_close(phase_kernel(scale, down=False), up)
    down = reference_matrix(size * scale, 1 / scale)[middle].reshape(size, scale)[columns]
    torch.testing.assert_close(phase_kernel(scale, down=True), down.T)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_phases_of_enlarging_sum_to_one_and_mirror_each_other(scale):
    kernel = phase_kernel(scale, down=False)
    torch.testing.assert_close(kernel.sum(dim=1), torch.ones(scale, dtype=torch.float64))
    torch.testing.assert_close(kernel.flip(0, 1), kernel)


def test_halves_are_rounded_up_and_clipped_to_grey_levels():
    levels = torch.tensor([0.5, 1.4999, 2.5 - 1e-12, -3.0, 255.5])
    assert round_half_up(levels.double()).tolist() == [1, 1, 3, 0, 255]


def test_size_that_the_factor_does_not_divide_is_refused():
    with pytest.raises(OptionError, match=r"multiples of 4, got \[8, 6\]; crop it"):
        downsample(torch.zeros(8, 6), 4)


def test_integers_are_refused():
    with pytest.raises(OptionError, match="convert it"):
        resize(torch.zeros(4, 4, dtype=torch.uint8), 2)


@pytest.mark.parametrize("scale", [0, -1.0, (2.0, 2.0, 2.0), (2.0,)])
def test_factors_that_do_not_fit_are_refused(scale):
    with pytest.raises(OptionError, match="one positive factor"):
        resize(torch.zeros(4, 4), scale)


@pytest.mark.parametrize("sizes", [(37, 101), (90, 40), (64, 71), (23, 17), (200, 64)])
def test_any_size_equals_pillows_bicubic_beyond_the_edges(sizes):
    # Pillow has the same kernel, grid and antialiasing; at edges it leaves taps out.
    image = np.random.default_rng(6).random((64, 71), dtype=np.float32)
    expected = Image.fromarray(image).resize(sizes[::-1], Image.Resampling.BICUBIC)
    found = resize_to(torch.from_numpy(image).double(), sizes)
    assert found.shape == sizes
    # A tap reaches two samples of the coarser grid.
    edges = [math.ceil(2 * max(1, n / m)) + 1 for n, m in zip(sizes, image.shape, strict=True)]
    inner = tuple(slice(e, -e) for e in edges)
    np.testing.assert_allclose(found[inner], np.asarray(expected)[inner], rtol=0, atol=2e-6)


@given(st.integers(1, 400), st.integers(1, 400))
@settings(deadline=None)
def test_any_size_is_met_and_outer_edges_stay(size, target):
    # A ramp of the place in the image, mirrored nowhere: beyond the reach of the edges it stays.
    ramp = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    found = resize_to(ramp, (target,), (0,))
    assert found.shape == (target,)
    expected = (torch.arange(target, dtype=torch.float64) + 0.5) / target
    inside = (expected - 0.5).abs() < 0.5 - 3 / min(size, target)
    # A stretched kernel bends a ramp by at most 0.021 samples (measured); a shifted grid, by more.
    tolerance = 1e-9 if target >= size else 0.025 / target
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=tolerance)


def test_volumes_are_resized_along_every_axis_at_once():
    volume = torch.from_numpy(np.random.default_rng(7).random((9, 8, 7)))
    one_by_one = volume
    for axis, size in ((1, 5), (0, 20), (2, 11)):
        one_by_one = resize_to(one_by_one, (size,), (axis,))
    torch.testing.assert_close(resize_to(volume, (20, 5, 11), (0, 1, 2)), one_by_one)
