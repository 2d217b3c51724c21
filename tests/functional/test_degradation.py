"""Degradations give the values of the programs whose work they imitate."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from monai_sr.core.errors import OptionError
from monai_sr.functional.degradation import gaussian_blur, jpeg, opencv_downsample
from monai_sr.functional.resize import downsample

IMAGE = [
    [162, 69, 10, 4, 207, 233, 155, 186, 139, 238, 208, 1],
    [219, 9, 186, 45, 220, 138, 76, 108, 7, 32, 171, 165],
    [157, 98, 254, 250, 175, 166, 176, 99, 34, 184, 134, 79],
    [124, 227, 238, 91, 146, 82, 152, 86, 100, 227, 58, 159],
    [21, 212, 201, 61, 224, 15, 86, 38, 115, 203, 59, 13],
    [103, 51, 23, 148, 76, 171, 51, 240, 93, 27, 160, 236],
    [112, 243, 127, 108, 158, 254, 242, 117, 193, 127, 135, 200],
    [106, 187, 181, 238, 29, 186, 236, 247, 4, 220, 250, 244],
]
# cv2.resize(IMAGE, ..., interpolation=cv2.INTER_CUBIC) of OpenCV 4.10.0 and 5.0.0, which agree.
BY_OPENCV = {
    2: [
        [108, 34, 227, 127, 82, 149],
        [150, 236, 132, 145, 155, 96],
        [83, 97, 122, 97, 94, 114],
        [178, 166, 155, 222, 139, 205],
    ],
    3: [[9, 220, 108, 171], [212, 224, 38, 59]],
    4: [[129, 133, 131], [91, 196, 81]],
}
# The same of float32 IMAGE / 255.
BY_OPENCV_FLOAT = {
    3: [[0.035294, 0.862745, 0.423529, 0.670588], [0.831373, 0.878431, 0.14902, 0.231373]],
    4: [[0.50414, 0.523028, 0.512255], [0.355216, 0.768007, 0.316311]],
}


@pytest.fixture
def photo(shared_data):
    file = sorted((shared_data / "train" / "photos").glob("*"))[0]
    with Image.open(file) as image:
        pixels = np.array(image.convert("RGB"))[:240, :240]
    return torch.from_numpy(pixels).permute(2, 0, 1).double() / 255


@pytest.mark.parametrize("scale", BY_OPENCV)
def test_opencv_cubic_equals_opencv_in_eight_bits(scale):
    image = torch.tensor(IMAGE, dtype=torch.uint8)[: 8 // scale * scale]
    found = opencv_downsample(image, scale)
    assert found.dtype == torch.uint8
    assert found.tolist() == BY_OPENCV[scale]


@pytest.mark.parametrize("scale", BY_OPENCV_FLOAT)
def test_opencv_cubic_equals_opencv_in_single_precision(scale):
    image = torch.tensor(IMAGE, dtype=torch.float32)[: 8 // scale * scale] / 255
    expected = torch.tensor(BY_OPENCV_FLOAT[scale])
    torch.testing.assert_close(opencv_downsample(image, scale), expected, rtol=0, atol=1e-6)


def test_opencv_cubic_rounds_halves_to_even():
    # Taps are -3/32, 19/32, 19/32, -3/32: 16 * 19 / 32 = 9.5 and 48 * 19 / 32 = 28.5.
    rows = torch.tensor([[0, 16, 0, 0], [0, 48, 0, 0]], dtype=torch.uint8)
    assert opencv_downsample(rows, 4, dims=(-1,)).tolist() == [[10], [28]]


def test_opencv_cubic_aliases_and_bicubic_does_not():
    stripes = torch.tensor([0.0, 1.0, 1.0, 0.0]).repeat(32, 8)
    assert opencv_downsample(stripes, 4)[2:-2, 2:-2].min() > 1.1  # as if all were bright
    assert (downsample(stripes, 4)[2:-2, 2:-2] - 0.5).abs().max() < 0.1


def test_opencv_cubic_of_a_constant_is_the_constant():
    assert (opencv_downsample(torch.full((3, 8, 12), 200, dtype=torch.uint8), 2) == 200).all()


@pytest.mark.parametrize("scale", [0, 3])
def test_opencv_cubic_refuses_a_scale_that_does_not_divide(scale):
    with pytest.raises(OptionError, match=r"multiples of \d, got \[8, 12\]; crop it first"):
        opencv_downsample(torch.zeros(8, 12), scale)


@pytest.mark.parametrize("sigma", [0.0, 2.0, 3.7, 8.0])
def test_wide_blur_equals_scipy(sigma):
    image = np.random.default_rng(0).random((2, 15, 9))
    expected = np.stack([gaussian_filter(c, sigma, mode="nearest", truncate=6) for c in image])
    found = gaussian_blur(torch.from_numpy(image), sigma)
    # Kernels end four standard deviations and four pixels from their center.
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.8, 1.5])
def test_blur_weakens_each_frequency_as_a_gaussian_does(sigma):
    place = torch.arange(200, dtype=torch.float64)
    inner = (0, 20, slice(20, -20))
    for frequency in (0.2, 1.0, 2.0, 3.0):
        wave = torch.cos(frequency * place).expand(1, 40, 200)
        found, before = gaussian_blur(wave, sigma)[inner], wave[inner]
        ratio = (found * before).sum() / before.square().sum()
        assert ratio.item() == pytest.approx(np.exp(-0.5 * (sigma * frequency) ** 2), abs=0.03)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("sigma", "share"), [(0.5, 0.15), (0.7, 0.08), (1.0, 0.02)])
def test_blur_after_shrinking_equals_wider_blur_before(photo, scale, sigma, share):
    wider = gaussian_filter(photo.numpy(), (0, sigma * scale, sigma * scale))
    before = downsample(torch.from_numpy(wider), scale)
    after = gaussian_blur(downsample(photo, scale), sigma)
    inner = (..., slice(6, -6), slice(6, -6))
    change = (after - downsample(photo, scale))[inner].square().mean().sqrt()
    error = (after - before)[inner].square().mean().sqrt()
    # What differs is aliasing, and the end of the frequencies.
    assert error < share * change


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("quality", [10, 75])
def test_jpeg_equals_pillow(channels, quality):
    image = np.random.default_rng(2).integers(0, 256, (channels, 24, 20), dtype=np.uint8)
    found = jpeg(torch.from_numpy(image).float() / 255, quality)
    pages = [image.transpose(1, 2, 0)] if channels == 3 else list(image)
    expected = []
    for page in pages:
        file = io.BytesIO()
        Image.fromarray(page).save(file, format="JPEG", quality=quality)
        expected.append(np.asarray(Image.open(file)))
    expected = expected[0].transpose(2, 0, 1) if channels == 3 else np.stack(expected)
    assert found.dtype == torch.float32
    assert torch.equal((found * 255).round().to(torch.uint8), torch.tensor(expected))


def test_jpeg_loses_more_at_lower_quality(photo):
    errors = [float((jpeg(photo, q) - photo).square().mean()) for q in (90, 60, 30, 10)]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_a_scale_of_one_changes_nothing():
    image = torch.tensor(IMAGE, dtype=torch.uint8)
    assert torch.equal(opencv_downsample(image, 1), image)


def test_jpeg_clips_what_lies_outside(photo):
    wide = photo * 3 - 1
    assert torch.equal(jpeg(wide, 75), jpeg(wide.clamp(0, 1), 75))
