"""Iterative back projection: correct an interpolated image until it shrinks to the given one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.core import OptionError
from monai_sr.functional import REACH, phase_kernel
from monai_sr.networks.blocks import Interpolation
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


def _mirror(image: Tensor, width: int) -> Tensor:
    """Continue every axis of an image by ``width`` mirrored samples, the edge one repeated."""
    for dim in range(2, image.dim()):
        size = image.shape[dim]
        before = image.narrow(dim, 0, width).flip([dim])
        after = image.narrow(dim, size - width, width).flip([dim])
        image = torch.cat([before, image, after], dim=dim)
    return image


class Reduction(nn.Module):
    """Bicubic shrinking by a whole factor, with antialiasing, as one fixed strided convolution."""

    def __init__(self, spatial_dims: int, scale: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.scale = scale
        # Phases of one coarse pixel after those of the other: taps in the order of fine pixels.
        taps = phase_kernel(scale, down=True).float().T.flatten()
        kernel = taps
        for _ in range(spatial_dims - 1):
            kernel = kernel[..., None] * taps
        self.kernel: Tensor
        self.register_buffer("kernel", kernel[None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Shrink ``image`` (N, C, H, W[, D]), continued by REACH coarse pixels on each side."""
        n, c = image.shape[0], image.shape[1]
        flat = image.reshape([n * c, 1] + list(image.shape[2:]))  # noqa: RUF005 (TorchScript)
        kernel, s = self.kernel.to(image.dtype), self.scale
        if self.spatial_dims == 2:
            small = F.conv2d(flat, kernel, stride=[s, s])
        else:
            small = F.conv3d(flat, kernel, stride=[s, s, s])
        return small.reshape([n, c] + list(small.shape[2:]))  # noqa: RUF005 (TorchScript)


@register_generator("iterative_back_projection")
class IterativeBackProjection(Generator):
    """Interpolate, then add ``steps`` times what the given image has and the shrunken one lacks.

    A step is ``s <- s + up(lr - down(s))`` with the bicubic resizing of
    :mod:`monai_sr.functional.resize`; nothing is learned. It equals
    :func:`monai_sr.functional.back_projection.back_project` without bounds, as a network that can
    be exported.

    Differs from the paper: one image instead of a shifted sequence; blur and back-projection kernel
    are the bicubic ones, and the error is added in full.

    Shape: image (N, C, H, W[, D]), any range, sides at least 2 -> (N, C, s * H, s * W[, s * D]),
    may overshoot.
    """

    info = GeneratorInfo(
        paper="M. Irani and S. Peleg, 1991, doi:10.1016/1049-9652(91)90045-L",
        spatial_dims=(2, 3),
        minimum_size=REACH,
        learns="nothing",
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        steps: int = 10,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise OptionError(f"steps: must be at least 1, got {steps}; 0 would be bicubic")
        self._declare(
            scale=scale,
            # Both kernels are zero at REACH. A fine pixel that is read lies short of its coarse
            # one's center there, so that the way back up reaches one pixel less.
            halo=REACH + steps * (2 * REACH - 1),
            in_channels=in_channels,
            spatial_dims=spatial_dims,
        )
        self.steps = steps
        self.edge, self.fine_edge = REACH, REACH * scale
        self.enlarge = Interpolation(spatial_dims, scale)
        self.reduce = Reduction(spatial_dims, scale)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            result = self._iterate(image)
        else:
            # Half precision would lose the small errors that are projected back.
            with torch.autocast(image.device.type, enabled=False):
                result = self._iterate(image)
        return result

    def _iterate(self, image: Tensor) -> Tensor:
        result = self._up(image)
        for _ in range(self.steps):
            error = image - self.reduce(_mirror(result, self.fine_edge))
            result = result + self._up(error)
        return result

    def _up(self, image: Tensor) -> Tensor:
        large: Tensor = self.enlarge(_mirror(image, self.edge))
        for dim in range(2, large.dim()):
            size = large.shape[dim] - 2 * self.fine_edge
            large = large.narrow(dim, self.fine_edge, size)
        return large
