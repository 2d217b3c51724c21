"""What is measured of an image is what was done to it, in any units; flat areas tell nothing."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import erf
from skimage.restoration import estimate_sigma

from monai_sr.functional import block_places, jpeg, measure_quality

SIDE = 192


def measure(image, valid=None):
    places = block_places(*image.shape[1:])
    masks = None if valid is None else [valid[:, x, y] for x, y in places]
    return measure_quality([image[:, x, y] for x, y in places], masks)


def ramp(side=SIDE):
    """Rise from 0 to 1: its 1st and 99th percentile lie 0.98 apart."""
    return np.broadcast_to(np.linspace(0, 1, side), (1, side, side)).copy()


def edges(sigma, side=SIDE):
    """Bars of 16 pixels whose edges are Gaussian, between two pixels and on them."""
    place = np.arange(side)[None, :] + np.linspace(0, 1, side)[:, None]
    near = (place % 32) - 8
    profile = 0.5 * (erf(near / sigma / math.sqrt(2)) - erf((near - 16) / sigma / math.sqrt(2)))
    return profile[None]


def photo(samples_dir, name="hr/photo.png"):
    with Image.open(samples_dir / name) as image:
        return np.asarray(image.convert("RGB"), np.float64).transpose(2, 0, 1) / 255


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.05])
def test_white_noise_is_found_as_strong_as_it_is(sigma):
    noisy = ramp() + sigma * np.random.default_rng(0).normal(size=(1, SIDE, SIDE))
    found = measure(noisy)
    low, high = np.percentile(noisy, (1, 99))
    # One cell in ten is seen: of 576 that gives the estimate a few percent.
    assert found.noise * (high - low) == pytest.approx(sigma, rel=0.06)
    assert found.noise * (high - low) == pytest.approx(estimate_sigma(noisy[0]), rel=0.06)


def test_noise_that_grows_with_the_signal_counts_at_middle_brightness():
    rng = np.random.default_rng(0)
    counts = rng.poisson(400 * (ramp() + 0.05)) / 400
    found = measure(counts)
    assert math.sqrt(0.3 / 400) < found.noise < math.sqrt(0.8 / 400)


def test_added_noise_is_seen_in_images_of_all_samples(samples_dir):
    names = ("hr/photo.png", "hr/chest_xray_dx.png")
    for image in (photo(samples_dir, name) for name in names):
        grain = np.random.default_rng(1).normal(size=image.shape)
        found = [measure(image + sigma * grain).noise for sigma in (0, 0.02, 0.04, 0.08)]
        assert all(a < b for a, b in pairwise(found))
        low, high = np.percentile(image + 0.08 * grain, (1, 99))
        assert found[-1] * (high - low) == pytest.approx(0.08, rel=0.2)  # texture adds to it


def test_units_do_not_matter(samples_dir):
    image = photo(samples_dir)
    first, other = measure(image), measure(4000 * image - 1000)
    assert other.noise == pytest.approx(first.noise)
    # Equal steps of 8 bits are rounded apart: some edges come and go.
    assert other.blur == pytest.approx(first.blur, rel=0.01)
    assert other.blocking == pytest.approx(first.blocking)


def test_padding_clipping_and_nodata_do_not_hide_noise():
    noisy = ramp() + 0.02 * np.random.default_rng(0).normal(size=(1, SIDE, SIDE))
    plain = measure(noisy).noise
    clipped = noisy.clip(0.2, 0.8)
    padded, valid = noisy.copy(), np.ones(noisy.shape, bool)
    padded[:, :80], valid[:, :80] = -9999, False
    assert measure(clipped).noise * 0.6 == pytest.approx(0.02, rel=0.1)
    assert measure(padded, valid).noise == pytest.approx(plain, rel=0.1)
    padded[:, :80] = np.nan
    assert measure(padded).noise == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.6])
def test_blur_is_that_of_the_edges(sigma):
    # The sharper quarter of edges lies with its steepest place between two pixels.
    assert measure(edges(sigma)).blur == pytest.approx(sigma, rel=0.08)


def test_blurring_a_photo_is_seen(samples_dir):
    image = photo(samples_dir)
    found = [measure(gaussian_filter(image, (0, s, s))).blur for s in (0, 1, 2)]
    assert found[0] < found[1] < found[2]
    assert found[2] == pytest.approx(2, abs=0.4)


def test_blocks_of_jpeg_are_seen_at_any_offset(samples_dir):
    image = torch.from_numpy(photo(samples_dir)).float()
    pressed = jpeg(image, 30).numpy()
    assert measure(image.numpy()).blocking < 0.02
    assert measure(pressed).blocking > 0.1
    assert measure(pressed[:, 3:, 5:]).blocking > 0.1


def test_what_tells_nothing_is_unknown():
    for image in (np.full((1, 40, 40), 0.3), np.full((2, 40, 40), np.nan)):
        found = measure(image)
        assert all(math.isnan(v) for v in (found.noise, found.blur, found.blocking))
    assert block_places(15, 400) == []
    assert math.isnan(measure_quality([]).noise)


@pytest.mark.parametrize("size", [(16, 16), (64, 100), (127, 128), (1000, 700), (100_000, 80_000)])
def test_blocks_lie_within_the_image_apart_and_on_the_grid_of_jpeg(size):
    places = block_places(*size)
    assert 1 <= len(places) <= 64
    assert len(set(map(str, places))) == len(places)
    for axis in (0, 1):
        lines = sorted({(p[axis].start, p[axis].stop) for p in places})
        assert lines[0][0] == 0
        assert all(start % 8 == 0 and stop <= size[axis] for start, stop in lines)
        assert all(a[1] <= b[0] for a, b in pairwise(lines))
    # However large: the far end is seen, too.
    assert size[0] - places[-1][0].stop < 64
