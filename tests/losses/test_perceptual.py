"""Perceptual losses against the features they compare."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.core.optional import import_torchvision
from monai_sr.functional.resize import downsample, upsample
from monai_sr.losses import CompositeLoss, L1Loss, LPIPSLoss, PerceptualLoss
from monai_sr.losses.perceptual import _UNITS
from monai_sr.networks.backbones import create_backbone
from monai_sr.networks.lpips_distance import LPIPSDistance


@pytest.fixture
def pair():
    return torch.rand(2, 2, 3, 32, 40).unbind()


@pytest.fixture
def photo(samples_dir):
    """128 x 128 pixels with detail of a photograph among the samples."""
    with Image.open(samples_dir / "hr" / "photo.png") as image:
        pixels = np.asarray(image.convert("RGB"))[256:384, :128]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def test_equal_images_have_no_loss(pair):
    assert float(PerceptualLoss()(pair[0], pair[0])) == 0


@pytest.mark.parametrize("criterion", ["l1", "mse"])
def test_it_is_the_weighted_sum_over_layers(pair, criterion):
    loss = PerceptualLoss(layers={"fire3": 2.0, "fire9": 0.5}, criterion=criterion)
    ours, theirs = (loss.backbone(image, ["fire3", "fire9"]) for image in pair)
    expected = 0.0
    for layer, weight, unit in (("fire3", 2.0, 19.0), ("fire9", 0.5, 1.2)):
        error = ((ours[layer] - theirs[layer]) / unit).abs()
        expected += weight * float((error if criterion == "l1" else error**2).mean())
    assert float(loss(*pair)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("is_before", "layer"), [(True, "fire9_expand"), (False, "fire9")])
def test_layers_move_before_or_after_their_activation(is_before, layer):
    for name in ("fire9", "fire9_expand"):
        loss = PerceptualLoss(layers={name: 1.0}, before_activation=is_before)
        assert loss.layers == {layer: 1.0}


def test_vgg_compares_the_last_convolution_or_the_layers_named(tmp_path):
    models = import_torchvision().models
    with torch.device("meta"):
        features = models.vgg19(weights=None).features.state_dict(prefix="features.")
    # A single zero, expanded: the file stays small.
    state = {key: torch.zeros(()).expand(tensor.shape) for key, tensor in features.items()}
    weights = tmp_path / "vgg19.pth"
    torch.save(state, weights)
    assert PerceptualLoss("vgg19", weights=weights).layers == {"conv5_4": 1.0}
    eighth = PerceptualLoss("vgg19", {"conv3_4": 1.0}, before_activation=False, weights=weights)
    assert eighth.layers == {"relu3_4": 1.0}
    assert float(eighth(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16))) == 0


def test_the_truth_gets_no_gradient_and_the_result_does(pair):
    sr, hr = (image.requires_grad_() for image in pair)
    for loss in (PerceptualLoss(), LPIPSLoss()):
        sr.grad = None
        loss(sr, hr).backward()
        assert hr.grad is None
        assert sr.grad.isfinite().all()
        assert sr.grad.abs().sum() > 0


def test_a_step_along_the_gradient_lowers_the_loss(pair):
    sr, hr = pair
    loss = PerceptualLoss()
    value = loss(sr.requires_grad_(), hr)
    (gradient,) = torch.autograd.grad(value, sr)
    assert loss(sr - 0.1 * gradient / gradient.norm(), hr) < value


@pytest.mark.parametrize("make", [PerceptualLoss, LPIPSLoss])
def test_grey_counts_as_color_channels_and_slices_as_images(pair, make):
    loss, (sr, hr) = make(), pair
    grey = loss(sr[:, :1], hr[:, :1])
    torch.testing.assert_close(grey, loss(sr[:, :1].expand_as(sr), hr[:, :1].expand_as(hr)))
    four = [torch.cat([image, image[:, :1]], dim=1) for image in pair]
    single = [float(loss(four[0][:, c : c + 1], four[1][:, c : c + 1])) for c in range(4)]
    assert float(loss(*four)) == pytest.approx(sum(single) / 4, rel=1e-4)
    volumes = [image[:, :1].unsqueeze(-1).expand(-1, -1, -1, -1, 3) for image in pair]
    torch.testing.assert_close(loss(*volumes), grey)


def test_lpips_is_the_mean_distance(pair):
    torch.testing.assert_close(LPIPSLoss()(*pair), LPIPSDistance()(*pair).mean())


def test_on_a_bicubic_photograph_it_is_of_the_order_of_one(photo):
    lr = downsample(photo, 4)
    assert 0.3 < float(PerceptualLoss()(upsample(lr, 4), photo)) < 3


def test_it_adds_nothing_to_a_checkpoint():
    loss = CompositeLoss({"pixel": L1Loss(), "perceptual": PerceptualLoss()})
    assert list(loss.state_dict()) == ["_extra_state"]
    assert list(loss.parameters()) == []


def test_missing_weights_stop_the_run_before_it_trains(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="vgg19: weights are not in torchvision's cache"):
        PerceptualLoss("vgg19")
    with pytest.raises(WeightsError, match="alexnet: weights are not in torchvision's cache"):
        LPIPSLoss("alex")


def test_bad_names_are_answered_with_the_nearest():
    with pytest.raises(OptionError, match="criterion 'mae' is unknown; did you mean 'mse'"):
        PerceptualLoss(criterion="mae")
    with pytest.raises(OptionError, match="layer 'fire33' is unknown; did you mean 'fire3'"):
        PerceptualLoss(layers={"fire33": 1.0})
    with pytest.raises(OptionError, match="backbone 'vgg20' is unknown"):
        PerceptualLoss("vgg20")


def test_every_layer_with_a_unit_exists():
    for name, units in _UNITS.items():
        create_backbone(name).check_layers(list(units))
