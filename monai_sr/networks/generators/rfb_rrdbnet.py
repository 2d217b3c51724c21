"""RFB-ESRGAN's generator: RRDB, then dense blocks whose layers see several widths at once."""

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.networks.blocks import (
    SubPixelStage,
    fine_reach,
    he_conv,
    pass_enlarged,
    pass_image,
    steps,
)
from monai_sr.networks.dense_blocks import (
    LEAKY_SLOPE,
    SMALL_START,
    NearestStage,
    ResidualInResidual,
    rrdb,
)
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator

BRANCH_SCALE = 0.1
"""Factor of the branches' sum, beside the shortcut."""
AXIAL_DILATION, WIDEST_DILATION = 3, 5
"""Dilations of the branches' last convolutions."""


class ReceptiveFieldBlock(nn.Module):
    """Branches of growing reach, joined by a 1 x 1 convolution, beside a 1 x 1 shortcut.

    One branch is a 3 x 3 convolution; one for each axis is a line of 3 along it, then 3 x 3 dilated
    by 3; the last has lines along all axes, then 3 x 3 dilated by 5. Each begins with a 1 x 1
    convolution to a quarter of the channels.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        gain: factor on the start of the joining convolution and the shortcut.

    Shape: x (N, in_channels, H, W[, D]) -> (N, out_channels, H, W[, D]).
    """

    reach = 1 + WIDEST_DILATION
    """Pixels on each side that a result depends on."""

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, *, gain: float = 1.0
    ) -> None:
        super().__init__()
        width = max(1, in_channels // 4)
        last_to_first = list(reversed(range(spatial_dims)))
        plans: list[tuple[list[int], int]] = [([], 1)]
        plans += [([axis], AXIAL_DILATION) for axis in last_to_first]
        plans.append((last_to_first, WIDEST_DILATION))
        self.branches = nn.ModuleList(
            _branch(spatial_dims, in_channels, width, axes, dilation) for axes, dilation in plans
        )
        self.join = he_conv(
            spatial_dims, width * len(plans), out_channels, 1, gain=gain, slope=LEAKY_SLOPE
        )
        self.shortcut = he_conv(
            spatial_dims, in_channels, out_channels, 1, gain=gain, slope=LEAKY_SLOPE
        )
        self.branch_scale = BRANCH_SCALE

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        seen = torch.cat([branch(x) for branch in self.branches], dim=1)
        result: Tensor = self.shortcut(x) + self.branch_scale * self.join(seen)
        return result

    def start_as_passage(self, channels: int) -> None:
        """Let the first channels pass unchanged until training begins."""
        pass_image(self.shortcut, channels)
        with torch.no_grad():
            self.join.get_parameter("weight")[:channels] = 0.0


def _branch(
    spatial_dims: int, in_channels: int, width: int, axes: list[int], dilation: int
) -> nn.Sequential:
    """Build reduction, lines of 3 along ``axes`` and a dilated convolution, LeakyReLU between."""
    conv = Conv[Conv.CONV, spatial_dims]
    layers: list[nn.Module] = [conv(in_channels, width, 1)]
    for axis in axes:
        size = [3 if other == axis else 1 for other in range(spatial_dims)]
        layers.append(conv(width, width, size, padding=[side // 2 for side in size]))
    layers.append(conv(width, width, 3, padding=dilation, dilation=dilation))
    parts: list[nn.Module] = []
    for layer in layers:
        nn.init.kaiming_normal_(layer.get_parameter("weight"), a=LEAKY_SLOPE)
        nn.init.zeros_(layer.get_parameter("bias"))
        parts += [layer, nn.LeakyReLU(LEAKY_SLOPE)]
    return nn.Sequential(*parts[:-1])


def rrfdb(spatial_dims: int, channels: int, growth_channels: int) -> ResidualInResidual:
    """Build the RRDB whose convolutions are receptive field blocks, started small."""

    def layer(width: int, out_channels: int) -> nn.Module:
        return ReceptiveFieldBlock(spatial_dims, width, out_channels, gain=SMALL_START)

    return ResidualInResidual(channels, growth_channels, layer=layer)


@register_generator("rfb_rrdbnet")
class RFBRRDBNet(Generator):
    """Head, RRDB, RRFDB and a receptive field block under one skip, two kinds of enlargement, tail.

    Stages alternate: nearest x2 with a receptive field block, then sub-pixel x2.

    Differs from the paper: it enlarges x16 in four stages, here x4 has two and x2 or x3 the first
    alone; branches are a quarter as wide as their input, with LeakyReLU 0.2 between convolutions
    (the paper does not say); it starts as interpolation (nearest, then linear), which short
    training needs; in 3D, a receptive field block has one more branch, for the third axis.

    Args:
        num_blocks: blocks of plain convolutions (RRDB).
        num_rfb_blocks: blocks of receptive field blocks (RRFDB) behind them.
        channels: width.
        growth_channels: growth of the dense blocks.
    """

    info = GeneratorInfo(
        paper="T. Shang, Q. Dai, S. Zhu, T. Yang and Y. Guo, 2020, arXiv:2005.12597",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        num_blocks: int = 16,
        num_rfb_blocks: int = 8,
        channels: int = 64,
        growth_channels: int = 32,
    ) -> None:
        super().__init__()
        at_least_one(num_blocks=num_blocks, channels=channels, growth_channels=growth_channels)
        if num_rfb_blocks < 0:
            raise OptionError(f"num_rfb_blocks: must be at least 0, got {num_rfb_blocks}")
        reach, factors = ReceptiveFieldBlock.reach, steps(scale)
        # Behind the receptive field block: the sub-pixel convolution, and two that end the network.
        stages = [(2, reach + 1), (2, 2)] if len(factors) == 2 else [(factors[0], reach + 2)]
        layers = ResidualInResidual.num_layers
        trunk = num_blocks * layers + (num_rfb_blocks * layers + 1) * reach
        self._declare(scale, in_channels, spatial_dims, halo=1 + trunk + fine_reach(stages))
        self.head = he_conv(spatial_dims, in_channels, channels, slope=1.0)
        self.blocks = nn.Sequential(
            *(rrdb(spatial_dims, channels, growth_channels) for _ in range(num_blocks)),
            *(rrfdb(spatial_dims, channels, growth_channels) for _ in range(num_rfb_blocks)),
        )
        # At zero, since the trunk grows its input by 1.2 a block.
        self.body_end = ReceptiveFieldBlock(spatial_dims, channels, channels, gain=0.0)
        widening = ReceptiveFieldBlock(spatial_dims, channels, channels)
        self.enlarge = nn.Sequential(NearestStage(factors[0], widening))
        self.tail = nn.Sequential(
            he_conv(spatial_dims, channels, channels, slope=LEAKY_SLOPE),
            nn.LeakyReLU(LEAKY_SLOPE),
            he_conv(spatial_dims, channels, in_channels, slope=1.0),
        )
        passes = in_channels if in_channels <= channels else 0
        for factor in factors[1:]:
            stage = SubPixelStage(spatial_dims, channels, factor)
            pass_enlarged(stage, passes)
            self.enlarge.extend([stage, nn.LeakyReLU(LEAKY_SLOPE)])
        widening.start_as_passage(passes)
        for layer in (self.head, self.tail[0], self.tail[2]):
            pass_image(layer, passes)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        head = self.head(image)
        features = head + self.body_end(self.blocks(head))
        result: Tensor = self.tail(self.enlarge(features))
        return result
