"""Measure perceptual distance by features of SqueezeNet, whose weights come with the package.

Published figures mostly use AlexNet: tables call ours "LPIPS (SqueezeNet, offline weights)". A
network that was trained on SqueezeNet's features is favored by it; GMSD stands beside it.

References:
    Zhang, Isola, Efros, Shechtman, Wang (2018), The unreasonable effectiveness of deep features as
    a perceptual metric, doi:10.1109/CVPR.2018.00068.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from monai_sr.metrics.base import ColorMetric, PairHandler, color_or_grey

SMALLEST_SIDE_PX = 17
"""SqueezeNet halves its grid four times and needs one position at the end."""


@lru_cache(maxsize=1)
def _distance() -> nn.Module:
    """Build the network once: it is frozen and the same for every image."""
    # Imported when used: torchvision takes a second.
    from monai_sr.networks.lpips_distance import LPIPSDistance

    return LPIPSDistance(net="squeeze")


def lpips(sr: Tensor, hr: Tensor) -> Tensor:
    """Compute the LPIPS distance (SqueezeNet, offline weights).

    Shape: sr, hr (N, C, H, W) floating point in [0, 1] -> (N,) float32, 0 for equal images; lower
    is better. Grey images are repeated three times, other numbers of channels judged one by one.

    Raises:
        OptionError: if the shapes differ or a side is shorter than 17 pixels.
    """

    def measure(a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = _distance().to(a.device)(a, b)
        return result

    with torch.no_grad():
        return color_or_grey(measure, sr.float(), hr.float(), SMALLEST_SIDE_PX)


class LPIPSMetric(ColorMetric):
    """Average the LPIPS over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Lower is better: as key metric of an engine it needs ``metric_cmp_fn`` to say so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return lpips(sr, hr)


class LPIPSHandler(PairHandler):
    """Compute LPIPS while an engine validates."""

    metric_class = LPIPSMetric
