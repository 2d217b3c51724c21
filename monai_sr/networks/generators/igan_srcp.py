"""IGAN-SRCP's generator: wide residual blocks, and attention to the whole image among them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.networks.blocks import SubPixelStage
from monai_sr.networks.dense_blocks import he_conv, pass_through
from monai_sr.networks.interpolating_start import pass_enlarged
from monai_sr.networks.pyramid_attention import PyramidAttention
from monai_sr.networks.reach import fine_reach, steps
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator

BLOCKS_BEFORE_ATTENTION = 3
LARGE_KERNEL = 7
END_KERNEL = 9


class DepthwiseResidual(nn.Module):
    """A 7 x 7 convolution of each channel by itself, added to the input, for want of normalization.

    Shape: x (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, LARGE_KERNEL, padding=LARGE_KERNEL // 2, groups=channels
        )
        # Small, so that the range of values stays as it comes.
        nn.init.normal_(self.conv.weight, std=0.1 / LARGE_KERNEL)
        nn.init.zeros_(self.conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        detail: Tensor = self.conv(x)
        return x + detail


class WideResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, each with a depth-wise residual, ReLU between; added to the input.

    Shape: x (N, C, H, W) -> the same.
    """

    reach = 2 * (1 + LARGE_KERNEL // 2)
    """Pixels on each side that a result depends on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            he_conv(2, channels, channels),
            DepthwiseResidual(channels),
            nn.ReLU(),
            he_conv(2, channels, channels, gain=0.1, slope=1.0),
            DepthwiseResidual(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.layers(x)
        return x + residual


@register_generator("igan_srcp")
class IGANSRCP(Generator):
    """9 x 9 head, wide residual blocks with pyramid attention, sub-pixel stages, 9 x 9 tail.

    The attention sees the whole image, so tiles cannot equal the whole, and its time grows with the
    square of the image's size. It follows the third block (the last one of a shorter trunk). The
    result is squashed to (0, 1) by a hyperbolic tangent.

    Differs from the paper: matched patches are averaged where they overlap; x3 is one stage; it
    starts as linear interpolation of lower contrast, which short training needs. 2D alone:
    comparing all patches of a volume is out of reach.

    Args:
        scale: 2, 3 or 4.
        in_channels: channels of image and result.
        spatial_dims: 2.
        num_blocks: wide residual blocks.
        channels: width.

    Shape: image (N, C, H, W) in [0, 1] -> (N, C, s * H, s * W) in (0, 1).

    Raises:
        OptionError: if a choice is not offered.
    """

    info = GeneratorInfo(paper="Zou et al., 2023, doi:10.3390/s23167296", is_local=False)

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        num_blocks: int = 5,
        channels: int = 64,
    ) -> None:
        super().__init__()
        if min(num_blocks, channels) < 1:
            raise OptionError(
                f"num_blocks, channels: must be at least 1, got {num_blocks} and {channels}"
            )
        factors, end = steps(scale), END_KERNEL // 2
        stages = [*((factor, 1) for factor in factors[:-1]), (factors[-1], end)]
        # Head, blocks, end of the body, first sub-pixel convolution, finer grids; no attention.
        body_end = 1 + LARGE_KERNEL // 2
        self._declare(
            scale=scale,
            halo=end + num_blocks * WideResidualBlock.reach + body_end + 1 + fine_reach(stages),
            in_channels=in_channels,
            spatial_dims=spatial_dims,
        )
        self.head = he_conv(2, in_channels, channels, END_KERNEL, slope=1.0)
        first = min(BLOCKS_BEFORE_ATTENTION, num_blocks)
        self.blocks = nn.Sequential(
            *(WideResidualBlock(channels) for _ in range(first)),
            PyramidAttention(channels),
            *(WideResidualBlock(channels) for _ in range(num_blocks - first)),
        )
        self.body_end = nn.Sequential(
            he_conv(2, channels, channels, gain=0.0), DepthwiseResidual(channels)
        )
        self.enlarge = nn.Sequential()
        self.tail = he_conv(2, channels, in_channels, END_KERNEL, slope=1.0)
        passes = in_channels if in_channels <= channels else 0
        pass_through([self.head, self.tail], passes)
        for factor in factors:
            stage = SubPixelStage(2, channels, factor)
            pass_enlarged(stage, passes)
            self.enlarge.extend([stage, nn.PReLU()])
        with torch.no_grad():
            # (tanh(2.4 v - 1.2) + 1) / 2 is v within 0.09 for all v in [0, 1].
            self.tail.get_parameter("weight").mul_(2.4)
            self.tail.get_parameter("bias").fill_(-1.2)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        head = self.head(image)
        features = head + self.body_end(self.blocks(head))
        return (torch.tanh(self.tail(self.enlarge(features))) + 1) / 2
