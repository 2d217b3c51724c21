"""Measure how far features of a network differ: LPIPS, and the "VGG loss" of VGG-19.

SqueezeNet's weights for LPIPS are in the package; published figures mostly use AlexNet: tables call
ours "LPIPS (SqueezeNet, offline weights)". A network that was trained on SqueezeNet's features is
favored by it; GMSD stands beside it. ``alex``, ``vgg`` and VGG-19 need weights of torchvision, from
a file or its cache.

Szigetvari et al. (2025) report the mean squared difference after the eighth convolution of VGG-19
and its activation (the first 18 layers of torchvision's network: relu3_4). Of how they scaled
images and features they say nothing; here images are normalized as for ImageNet and features stay
as they are, so that figures compare within one table.

References:
    Zhang, Isola, Efros, Shechtman, Wang (2018), The unreasonable effectiveness of deep features as
    a perceptual metric, doi:10.1109/CVPR.2018.00068.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import PathLike
from monai_sr.metrics.base import PairMetric, View, color_or_grey, handler_of
from monai_sr.metrics.measures import Measure, register_metric

_SIDES_PX = {"squeeze": 17, "alex": 31, "vgg": 16}
"""SqueezeNet halves its grid four times and needs one position at the end."""
_VGG_SIDE_PX = 4
"""Two of VGG's poolings come before the layer."""
_VGG_LAYER = "relu3_4"


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
    from monai_sr.networks import LPIPSDistance

    return LPIPSDistance(net=net, weights=weights)


@lru_cache(maxsize=1)
def vgg_network(weights: str | None = None) -> nn.Module:
    """Build VGG-19 once, frozen.

    Raises:
        WeightsError: if its weights cannot be had.
    """
    # Imported when used: torchvision takes a second.
    from monai_sr.networks import create_backbone

    return create_backbone("vgg19", weights)


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
        ours, theirs = (network(each, [_VGG_LAYER])[_VGG_LAYER] for each in (a, b))
        result: Tensor = ((ours - theirs) ** 2).flatten(1).mean(1)
        return result

    with torch.no_grad():
        return color_or_grey(measure, sr.float(), hr.float(), _VGG_SIDE_PX)


def _lpips(name: str, net: str, variant: str, **facts: Any) -> Measure:
    return Measure(
        name=name,
        label="LPIPS",
        variant=variant,
        is_more_better=False,
        digits=4,
        side_px=_SIDES_PX[net],
        about="Zhang et al. (2018), doi:10.1109/CVPR.2018.00068",
        options={"net": net},
        **facts,
    )


@register_metric(
    _lpips("lpips", "squeeze", "SqueezeNet, offline weights", column=3, stored_digits=5),
    _lpips("lpips_alex", "alex", "AlexNet", takes_weights=True),
    _lpips("lpips_vgg", "vgg", "VGG-16", takes_weights=True),
)
class LPIPSMetric(PairMetric):
    """Average the LPIPS over images; as key metric of an engine it needs ``metric_cmp_fn``.

    Args:
        *args: as of every metric here.
        net: "squeeze", "alex" or "vgg".
        weights: file of the backbone's weights.
        **kwargs: as of every metric here.
    """

    view = View.COLORS

    def __init__(
        self, *args: Any, net: str = "squeeze", weights: PathLike | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.net = net
        self.weights = weights

    @classmethod
    def load(cls, **options: Any) -> None:
        """Load the network."""
        lpips_network(options["net"], options["weights"])

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return lpips(sr, hr, self.net, self.weights)


@register_metric(
    Measure(
        name="vgg", label="VGG-19 features", is_more_better=False, digits=4, side_px=_VGG_SIDE_PX,
        takes_weights=True, about="mean squared difference at relu3_4, as Szigetvari et al. (2025)",
    )
)  # fmt: skip
class VGGMetric(PairMetric):
    """Average the distance of VGG-19 features over images; see :func:`vgg_distance`.

    Args:
        *args: as of every metric here.
        weights: file of VGG-19's weights.
        **kwargs: as of every metric here.
    """

    view = View.COLORS

    def __init__(self, *args: Any, weights: PathLike | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weights = weights

    @classmethod
    def load(cls, **options: Any) -> None:
        """Load the network."""
        vgg_network(options["weights"])

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return vgg_distance(sr, hr, self.weights)


LPIPSHandler, VGGHandler = handler_of(LPIPSMetric), handler_of(VGGMetric)
