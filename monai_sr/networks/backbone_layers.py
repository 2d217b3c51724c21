"""Names for the layers of torchvision's classification networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


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

    Args:
        fire: torchvision's module, whose convolutions are shared.

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


__all__ = [
    "LAYERS",
    "RESNET_CHILDREN",
    "FireExpansion",
    "after_activation",
    "alexnet_layers",
    "before_activation",
    "resnet_layers",
    "squeezenet_layers",
    "vgg_layers",
]
