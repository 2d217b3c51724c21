"""Backbones give torchvision's features, stay frozen, and are never without weights."""

from __future__ import annotations

import re
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.core.optional import import_torchvision
from monai_sr.networks.backbones import (
    LAYERS,
    SQUEEZENET_WEIGHTS,
    after_activation,
    before_activation,
    create_backbone,
)

torchvision = import_torchvision()
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.fixture(scope="module")
def squeezenet():
    return create_backbone("squeezenet1_1")


@pytest.fixture(scope="module")
def alexnet():
    """torchvision's network with random weights, without its large head."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = torchvision.models.alexnet(weights=None)
    network.features.to_empty(device="cpu")
    for parameter in network.features.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    del network.classifier
    return network.eval()


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Give torch's downloads an empty cache and no network; return the cache's folder."""

    def fail(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def on_meta(name):
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None)


def convolutions(name):
    return [layer for layer in LAYERS[name](on_meta(name)) if layer.startswith("conv")]


def test_squeezenet_gives_torchvisions_features(squeezenet):
    reference = torchvision.models.squeezenet1_1(weights=None).eval()
    reference.load_state_dict(load_file(SQUEEZENET_WEIGHTS), strict=False)
    image = torch.rand(2, 3, 40, 48)
    values = (image - MEAN) / STD
    features = squeezenet(image, squeezenet.layer_names)
    after = [name for name in squeezenet.layer_names if not name.endswith("_expand")]
    for name, layer in zip(after, reference.features, strict=True):
        values = layer(values.clone())
        if name == "conv1":
            continue  # the reference's activation works in place
        torch.testing.assert_close(features[name], values, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(features["fire9"], features["fire9_expand"].relu())


def test_layers_come_in_the_networks_order_and_only_those_asked_for(squeezenet):
    assert list(squeezenet(torch.rand(1, 3, 32, 32), ["fire5", "relu1"])) == ["relu1", "fire5"]


def test_layers_of_vgg_are_named_by_block_and_convolution():
    # ESRGAN: the last convolution of block 5. SRGAN of Szigetvari et al.: the eighth convolution.
    vgg19, vgg16 = convolutions("vgg19"), convolutions("vgg16")
    assert (len(vgg19), vgg19[-1], vgg19[7]) == (16, "conv5_4", "conv3_4")
    assert (len(vgg16), vgg16[-1]) == (13, "conv5_3")
    names = list(LAYERS["vgg19"](on_meta("vgg19")))
    assert names[names.index("conv3_4") :][:4] == ["conv3_4", "relu3_4", "pool3", "conv4_1"]


def test_layers_of_alexnet_are_numbered_by_convolution():
    names = list(LAYERS["alexnet"](on_meta("alexnet")))
    assert names[:6] == ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    assert names[-3:] == ["conv5", "relu5", "pool5"]


def test_before_and_after_activation_are_neighbors_of_one_another():
    pairs = {"conv5_4": "relu5_4", "fire9_expand": "fire9", "conv1": "relu1", "layer2": "layer2"}
    for before, after in pairs.items():
        assert (after_activation(before), after_activation(after)) == (after, after)
        assert (before_activation(before), before_activation(after)) == (before, before)


def test_a_grey_image_is_judged_as_three_equal_channels(squeezenet):
    grey = torch.rand(1, 1, 32, 32)
    layers = ["fire4"]
    repeated = squeezenet(grey.expand(1, 3, 32, 32), layers)
    torch.testing.assert_close(squeezenet(grey, layers), repeated)


def test_it_is_frozen_and_in_no_state_dict(squeezenet):
    assert list(squeezenet.parameters()) == []
    assert squeezenet.state_dict() == {}
    assert not squeezenet.train().training
    assert not any(module.training for module in squeezenet.modules())


def test_gradients_reach_the_image(squeezenet):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    squeezenet(image, ["fire9_expand"])["fire9_expand"].sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_features_are_float32_whatever_the_image_and_casting(squeezenet, dtype):
    image = torch.rand(1, 3, 32, 32).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = squeezenet(image, ["fire2"])["fire2"]
    torch.testing.assert_close(features, squeezenet(image.float(), ["fire2"])["fire2"])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_come_from_a_file(alexnet, tmp_path, suffix, dtype):
    state = {key: value.to(dtype) for key, value in alexnet.state_dict().items()}
    file = tmp_path / f"alexnet{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, file)
    image = torch.rand(1, 3, 64, 64)
    expected = alexnet.features((image - MEAN) / STD)
    features = create_backbone("alexnet", file)(image, ["pool5"])["pool5"]
    tolerance = 1e-5 if dtype == torch.float32 else 5e-3
    torch.testing.assert_close(features, expected, rtol=tolerance, atol=tolerance)


def test_weights_in_torchvisions_cache_are_used(alexnet, offline):
    torch.save(alexnet.state_dict(), offline / "alexnet-owt-7be5be79.pth")
    backbone = create_backbone("alexnet")
    torch.testing.assert_close(backbone.stack["conv3"].weight, alexnet.features[6].weight.data)


@pytest.mark.parametrize("name", ["vgg19", "vgg16", "alexnet"])
def test_missing_weights_are_an_error_with_two_ways_to_get_them(offline, name):
    with pytest.raises(WeightsError, match=f"^{name}: weights are not in") as caught:
        create_backbone(name)
    message = str(caught.value)
    assert "pass the path of a file" in message
    assert re.search(rf"put https://\S+/{name}\S+\.pth into {offline}", message)


def test_radimagenet_asks_for_a_path():
    with pytest.raises(WeightsError, match=r"get ResNet50\.pt from https://github\.com/BMEII-AI"):
        create_backbone("radimagenet_resnet50")


@pytest.mark.parametrize("has_own_keys", [True, False])
def test_radimagenet_reads_its_own_keys_and_torchvisions(tmp_path, has_own_keys):
    network = on_meta("resnet50")
    numbers = {name: f"backbone.{i}" for i, (name, _) in enumerate(network.named_children())}
    state = {}
    for index, (key, tensor) in enumerate(network.state_dict().items()):
        head, _, rest = key.partition(".")
        if head != "fc" and rest != "num_batches_tracked":
            # A single number, expanded: the file stays small.
            value = torch.tensor(1e-3 * index).expand(tensor.shape)
            state[f"{numbers[head]}.{rest}" if has_own_keys else key] = value
    torch.save(state, tmp_path / "ResNet50.pt")
    backbone = create_backbone("radimagenet_resnet50", tmp_path / "ResNet50.pt")
    last = numbers["layer4"] if has_own_keys else "layer4"
    weight = backbone.stack["layer4"][2].conv3.weight
    assert torch.equal(weight, state[f"{last}.2.conv3.weight"])
    # Its images were scaled to [-1, 1].
    torch.testing.assert_close((torch.ones(3) - backbone.mean.flatten()) / 0.5, torch.ones(3))
    assert backbone(torch.rand(1, 1, 64, 64), ["layer1"])["layer1"].shape == (1, 256, 16, 16)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone.pth: weights of vgg19 do not exist"):
        create_backbone("vgg19", tmp_path / "gone.pth")


def test_weights_of_another_network_are_refused(alexnet, tmp_path):
    torch.save(alexnet.state_dict(), tmp_path / "alexnet.pth")
    with pytest.raises(WeightsError, match=r"weights do not fit vgg16 \(features.0.weight"):
        create_backbone("vgg16", tmp_path / "alexnet.pth")


def test_unknown_names_are_answered_with_the_nearest(squeezenet):
    with pytest.raises(OptionError, match="backbone 'vgg91' is unknown; did you mean 'vgg19'"):
        create_backbone("vgg91")
    with pytest.raises(OptionError, match="squeezenet1_1: layer 'fire10' is unknown; did you mean"):
        squeezenet(torch.rand(1, 3, 32, 32), ["fire10"])
    with pytest.raises(OptionError, match="needs at least one, got none"):
        squeezenet(torch.rand(1, 3, 32, 32), [])


@pytest.mark.parametrize("shape", [(1, 4, 32, 32), (3, 32, 32)])
def test_other_images_than_grey_and_color_are_refused(squeezenet, shape):
    with pytest.raises(OptionError, match=re.escape("needs (N, 1 or 3, H, W)")):
        squeezenet(torch.rand(shape), ["fire2"])


def test_image_too_small_for_the_layers_is_an_error_with_the_remedy(squeezenet):
    small = torch.rand(1, 3, 16, 40)
    assert squeezenet(small, ["fire2"])["fire2"].shape[2:] == (3, 9)
    with pytest.raises(OptionError, match=r"larger images .*got \(16, 40\); raise patch_size x"):
        squeezenet(small, ["fire9"])
    assert squeezenet(torch.rand(1, 3, 32, 32), ["fire9"])["fire9"].isfinite().all()
