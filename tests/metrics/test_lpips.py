"""LPIPS as a metric: what it is given, and the order of distances."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.metrics import LPIPSMetric, lpips


@pytest.fixture
def pair():
    hr = torch.rand(2, 3, 32, 40)
    return (hr + 0.1 * torch.randn_like(hr)).clamp(0, 1), hr


def test_equal_images_have_distance_zero(pair):
    assert lpips(pair[1], pair[1]).tolist() == [0.0, 0.0]


def test_more_noise_is_farther(pair):
    hr = pair[1]
    noise = torch.randn_like(hr)
    near, far = (lpips((hr + s * noise).clamp(0, 1), hr) for s in (0.05, 0.2))
    assert bool((near > 0).all())
    assert bool((near < far).all())


def test_grey_images_are_repeated_three_times(pair):
    sr, hr = (image[:, :1] for image in pair)
    expected = lpips(sr.repeat(1, 3, 1, 1), hr.repeat(1, 3, 1, 1))
    torch.testing.assert_close(lpips(sr, hr), expected)


def test_metric_sees_stored_colors_inside_the_border(pair):
    metric = LPIPSMetric(scale=4, protocol="natural")
    metric(*pair)
    sr, hr = ((image.double() * 255 + 0.5).floor()[..., 4:-4, 4:-4] / 255 for image in pair)
    torch.testing.assert_close(metric.get_buffer()[:, 0], lpips(sr, hr))


def test_no_graph_is_kept(pair):
    assert not lpips(pair[0].requires_grad_(), pair[1]).requires_grad


@pytest.mark.parametrize(("net", "side"), [("squeeze", 17), ("alex", 31), ("vgg", 16)])
def test_images_too_small_for_the_network_are_refused(net, side):
    small = torch.zeros(1, 3, side - 1, 40)
    with pytest.raises(OptionError, match=f"at least {side} pixels"):
        lpips(small, small, net)


def test_smallest_image_is_judged():
    image = torch.rand(1, 3, 17, 17)
    assert lpips(1 - image, image).item() > 0
