"""Measure perceptual distance by features of a network; SqueezeNet's weights are in the package.

Published figures mostly use AlexNet: tables call ours "LPIPS (SqueezeNet, offline weights)". A
network that was trained on SqueezeNet's features is favored by it; GMSD stands beside it. ``alex``
and ``vgg`` need weights of torchvision, from a file or its cache.

References:
    Zhang, Isola, Efros, Shechtman, Wang (2018), The unreasonable effectiveness of deep features as
    a perceptual metric, doi:10.1109/CVPR.2018.00068.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.types import PathLike
from monai_sr.metrics.base import ColorMetric, PairHandler, color_or_grey

SMALLEST_SIDE_PX = 17
"""SqueezeNet halves its grid four times and needs one position at the end."""
_SIDES_PX = {"squeeze": SMALLEST_SIDE_PX, "alex": 31, "vgg": 16}


@lru_cache(maxsize=3)
def lpips_network(net: str, weights: str | None = None) -> nn.Module:
    """Build a network once: it is frozen and the same for every image.

    Args:
        net: "squeeze", "alex" or "vgg".
        weights: file of the backbone's weights.

    Raises:
        OptionError: if ``net`` is unknown.
        WeightsError: if the weights cannot be had.
    """
    # Imported when used: torchvision takes a second.
    from monai_sr.networks.lpips_distance import LPIPSDistance

    return LPIPSDistance(net=net, weights=weights)


def lpips(sr: Tensor, hr: Tensor, net: str = "squeeze", weights: PathLike | None = None) -> Tensor:
    """Compute the LPIPS distance, by default with SqueezeNet's offline weights.

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,) float32, 0 for equal images; lower
    is better. Grey images are repeated three times, other numbers of channels judged one by one.

    Args:
        sr: the result.
        hr: the reference.
        net: "squeeze", "alex" or "vgg".
        weights: file of the backbone's weights, see :func:`lpips_network`.

    Raises:
        OptionError: if the shapes differ or a side is shorter than 17 pixels (31 for ``alex``).
        WeightsError: if the weights cannot be had.
    """
    file = None if weights is None else str(weights)

    def measure(a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = lpips_network(net, file).to(a.device)(a, b)
        return result

    with torch.no_grad():
        return color_or_grey(measure, sr.float(), hr.float(), _SIDES_PX.get(net, 1))


class LPIPSMetric(ColorMetric):
    """Average the LPIPS over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Lower is better: as key metric of an engine it needs ``metric_cmp_fn`` to say so.

    Args:
        *args: as of every metric here.
        net: "squeeze", "alex" or "vgg".
        weights: file of the backbone's weights.
    """

    def __init__(
        self, *args: Any, net: str = "squeeze", weights: PathLike | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.net = net
        self.weights = weights

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return lpips(sr, hr, self.net, self.weights)


class LPIPSHandler(PairHandler):
    """Compute LPIPS while an engine validates."""

    metric_class = LPIPSMetric
