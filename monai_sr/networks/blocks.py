"""Parts that several generators share; all of them compile with TorchScript."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

from monai_sr.functional.resize import REACH, phase_kernel


class Interpolation(nn.Module):
    """Bicubic enlargement by a whole factor as one fixed convolution and a pixel shuffle.

    Equal to :func:`monai_sr.functional.resize.upsample` but for the two outermost pixels, where the
    image is continued by repeating its edge.
    """

    def __init__(self, spatial_dims: int, scale: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.scale = scale
        taps = phase_kernel(scale, down=False).float()
        kernel = torch.ones(1, 1)
        for _ in range(spatial_dims):
            kernel = torch.einsum("pk,ql->pqkl", kernel, taps).flatten(2).flatten(0, 1)
        size = [2 * REACH + 1] * spatial_dims
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.reshape(-1, 1, *size), persistent=False)
        self.pad = [REACH] * (2 * spatial_dims)

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge ``image`` (N, C, H, W[, D]), in its own precision under autocast too."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            large = self._enlarge(image)
        elif torch.is_autocast_enabled(image.device.type):
            # Half precision would round the image itself, not only the detail added to it.
            with torch.autocast(image.device.type, enabled=False):
                large = self._enlarge(image)
        else:
            large = self._enlarge(image)
        return large

    def _enlarge(self, image: Tensor) -> Tensor:
        n, c = image.shape[0], image.shape[1]
        flat = image.reshape([n * c, 1] + list(image.shape[2:]))  # noqa: RUF005 (TorchScript)
        flat = F.pad(flat, self.pad, mode="replicate")
        kernel = self.kernel.to(image.dtype)
        phases = F.conv2d(flat, kernel) if self.spatial_dims == 2 else F.conv3d(flat, kernel)
        large = pixelshuffle(phases, self.spatial_dims, self.scale)
        return large.reshape([n, c] + list(large.shape[2:]))  # noqa: RUF005 (TorchScript)


class SubPixelStage(nn.Module):
    """A convolution to ``factor ** spatial_dims`` times the channels and a pixel shuffle."""

    def __init__(
        self, spatial_dims: int, channels: int, factor: int, *, kernel_size: int = 3
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.factor = factor
        self.conv = Conv[Conv.CONV, spatial_dims](
            channels, channels * factor**spatial_dims, kernel_size, padding=kernel_size // 2
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features on a grid ``factor`` times as fine."""
        large: Tensor = pixelshuffle(self.conv(x), self.spatial_dims, self.factor)
        return large


def enlarged_halo(scale: int, radius: int) -> int:
    """Return the halo of a network that works on the bicubic-enlarged image.

    Args:
        scale: the enlargement.
        radius: reach of its convolutions in enlarged pixels.
    """
    # The outermost enlarged pixel lies (scale - 1) / 2 off the center of its input pixel, and the
    # bicubic kernel is zero at a distance of REACH.
    distance = REACH + ((scale - 1) / 2 + radius) / max(scale, 1)
    return math.ceil(distance) - 1
