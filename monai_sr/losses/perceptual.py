"""Compare images by the features of networks that were trained to classify images."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_sr.core import OptionError, PathLike, unknown_name
from monai_sr.networks import LPIPSDistance, after_activation, before_activation, create_backbone

_CRITERIA = {"l1": F.l1_loss, "mse": F.mse_loss}

_LAYERS: dict[str, dict[str, float]] = {
    "vgg19": {"conv5_4": 1.0},  # ESRGAN's
    "vgg16": {"conv5_3": 1.0},
    "alexnet": {"conv5": 1.0},
    "squeezenet1_1": dict.fromkeys(("fire3_expand", "fire5_expand", "fire9_expand"), 1 / 3),
    "radimagenet_resnet50": {"layer2": 1.0},
}
"""Backbone -> the layers, with their weights, that are compared if none are named."""

_UNITS: dict[str, dict[str, float]] = {
    "squeezenet1_1": {
        "conv1": 14.0,
        "relu1": 7.0,
        "fire2_expand": 47.0,
        "fire2": 16.0,
        "fire3_expand": 55.0,
        "fire3": 19.0,
        "fire4_expand": 76.0,
        "fire4": 26.0,
        "fire5_expand": 64.0,
        "fire5": 15.0,
        "fire6_expand": 71.0,
        "fire6": 17.0,
        "fire7_expand": 43.0,
        "fire7": 6.7,
        "fire8_expand": 19.0,
        "fire8": 5.9,
        "fire9_expand": 29.0,
        "fire9": 1.2,
    }
}
"""Backbone -> what the features of a layer are divided by; 1 where it names none.

SqueezeNet's features are large and unequal. These are the mean absolute errors of bicubic x4
enlargement over 208 patches of 128 px of photographs: each layer starts near one, the order of the
VGG losses that published weights go with.
"""


_STAND_INS = {"2": ("conv1", "relu1"), "3": ("fire3_expand", "fire3"),
              "4": ("fire5_expand", "fire5"), "5": ("fire9_expand", "fire9")}  # fmt: skip
"""Block of VGG -> SqueezeNet's last layer on the same grid, before and after its activation."""


class PerceptualLoss(nn.Module):
    """Compare features: the sum over layers of weight * mean |error|, or mean error^2.

    The backbone is frozen and not part of the state dict; it judges in float32. Volumes are judged
    slice by slice along their last axis, and images that are neither grey nor RGB channel by
    channel.

    Shape: sr and hr (N, C, H, W[, D]) in [0, 1] -> scalar float32; lower is better.

    Args:
        backbone: see :func:`monai_sr.networks.backbones.create_backbone`.
        layers: layer -> weight; None compares the backbone's last convolution before its
            activation (ESRGAN's loss with vgg19), or three depths of squeezenet1_1. A layer of VGG
            ("relu3_4") is, in squeezenet1_1, the last one on the same grid (fire3).
        before_activation: turn the layers into those before (conv5_4, fire9_expand) or after
            (relu5_4, fire9) the activation; None takes them as they are named.
        criterion: "l1" or "mse".
        weights: file with the backbone's weights.

    Raises:
        OptionError: if a name is unknown.
        WeightsError: if the weights cannot be had.

    References:
        Ledig et al. (2017), Photo-realistic single image super-resolution using a generative
        adversarial network, doi:10.1109/CVPR.2017.19 (mse, after activation).
        Wang et al. (2018), ESRGAN, doi:10.1007/978-3-030-11021-5_5 (l1, before activation).
    """

    def __init__(
        self,
        backbone: str = "squeezenet1_1",
        layers: Mapping[str, float] | None = None,
        *,
        before_activation: bool | None = None,
        criterion: str = "l1",
        weights: PathLike | None = None,
    ) -> None:
        super().__init__()
        if criterion not in _CRITERIA:
            raise unknown_name("criterion", criterion, _CRITERIA)
        # Layers with weights in this order compute in it, on processors a quarter faster.
        self.backbone = create_backbone(backbone, weights)
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        chosen = dict(_LAYERS[backbone] if layers is None else layers)
        if backbone == "squeezenet1_1":
            chosen = {_stand_in(name): weight for name, weight in chosen.items()}
        if before_activation is not None:
            chosen = {_moved(name, before_activation): weight for name, weight in chosen.items()}
        self.backbone.check_layers(list(chosen))
        self.layers = chosen
        self.criterion = criterion
        self._units = _UNITS.get(backbone, {})

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the weighted sum over layers; no gradient flows to hr."""
        names = list(self.layers)
        ours = self.backbone(_as_pictures(sr), names)
        with torch.no_grad():
            theirs = self.backbone(_as_pictures(hr), names)
        value = torch.zeros((), device=sr.device)
        for name, weight in self.layers.items():
            unit = self._units.get(name, 1.0)
            error = _CRITERIA[self.criterion](ours[name] / unit, theirs[name] / unit)
            value = value + weight * error
        return value


class LPIPSLoss(nn.Module):
    """Minimize the learned perceptual distance; see :class:`LPIPSDistance`.

    Shape: sr and hr (N, C, H, W[, D]) in [0, 1] -> scalar float32; lower is better.

    Args:
        net: "squeeze", whose weights come with the package, "alex" or "vgg".
        weights: file with the backbone's weights.

    References:
        Zhang et al. (2018), The unreasonable effectiveness of deep features as a perceptual
        metric, doi:10.1109/CVPR.2018.00068.
    """

    def __init__(self, net: str = "squeeze", *, weights: PathLike | None = None) -> None:
        super().__init__()
        self.distance = LPIPSDistance(net, weights=weights)
        self.distance.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean distance; no gradient flows to hr."""
        distance: Tensor = self.distance(_as_pictures(sr), _as_pictures(hr.detach()))
        return distance.mean()


def _moved(layer: str, is_before: bool) -> str:
    return before_activation(layer) if is_before else after_activation(layer)


def _stand_in(layer: str) -> str:
    """Return SqueezeNet's layer for one of VGG's; its own ones stay as they are."""
    found = re.fullmatch(r"(conv|relu)([2-5])_[1-4]", layer)
    return _STAND_INS[found[2]][found[1] == "relu"] if found else layer


def _as_pictures(image: Tensor) -> Tensor:
    """Turn slices, and channels that are no colors, into images of their own."""
    if image.ndim == 5:
        image = image.movedim(-1, 1).flatten(0, 1)
    if image.ndim != 4:
        raise OptionError(f"image: must be (N, C, H, W[, D]), got {tuple(image.shape)}")
    return image if image.shape[1] in (1, 3) else image.flatten(0, 1).unsqueeze(1)
