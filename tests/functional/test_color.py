"""BT.601 color conversion against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.color
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.color import LUMA_SWING, rgb_to_y


@pytest.fixture
def rgb():
    return torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_luma_equals_that_of_scikit_image(rgb):
    expected = skimage.color.rgb2ycbcr(rgb.numpy(), channel_axis=1)[:, :1]
    np.testing.assert_allclose(rgb_to_y(rgb).numpy() * 255, expected, atol=1e-9)


def test_luma_swings_by_219_of_255_levels():
    assert pytest.approx(219 / 255, rel=1e-12) == LUMA_SWING


@pytest.mark.parametrize(("grey", "luma"), [(0.0, 16.0), (1.0, 235.0)])
def test_luma_spans_studio_swing(grey, luma):
    image = torch.full((3, 1, 1), grey, dtype=torch.float64)
    assert rgb_to_y(image).item() * 255 == pytest.approx(luma, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(rgb, dtype):
    assert rgb_to_y(rgb.to(dtype)).dtype == dtype


def test_grey_image_is_refused_with_the_remedy():
    with pytest.raises(OptionError, match="pass grey images as they are"):
        rgb_to_y(torch.zeros(1, 4, 4))


def test_integer_image_is_refused_with_the_remedy():
    with pytest.raises(OptionError, match="divide by its range"):
        rgb_to_y(torch.zeros(3, 4, 4, dtype=torch.uint8))
