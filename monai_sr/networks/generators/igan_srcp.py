"""IGAN-SRCP's generator: wide residual blocks, and attention to the whole image among them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.blocks import (
    SubPixelStage,
    fine_reach,
    he_conv,
    pass_enlarged,
    pass_image,
    steps,
)
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


class PyramidAttention(nn.Module):
    """Add to each patch the patches that match it, from the image at ``scales`` of its size.

    A match is the inner product of an embedded 3 x 3 patch with another whose norm is made 1; a
    soft-max over all places at all sizes weighs the patches, which are then put in place, the mean
    taken where they overlap.

    Queries are worked off in portions, so that memory does not grow with the square of the image's
    size; time does.

    Args:
        channels: width of input and result.
        scales: sizes of the pyramid, relative to the image.
        temperature: factor on the matches before the soft-max.
        reduction: how much narrower than the input the patches are compared.
        patch_size: odd side of a patch.
        max_pairs: pairs of patches compared at once, for each image.

    Shape: x (N, channels, H, W) -> the same.

    References:
        Y. Mei et al., 2020, arXiv:2004.13824.
    """

    def __init__(
        self,
        channels: int,
        *,
        scales: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6),
        temperature: float = 10.0,
        reduction: int = 2,
        patch_size: int = 3,
        max_pairs: int = 2**25,
    ) -> None:
        super().__init__()
        self.scales = list(scales)
        self.temperature = temperature
        self.patch_size = patch_size
        self.max_pairs = max_pairs
        narrow = max(1, channels // reduction)
        self.query = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.PReLU())
        self.key = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.PReLU())
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.PReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        queries = self._patches(self.query(x)).transpose(1, 2)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for scale in self.scales:
            level = self._resize(x, scale)
            keys.append(F.normalize(self._patches(self.key(level)), dim=1, eps=1e-4))
            values.append(self._patches(self.value(level)))
        places = torch.cat(keys, dim=2)
        found = self._attend(queries, places, torch.cat(values, dim=2).transpose(1, 2))
        return x + self._mean(found.transpose(1, 2), x)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the weighted patches (N, places, patch) for queries of that shape."""
        portion = max(1, self.max_pairs // keys.shape[2])
        found: list[Tensor] = []
        for start in range(0, queries.shape[1], portion):
            matches = torch.matmul(queries[:, start : start + portion], keys)
            weights = torch.softmax(self.temperature * matches, dim=2)
            found.append(torch.matmul(weights, values))
        return torch.cat(found, dim=1)

    def _resize(self, x: Tensor, scale: float) -> Tensor:
        if scale == 1.0:
            return x
        size = [max(1, int(side * scale)) for side in x.shape[2:]]
        return F.interpolate(x, size=size, mode="bicubic", align_corners=False)

    def _patches(self, x: Tensor) -> Tensor:
        """Return the patch around every pixel: (N, C * patch, places)."""
        return F.unfold(x, self.patch_size, padding=self.patch_size // 2)

    def _mean(self, patches: Tensor, x: Tensor) -> Tensor:
        """Put patches in place and divide by how many overlap."""
        size, padding = (x.shape[2], x.shape[3]), self.patch_size // 2
        total = F.fold(patches, size, self.patch_size, padding=padding)
        one = torch.ones_like(x[:1, :1])
        count = F.fold(self._patches(one), size, self.patch_size, padding=padding)
        return total / count


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

    Shape: image (N, C, H, W) in [0, 1] -> (N, C, s * H, s * W) in (0, 1).
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
        at_least_one(num_blocks=num_blocks, channels=channels)
        factors, end = steps(scale), END_KERNEL // 2
        stages = [*((factor, 1) for factor in factors[:-1]), (factors[-1], end)]
        # Head, blocks, end of the body, first sub-pixel convolution, finer grids; no attention.
        body_end = 1 + LARGE_KERNEL // 2
        self._declare(
            scale,
            in_channels,
            spatial_dims,
            halo=end + num_blocks * WideResidualBlock.reach + body_end + 1 + fine_reach(stages),
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
        for layer in (self.head, self.tail):
            pass_image(layer, passes)
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
