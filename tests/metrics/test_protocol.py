"""The protocol: luma, border, rounding, range, and the low-resolution image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skimage.color
import torch
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.functional import opencv_downsample
from monai_sr.functional.resize import downsample, downsample_uint8
from monai_sr.metrics import CoverageMetric, LPIPSMetric, LRPSNRMetric, PSNRMetric, SSIMMetric
from monai_sr.metrics.protocol import (
    NATURAL,
    get_protocol,
    make_lr,
    modcrop,
    native,
    prepare_pair,
    to_stored,
)
from tests.image_factory import pixels


def _color(height=20, width=26):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


def test_natural_compares_the_luma_of_the_stored_image():
    image = _color()
    stored = np.floor(image.numpy()[0].astype(np.float64) * 255 + 0.5).astype(np.uint8)
    expected = skimage.color.rgb2ycbcr(stored, channel_axis=0)[0]
    sr, _ = prepare_pair(image, image, 3, "natural")
    np.testing.assert_allclose(sr[0, 0].numpy(), expected[3:-3, 3:-3], atol=1e-9)


def test_natural_keeps_grey_images_as_they_are():
    image = torch.tensor([0.0, 100.4 / 255, 1.2, -0.1]).reshape(1, 1, 2, 2)
    sr, _ = prepare_pair(image, image, 0, "natural")
    assert sr.flatten().tolist() == [0.0, 100.0, 255.0, 0.0]


def test_halves_are_rounded_up():
    assert to_stored(torch.tensor([[2.5, 3.5]], dtype=torch.float64) / 255, NATURAL).tolist() == [
        [3.0, 4.0]
    ]


def test_native_leaves_every_channel_and_value_as_it_is():
    image = _color() * 1.5 - 0.2
    sr, hr = prepare_pair(image, image, 2, "native")
    assert torch.equal(sr, image[..., 2:-2, 2:-2].double())
    assert torch.equal(hr, sr)


def test_native_of_a_stored_range_rounds_to_its_values():
    sr, _ = prepare_pair(torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4), 0, native(4095))
    assert sr.unique().tolist() == [2048.0]


def test_volumes_lose_their_border_on_every_axis():
    volume = torch.zeros(1, 1, 9, 10, 11)
    assert prepare_pair(volume, volume, 2, "native")[0].shape == (1, 1, 5, 6, 7)


def test_image_without_batch_axis_keeps_its_channels():
    image = _color()[0]
    assert prepare_pair(image, image, 2, "natural")[0].shape == (1, 16, 22)


@pytest.mark.parametrize("scale", [2, 4])
def test_low_resolution_equals_the_published_images(shared_data, scale):
    hr_file = shared_data / "benchmarks" / "Set5" / "woman.png"
    lr_file = shared_data / "benchmarks" / f"Set5_LR_bicubic_X{scale}" / f"womanx{scale}.png"
    hr = torch.from_numpy(np.array(Image.open(hr_file))).permute(2, 0, 1)[None].double() / 255
    expected = torch.from_numpy(np.array(Image.open(lr_file))).permute(2, 0, 1)[None]
    lr = make_lr(modcrop(hr, scale), scale, "natural") * 255
    assert (lr.round() - expected).abs().max() <= 1  # the published files' own rounding


def test_low_resolution_of_unrounded_images_is_not_rounded():
    hr = _color().double()
    lr = make_lr(hr, 2, "native")
    assert lr.shape == (1, 3, 10, 13)
    assert (to_stored(lr, NATURAL) / 255 - lr).abs().max() > 1e-4


def test_low_resolution_of_twelve_bits_keeps_whole_values():
    lr = make_lr(_color(), 2, native(4095)) * 4095
    torch.testing.assert_close(lr, lr.round())


def test_low_resolution_of_twelve_bits_equals_its_definition():
    stored = torch.from_numpy(pixels((1, 20, 26), "uint16") % 4096)[None].double()
    lr = make_lr(stored / 4095, 2, native(4095)) * 4095
    expected = (downsample(stored, 2) + 0.5).floor().clamp(0, 4095)
    torch.testing.assert_close(lr, expected, rtol=0, atol=1e-9)
    assert lr.unique().numel() > 50


def test_low_resolution_of_eight_bits_is_rounded_as_matlab_rounds_uint8():
    stored = torch.from_numpy(pixels((3, 20, 26)))[None]
    lr = make_lr(stored.double() / 255, 2, "natural") * 255
    torch.testing.assert_close(lr, downsample_uint8(stored, 2).double(), rtol=0, atol=1e-9)
    assert not torch.equal(lr.round(), (downsample(stored.double(), 2) + 0.5).floor())


def test_descriptions_say_which_plane_is_compared():
    assert "luma (Y of BT.601) of color images" in NATURAL.description
    assert "values rounded to 0…4095, every channel" in native(4095).description
    assert "values as are, every channel" in native().description


def test_modcrop_cuts_bottom_and_right():
    image = _color(21, 27)
    assert torch.equal(modcrop(image, 4), image[..., :20, :24])


def test_image_smaller_than_the_scale_is_refused():
    with pytest.raises(BadImageError, match="leave it out"):
        modcrop(torch.zeros(1, 1, 3, 9), 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value):
    bad = torch.full((1, 1, 4, 4), value)
    with pytest.raises(BadImageError, match="check the network's weights"):
        prepare_pair(bad, torch.zeros(1, 1, 4, 4), 0, "natural")


def test_pairs_of_different_size_are_refused():
    with pytest.raises(OptionError, match="crop hr"):
        prepare_pair(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5), 0, "natural")


def test_a_border_that_leaves_nothing_is_refused():
    with pytest.raises(OptionError, match="pass scale 0"):
        prepare_pair(torch.zeros(1, 1, 8, 9), torch.zeros(1, 1, 8, 9), 4, "natural")


def test_an_unknown_protocol_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'natural'"):
        get_protocol("naturl")


def test_a_range_is_refused_where_the_protocol_fixes_it():
    with pytest.raises(OptionError, match="use protocol 'native'"):
        get_protocol("natural", data_range=4095)


def test_a_range_that_is_not_positive_is_refused():
    with pytest.raises(OptionError, match="such as 255"):
        native(0)


def test_natural_opencv_differs_in_the_small_image_alone():
    stored = torch.randint(0, 256, (1, 3, 12, 16), dtype=torch.uint8)
    lr = make_lr(stored.double() / 255, 4, "natural_opencv") * 255
    assert torch.equal(lr.round().to(torch.uint8), opencv_downsample(stored, 4))
    assert replace(get_protocol("natural_opencv"), name="natural", shrinking=NATURAL.shrinking) == (
        NATURAL
    )


def test_another_way_to_shrink_is_unknown():
    with pytest.raises(OptionError, match="MATLAB bicubic"):
        replace(NATURAL, shrinking="MATLAB bicubi")


@pytest.mark.parametrize("metric", [PSNRMetric, SSIMMetric, LPIPSMetric, CoverageMetric])
@pytest.mark.parametrize("change", [lambda x: (x * 255).to(torch.uint8), lambda x: 2 * x - 1])
def test_images_of_another_range_are_refused_where_they_would_be_clipped(metric, change):
    """Clipped to [0, 1], two different images of 0 to 255 are both white: infinite PSNR."""
    hr = change(_color(40, 40))
    sr = torch.cat([hr // 2, hr], dim=1) if metric is CoverageMetric else hr // 2
    with pytest.raises(OptionError, match=r"hr: must hold values in \[0, 1\], got .*/ 255"):
        metric(scale=2)(y_pred=sr, y=hr)


def test_inputs_of_another_range_are_refused_where_they_would_be_clipped():
    sr = 255 * _color(16, 16)
    with pytest.raises(OptionError, match=r"must hold values in \[0, 1\]"):
        LRPSNRMetric(scale=2)(y_pred=sr, y=sr[..., ::2, ::2])
    with pytest.raises(OptionError, match=r"must hold values in \[0, 1\]"):
        make_lr(sr, 2, "natural")


def test_a_few_values_outside_of_the_range_are_clipped():
    hr = _color()
    hr[..., 3, :] = 40
    assert prepare_pair(hr, hr, 0, "natural")[0].max() <= 255
