"""Measure the distance of VGG-19 features, the "VGG loss" that Szigetvari et al. (2025) report.

They compare with the mean squared error what follows the eighth convolution and its activation (the
first 18 layers of torchvision's network: relu3_4). Of how they scaled images and features they say
nothing; here images are normalized as for ImageNet and features stay as they are, so that figures
compare within one table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.types import PathLike
from monai_sr.metrics.base import ColorMetric, PairHandler, color_or_grey

SMALLEST_SIDE_PX = 4
"""Two of VGG's poolings come before the layer."""
_LAYER = "relu3_4"


@lru_cache(maxsize=1)
def vgg_network(weights: str | None = None) -> nn.Module:
    """Build VGG-19 once, frozen.

    Raises:
        WeightsError: if its weights cannot be had.
    """
    # Imported when used: torchvision takes a second.
    from monai_sr.networks.backbones import create_backbone

    return create_backbone("vgg19", weights)


def vgg_distance(sr: Tensor, hr: Tensor, weights: PathLike | None = None) -> Tensor:
    """Compute the mean squared difference of features; lower is better, 0 for equal images.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,) float32. Grey images are repeated
    three times, other numbers of channels judged one by one.

    Args:
        sr: the result.
        hr: the reference.
        weights: file of VGG-19's weights; None looks into torchvision's cache.

    Raises:
        OptionError: if the shapes differ or a side is shorter than four pixels.
        WeightsError: if the weights cannot be had.
    """

    def measure(a: Tensor, b: Tensor) -> Tensor:
        network = vgg_network(None if weights is None else str(weights))
        ours, theirs = (network(each, [_LAYER])[_LAYER] for each in (a, b))
        result: Tensor = ((ours - theirs) ** 2).flatten(1).mean(1)
        return result

    with torch.no_grad():
        return color_or_grey(measure, sr.float(), hr.float(), SMALLEST_SIDE_PX)


class VGGMetric(ColorMetric):
    """Average the distance of VGG-19 features over images; see :func:`vgg_distance`.

    Args:
        *args: as of every metric here.
        weights: file of VGG-19's weights.
    """

    def __init__(self, *args: Any, weights: PathLike | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weights = weights

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return vgg_distance(sr, hr, self.weights)


class VGGHandler(PairHandler):
    """Compute the distance of VGG-19 features while an engine validates."""

    metric_class = VGGMetric
