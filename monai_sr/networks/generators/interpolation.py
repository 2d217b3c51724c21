"""The classical interpolations as generators without weights: what every network is measured by.

All three align the grids by area: outer edges coincide, pixel centers move.
"""

import torch.nn.functional as F
from torch import Tensor

from monai_sr.functional import REACH
from monai_sr.networks.blocks import Interpolation
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("nearest")
class Nearest(Generator):
    """Repeat every pixel.

    Shape: image (N, C, H, W[, D]), any range -> (N, C, s * H, s * W[, s * D]).
    """

    info = GeneratorInfo(paper="classical", spatial_dims=(2, 3), learns="nothing")

    def __init__(self, scale: int = 4, in_channels: int = 3, *, spatial_dims: int = 2) -> None:
        super().__init__()
        self._declare(scale, in_channels, spatial_dims, halo=0)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        return F.interpolate(image, scale_factor=float(self._factor(scale)), mode="nearest")


@register_generator("bilinear")
class Bilinear(Generator):
    """Weigh the nearest pixels linearly along each axis; edges are repeated.

    Shape: image (N, C, H, W[, D]), any range -> (N, C, s * H, s * W[, s * D]).
    """

    info = GeneratorInfo(paper="classical", spatial_dims=(2, 3), learns="nothing")

    def __init__(self, scale: int = 4, in_channels: int = 3, *, spatial_dims: int = 2) -> None:
        super().__init__()
        self._declare(scale, in_channels, spatial_dims, halo=1)
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        factor = float(self._factor(scale))
        return F.interpolate(image, scale_factor=factor, mode=self.mode, align_corners=False)


@register_generator("bicubic")
class Bicubic(Generator):
    """Convolve with Keys' cubic kernel (a = -1/2), as MATLAB's ``imresize``; edges are repeated.

    Shape: image (N, C, H, W[, D]), any range -> (N, C, s * H, s * W[, s * D]), may overshoot.
    """

    info = GeneratorInfo(
        paper="R. Keys, 1981, doi:10.1109/TASSP.1981.1163711",
        spatial_dims=(2, 3),
        learns="nothing",
    )

    def __init__(self, scale: int = 4, in_channels: int = 3, *, spatial_dims: int = 2) -> None:
        super().__init__()
        self._declare(scale, in_channels, spatial_dims, halo=REACH)
        self.enlarge = Interpolation(spatial_dims, scale)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        result: Tensor = self.enlarge(image)
        return result
