"""PSNR against scikit-image and MONAI, and its use in an ignite engine."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.metrics.regression import PSNRMetric as MonaiPSNR
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.metrics import (
    GMSDHandler,
    GMSDMetric,
    LPIPSHandler,
    LPIPSMetric,
    PSNRHandler,
    PSNRMetric,
    SSIMHandler,
    SSIMMetric,
    psnr,
)
from monai_sr.metrics.base import finite_mean


@pytest.fixture
def pair():
    hr = torch.rand(3, 1, 24, 30, dtype=torch.float64)
    return (hr + 0.05 * torch.randn(hr.shape, dtype=torch.float64)).clamp(0, 1), hr


def test_psnr_equals_scikit_image(pair):
    sr, hr = (image * 4095 for image in pair)
    for index, value in enumerate(psnr(sr, hr, 4095).tolist()):
        expected = peak_signal_noise_ratio(hr[index].numpy(), sr[index].numpy(), data_range=4095)
        assert value == pytest.approx(expected, abs=1e-9)


def test_metric_equals_monai_where_the_protocol_changes_nothing(pair):
    ours, theirs = PSNRMetric(scale=0, protocol="native"), MonaiPSNR(max_val=1.0)
    ours(*pair)
    theirs(*pair)
    assert ours.aggregate().item() == pytest.approx(theirs.aggregate().item(), abs=1e-5)
    assert ours.get_buffer().shape == theirs.get_buffer().shape


def test_list_of_images_equals_their_batch(pair):
    one, other = PSNRMetric(scale=2), PSNRMetric(scale=2)
    one(*pair)
    other([MetaTensor(image) for image in pair[0]], list(pair[1]))
    assert torch.equal(one.get_buffer(), other.get_buffer())
    assert not isinstance(other.get_buffer(), MetaTensor)


def test_equal_images_are_infinite_and_kept_out_of_the_mean(pair, caplog):
    sr, hr = pair
    metric = PSNRMetric(scale=0, protocol="native")
    with caplog.at_level(logging.INFO, logger="monai_sr"):
        metric(torch.cat([sr, hr[:1]]), torch.cat([hr, hr[:1]]))
        mean = metric.aggregate()
    assert math.isinf(metric.get_buffer()[3])
    torch.testing.assert_close(mean, psnr(sr, hr, 1.0).mean())
    assert "1 of 4 images equal their reference" in caplog.text


def test_mean_of_equal_images_alone_is_infinite():
    assert finite_mean([math.inf, math.inf]) == (math.inf, 2, 0)


def test_mean_leaves_out_what_is_no_number():
    assert finite_mean([math.nan, 1.0, math.inf, 4.0]) == (2.5, 1, 1)
    assert finite_mean([math.nan, math.inf]) == (math.inf, 1, 1)
    assert math.isnan(finite_mean([math.nan])[0])


def test_mean_of_no_images_is_refused():
    with pytest.raises(OptionError, match="check the data set"):
        PSNRMetric(scale=2).aggregate()


def test_reset_forgets_the_images(pair):
    metric = PSNRMetric(scale=0)
    metric(*pair)
    metric.reset()
    metric(pair[0][:1], pair[1][:1])
    assert len(metric) == 1


def test_nan_is_refused():
    with pytest.raises(BadImageError, match="got NaN"):
        psnr(torch.full((1, 4), math.nan), torch.zeros(1, 4), 1.0)


def test_pairs_of_different_shape_are_refused():
    with pytest.raises(OptionError, match="crop one of them"):
        psnr(torch.zeros(1, 4), torch.zeros(1, 5), 1.0)


def test_range_must_be_positive():
    with pytest.raises(OptionError, match="pass 255"):
        psnr(torch.zeros(1, 4), torch.zeros(1, 4), 0.0)


def test_a_missing_reference_is_refused():
    with pytest.raises(OptionError, match="pass the HR image"):
        PSNRMetric(scale=2)(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("handler", "metric"),
    [
        (PSNRHandler, PSNRMetric),
        (SSIMHandler, SSIMMetric),
        (GMSDHandler, GMSDMetric),
        (LPIPSHandler, LPIPSMetric),
    ],
)
def test_handler_gives_an_engine_the_metric_of_all_its_batches(pair, handler, metric):
    sr, hr = pair
    engine = Engine(lambda _engine, i: [{"pred": sr[i], "label": hr[i]}])
    engine.state.metric_details = {}  # MONAI's engines make this field
    handler(scale=2, protocol="native").attach(engine, "quality")
    state = engine.run(range(3))
    expected = metric(scale=2, protocol="native")
    expected(sr, hr)
    # LPIPS computes in float32, where a batch may round otherwise than its images.
    assert state.metrics["quality"] == pytest.approx(expected.aggregate().item(), rel=1e-5)
    details = engine.state.metric_details["quality"]
    torch.testing.assert_close(details, expected.get_buffer(), rtol=1e-5, atol=0)
