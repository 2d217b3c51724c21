"""Recursive residual cascade: one trunk with shared weights, then one stage for each size."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

from monai_sr.core import OptionError, at_least_one
from monai_sr.functional import REACH, cubic
from monai_sr.networks.blocks import Interpolation, he_conv
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


class RecursiveResidualBlock(nn.Module):
    """Apply the same two convolutions again and again; each pass adds to the block's input."""

    def __init__(self, spatial_dims: int, channels: int, recursions: int) -> None:
        super().__init__()
        self.first = he_conv(spatial_dims, channels, channels)
        self.second = he_conv(spatial_dims, channels, channels, gain=0.1)
        self.recursions = recursions

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        state = x
        for _ in range(self.recursions):
            state = x + self.second(F.relu(self.first(state)))
        return state


class FractionalResize(nn.Module):
    """Bicubic enlargement by ``up / down``, grids aligned by area, for sizes that ``down`` divides.

    One fixed strided convolution gives the ``up`` phases of every ``down`` samples.
    """

    def __init__(self, spatial_dims: int, up: int, down: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.up = up
        self.down = down
        position = (np.arange(up) + 0.5) * down / up - 0.5
        tap = np.arange(-REACH, down + REACH)
        taps = torch.from_numpy(cubic(tap[None] - position[:, None])).float()
        kernel = torch.ones(1, 1)
        for _ in range(spatial_dims):
            kernel = torch.einsum("pk,ql->pqkl", kernel, taps).flatten(2).flatten(0, 1)
        self.kernel: Tensor
        shape = [up**spatial_dims, 1, *[len(tap)] * spatial_dims]
        self.register_buffer("kernel", kernel.reshape(shape), persistent=False)
        self.pad = [REACH] * (2 * spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge features (N, C, H, W[, D])."""
        n, c = x.shape[0], x.shape[1]
        flat = x.reshape([n * c, 1] + list(x.shape[2:]))  # noqa: RUF005 (TorchScript)
        flat = F.pad(flat, self.pad, mode="replicate")
        kernel = self.kernel.to(x.dtype)
        if self.spatial_dims == 2:
            phases = F.conv2d(flat, kernel, stride=self.down)
        else:
            phases = F.conv3d(flat, kernel, stride=self.down)
        large = pixelshuffle(phases, self.spatial_dims, self.up)
        return large.reshape([n, c] + list(large.shape[2:]))  # noqa: RUF005 (TorchScript)


class CascadeStage(nn.Module):
    """Take features to the grid of one size and read an image off them.

    Args:
        before: enlargement of the grid that the features come from.
        scale: enlargement of this stage's grid.
        in_channels: width of those features.
        channels: width on this grid.
        image_channels: channels of the image.
    """

    def __init__(
        self,
        spatial_dims: int,
        before: int,
        scale: int,
        in_channels: int,
        channels: int,
        image_channels: int,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.scale = scale
        shared = math.gcd(before, scale)
        is_whole = shared == before
        self.shuffle = scale // before if is_whole else 1
        self.resize: nn.Module = (
            nn.Identity()
            if is_whole
            else FractionalResize(spatial_dims, scale // shared, before // shared)
        )
        self.enter = he_conv(spatial_dims, in_channels, channels * self.shuffle**spatial_dims)
        self.refine = he_conv(spatial_dims, channels, channels)
        # A zero tail: training starts from plain interpolation.
        self.tail = he_conv(spatial_dims, channels, image_channels, gain=0.0)
        self.interpolate = Interpolation(spatial_dims, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on this stage's grid."""
        large = self.enter(self.resize(x))
        if self.shuffle > 1:
            large = pixelshuffle(large, self.spatial_dims, self.shuffle)
        return F.relu(self.refine(F.relu(large)))


@register_generator("recursive_cascade")
class RecursiveCascade(Generator):
    """Head, recursive residual blocks, then stages that enlarge step by step.

    One model gives every size of its cascade: ``forward(image, 2)`` of scales (2, 3, 4) stops after
    the first stage. A stage takes the features of the grid before it to its own by sub-pixel
    convolution where the ratio is whole, and by bicubic interpolation aligned by area where it is
    3/2 or 4/3; its image is added to the bicubic-enlarged input. There is no normalization.

    Differs from the paper: it gives neither widths nor counts nor the ratio between stages, so
    those are ours; 3D is offered.

    Args:
        scale: 2, 3 or 4, the last stage and the default of ``forward``.
        scales: enlargements of the stages, ascending, ``scale`` among them; what lies above it is
            not built. None: ``scale`` alone, or (2, 4).
        channels: width of the trunk.
        num_blocks: recursive residual blocks, each with its own weights.
        recursions: how often a block applies its weights.
        stage_channels: width on the enlarged grids.
    """

    info = GeneratorInfo(
        paper="Y.-L. Wang, X.-J. Li, H.-B. Ma, Q.-T. Ma, Q. Ding and M. Pirouz, 2020, 'Image "
        "super-resolution reconstruction based on improved generative adversarial network'",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        scales: Sequence[int] | None = None,
        channels: int = 64,
        num_blocks: int = 5,
        recursions: int = 2,
        stage_channels: int = 32,
    ) -> None:
        super().__init__()
        at_least_one(
            channels=channels,
            num_blocks=num_blocks,
            recursions=recursions,
            stage_channels=stage_channels,
        )
        stages = _stages(scale, scales)
        self._declare(
            scale=scale,
            # Head, two convolutions a pass, end of the trunk.
            halo=1 + 2 * num_blocks * recursions + 1 + _cascade_reach(stages),
            in_channels=in_channels,
            spatial_dims=spatial_dims,
            also=stages,
        )
        self.head = he_conv(spatial_dims, in_channels, channels)
        self.blocks = nn.Sequential(
            *(RecursiveResidualBlock(spatial_dims, channels, recursions) for _ in range(num_blocks))
        )
        self.body_end = he_conv(spatial_dims, channels, channels)
        widths = [channels, *[stage_channels] * len(stages)]
        self.stages = nn.ModuleList(
            CascadeStage(spatial_dims, before, stage, width, stage_channels, in_channels)
            for before, stage, width in zip((1, *stages), stages, widths, strict=False)
        )

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        return self._cascade(image, self._factor(scale), every=False)[-1]

    def every_output(self, image: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return the images of all stages up to ``scale``, coarse to fine."""
        return self._cascade(image, self._factor(scale), every=True)

    def _cascade(self, image: Tensor, factor: int, every: bool) -> list[Tensor]:
        head = self.head(image - 0.5)
        features = head + self.body_end(self.blocks(head))
        images: list[Tensor] = []
        for stage in self.stages:
            if stage.scale <= factor:  # type: ignore[operator]
                features = stage(features)
                if every or stage.scale == factor:
                    detail = stage.tail(features)  # type: ignore[operator]
                    images.append(stage.interpolate(image) + detail)  # type: ignore[operator]
        return images


def _stages(scale: int, scales: Sequence[int] | None) -> tuple[int, ...]:
    """Return the enlargements of all stages, the last one being ``scale``."""
    if scales is None:
        # The base class refuses a scale that is not offered.
        return (2, 4) if scale == 4 else (max(scale, 1),)
    if sorted(set(scales)) != list(scales) or min(scales, default=0) < 2 or max(scales) > 4:
        raise OptionError(f"scales: must ascend from 2 to at most 4, got {list(scales)}")
    if scale not in scales:
        raise OptionError(f"scales: must hold scale {scale}, got {list(scales)}; add it")
    return tuple(s for s in scales if s <= scale)


def _cascade_reach(stages: tuple[int, ...]) -> int:
    """Return how many input pixels off the trunk's results the stages reach, at most."""
    reach = 0
    for count, last in enumerate(stages, start=1):
        low = 0
        for before, scale in reversed(list(zip((1, *stages), stages[:count], strict=False))):
            # Tail of the last stage, refinement of each.
            low -= 1 + (scale == last)
            if scale % before:
                # The convolution works on this grid, then the cubic takes two samples below.
                low = math.floor((low - 1 + 0.5) * before / scale - 0.5) + 1 - REACH
            else:
                low = low // (scale // before) - 1
        reach = max(reach, -low)
    return reach
