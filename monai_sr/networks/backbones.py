"""Frozen networks of image classification, whose features measure how alike images look.

The architectures are torchvision's. Weights of SqueezeNet 1.1 come with the package: those of the
official release (BSD-2-Clause), converted and rounded to half precision, which changes LPIPS by
less than 5e-5. Others are read from a file or from torchvision's cache,
or downloaded into it. A network without weights is never used.

References:
    Iandola et al. (2016), SqueezeNet, arXiv:1602.07360.
    Simonyan and Zisserman (2015), Very deep convolutional networks for large-scale image
    recognition, arXiv:1409.1556.
    Krizhevsky (2014), One weird trick for parallelizing convolutional networks, arXiv:1404.5997.
    Mei et al. (2022), RadImageNet, doi:10.1148/ryai.210315.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import OptionError, PathLike, WeightsError, import_torchvision, unknown_name
from monai_sr.networks.weights import read_weights

SQUEEZENET_WEIGHTS = Path(__file__).parent / "weights_data" / "squeezenet1_1_features.safetensors"
"""The weights that come with the package."""
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CENTERED = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # RadImageNet was trained on [-1, 1]
_RADIMAGENET = "radimagenet_resnet50"
_SERVES_ALL = 32  # VGG halves five times; the others ask for less


class Backbone(nn.Module):
    """Give the features of an image at named layers.

    Frozen: always in evaluation mode, in float32, its weights neither parameters nor part of a
    state dict. It follows its input to another device.

    Args:
        name: what messages call it.
        layers: name -> module, in order; each takes what the one before gives.
        mean: of the three channels, subtracted first.
        std: of the three channels, divided by next.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        layers: Mapping[str, nn.Module],
        *,
        mean: Sequence[float] = _IMAGENET[0],
        std: Sequence[float] = _IMAGENET[1],
    ) -> None:
        super().__init__()
        self.name = name
        self.stack = nn.ModuleDict(layers)
        for module in self.stack.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # the values before it may be asked for too
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        freeze(self)
        self.eval()

    @property
    def layer_names(self) -> list[str]:
        """The layers, from the image on."""
        return list(self.stack)

    def check_layers(self, layers: Sequence[str]) -> None:
        """Raise OptionError if there is no layer, or an unknown one."""
        if not layers:
            raise OptionError(f"layers: {self.name} needs at least one, got none")
        for layer in layers:
            if layer not in self.stack:
                raise unknown_name(f"{self.name}: layer", layer, self.stack)

    def train(self, mode: bool = True) -> Backbone:
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the features at the layers, in the network's order.

        Shape: image (N, 1 or 3, H, W) in [0, 1] -> per layer (N, features, H', W') float32; a grey
        image is repeated three times.

        Raises:
            OptionError: if a layer is unknown, the image has neither one nor three channels, or it
                is too small for the layers.
        """
        self.check_layers(layers)
        if image.ndim != 4 or image.shape[1] not in (1, 3):
            raise OptionError(
                f"image: {self.name} needs (N, 1 or 3, H, W), got {tuple(image.shape)}; give it "
                "grey or RGB images"
            )
        if self.mean.device != image.device:
            self.to(image.device)
        try:
            return self._features(image, set(layers))
        except RuntimeError as error:
            if min(image.shape[2:]) >= _SERVES_ALL:
                raise
            raise OptionError(
                f"patch_size: {self.name} needs larger images for its layers, got "
                f"{tuple(image.shape[2:])}; raise patch_size x scale to {_SERVES_ALL}"
            ) from error

    def _features(self, image: Tensor, layers: set[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):
            # One grey channel becomes three here.
            values = (image.float() - self.mean) / self.std
            for name, layer in self.stack.items():
                values = layer(values)
                if name in layers:
                    found[name] = values
                if len(found) == len(layers):
                    break
        return found


def freeze(module: nn.Module) -> None:
    """Turn parameters into buffers, and keep all buffers from optimizers and state dicts."""
    for part in module.modules():
        tensors = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        for name, tensor in tensors:
            delattr(part, name)
            part.register_buffer(name, tensor.detach(), persistent=False)


def create_backbone(name: str, weights: PathLike | None = None) -> Backbone:
    """Build a frozen network with its weights; :mod:`.backbone_layers` names the layers.

    Args:
        name: vgg19, vgg16, alexnet, squeezenet1_1 or radimagenet_resnet50.
        weights: state dict (.pt, .pth or .safetensors) with torchvision's keys, or RadImageNet's
            own. None takes those of the package (SqueezeNet), or torchvision's (ImageNet).

    Raises:
        OptionError: if the name is unknown.
        WeightsError: if the weights cannot be had, or are of another network.
    """
    if name not in LAYERS:
        raise unknown_name("backbone", name, LAYERS)
    torchvision = import_torchvision()
    state = _find_weights(name, weights, torchvision)
    # On the meta device nothing is allocated or initialized; the weights take their places.
    with torch.device("meta"):
        network = torchvision.models.get_model(name.removeprefix("radimagenet_"), weights=None)
        for head in ("classifier", "fc"):
            if hasattr(network, head):
                delattr(network, head)
    own = network.state_dict()
    for key, tensor in own.items():
        if key.endswith("num_batches_tracked"):  # counts training steps; older files lack it
            state.setdefault(key, torch.tensor(0))
        if key not in state or state[key].shape != tensor.shape:
            raise WeightsError(
                f"{weights or name}: weights do not fit {name} ({key} is missing or of another "
                f"size); give a state dict of {name}"
            )
        own[key] = state[key].to(tensor.dtype)
    network.load_state_dict(own, assign=True)
    mean, std = _CENTERED if name == _RADIMAGENET else _IMAGENET
    return Backbone(name, LAYERS[name](network), mean=mean, std=std)


def _find_weights(
    name: str, weights: PathLike | None, torchvision: ModuleType
) -> dict[str, Tensor]:
    if weights is not None:
        if not Path(weights).is_file():
            raise WeightsError(f"{weights}: weights of {name} do not exist; correct the path")
        return {_plain_key(key): value for key, value in read_weights(weights).items()}
    if name == "squeezenet1_1":
        return read_weights(SQUEEZENET_WEIGHTS)
    if name == _RADIMAGENET:
        raise WeightsError(
            f"{name}: weights must be given as a file; get ResNet50.pt from "
            "https://github.com/BMEII-AI/RadImageNet and pass its path"
        )
    entry = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = entry.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError) as error:  # no connection; or a damaged download
        raise WeightsError(
            f"{name}: weights are not in torchvision's cache and cannot be downloaded; pass the "
            f"path of a file that holds them, or put {entry.url} into {_cache_folder()}"
        ) from error
    return state


def _cache_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _plain_key(key: str) -> str:
    """Name a tensor of RadImageNet's files, which number the network's parts, as torchvision."""
    head, _, rest = key.removeprefix("backbone.").partition(".")
    if key.startswith("backbone.") and head.isdigit() and int(head) < len(RESNET_CHILDREN):
        return f"{RESNET_CHILDREN[int(head)]}.{rest}"
    return key


def vgg_layers(network: Any) -> dict[str, nn.Module]:
    """Name convI_J and reluI_J, convolution J of block I, and poolI, which ends the block."""
    named: dict[str, nn.Module] = {}
    block, number = 1, 0
    for module in network.features:
        if isinstance(module, nn.MaxPool2d):
            named[f"pool{block}"] = module
            block, number = block + 1, 0
        elif isinstance(module, nn.Conv2d):
            number += 1
            named[f"conv{block}_{number}"] = module
        else:
            named[f"relu{block}_{number}"] = module
    return named


def alexnet_layers(network: Any) -> dict[str, nn.Module]:
    """Name convI, reluI and poolI, all after convolution I."""
    named: dict[str, nn.Module] = {}
    number = 0
    for module in network.features:
        number += isinstance(module, nn.Conv2d)
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu"}.get(type(module), "pool")
        named[f"{kind}{number}"] = module
    return named


def squeezenet_layers(network: Any) -> dict[str, nn.Module]:
    """Name conv1, relu1, fire2_expand, fire2 (its last activation) ... and poolI after module I."""
    named: dict[str, nn.Module] = {}
    number = 1
    for module in network.features:
        if isinstance(module, nn.Conv2d):
            named["conv1"] = module
        elif isinstance(module, nn.ReLU):
            named["relu1"] = module
        elif isinstance(module, nn.MaxPool2d):
            named[f"pool{number}"] = module
        else:
            number += 1
            named[f"fire{number}_expand"] = FireExpansion(module)
            named[f"fire{number}"] = nn.ReLU()
    return named


def resnet_layers(network: Any) -> dict[str, nn.Module]:
    """Name conv1, bn1, relu, maxpool and layer1 ... layer4."""
    return {name: getattr(network, name) for name in RESNET_CHILDREN}


RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
"""What a ResNet consists of before its head, in order."""

LAYERS: dict[str, Callable[[Any], dict[str, nn.Module]]] = {
    "vgg19": vgg_layers,
    "vgg16": vgg_layers,
    "alexnet": alexnet_layers,
    "squeezenet1_1": squeezenet_layers,
    "radimagenet_resnet50": resnet_layers,
}
"""Backbone -> function that names the layers of torchvision's network."""


class FireExpansion(nn.Module):
    """A fire module of SqueezeNet up to, not including, its last activation.

    Shape: (N, C, H, W) -> (N, features, H, W), any sign.

    References:
        Iandola et al. (2016), SqueezeNet, arXiv:1602.07360.
    """

    def __init__(self, fire: Any) -> None:
        super().__init__()
        self.squeeze = fire.squeeze
        self.activation = nn.ReLU()
        self.expand1x1 = fire.expand1x1
        self.expand3x3 = fire.expand3x3

    def forward(self, values: Tensor) -> Tensor:
        """Squeeze, then expand by both convolutions."""
        squeezed = self.activation(self.squeeze(values))
        return torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1)


def after_activation(layer: str) -> str:
    """Return the layer that holds a layer's values after its activation.

    Layers that are not followed by one stay as they are.
    """
    if layer.endswith("_expand"):
        return layer.removesuffix("_expand")
    return layer.replace("conv", "relu", 1) if layer.startswith("conv") else layer


def before_activation(layer: str) -> str:
    """Return the layer that holds a layer's values before its activation."""
    if layer.startswith("fire") and not layer.endswith("_expand"):
        return f"{layer}_expand"
    return layer.replace("relu", "conv", 1) if layer.startswith("relu") else layer
