"""SRCNN: three convolutions on the bicubic-enlarged image, the first network for this task."""

from collections.abc import Sequence

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.networks.blocks import Interpolation, enlarged_halo, pass_image
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("srcnn")
class SRCNN(Generator):
    """Patch extraction, non-linear mapping and reconstruction.

    Differs from the paper: zero padding keeps the size, all channels are enlarged together (the
    paper's network sees luma alone), 3D is offered, and the untrained network passes the enlarged
    image on.

    Args:
        kernel_sizes: sides of the three kernels, odd; (9, 5, 5) is the paper's strongest variant.
        filters: widths after the first and the second convolution.
    """

    info = GeneratorInfo(
        paper="C. Dong, C. C. Loy, K. He and X. Tang, 2014, doi:10.1109/TPAMI.2015.2439281",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        kernel_sizes: Sequence[int] = (9, 1, 5),
        filters: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__()
        if len(kernel_sizes) != 3 or any(size % 2 != 1 for size in kernel_sizes):
            raise OptionError(f"kernel_sizes: needs three odd numbers, got {list(kernel_sizes)}")
        if len(filters) != 2 or min(filters) < 1:
            raise OptionError(f"filters: needs two positive numbers, got {list(filters)}")
        radius = sum(size // 2 for size in kernel_sizes)
        self._declare(scale, in_channels, spatial_dims, halo=enlarged_halo(scale, radius))
        conv = Conv[Conv.CONV, spatial_dims]
        widths = [in_channels, *filters, in_channels]
        self.enlarge = Interpolation(spatial_dims, scale)
        self.extraction, self.mapping, self.reconstruction = (
            conv(widths[i], widths[i + 1], size, padding=size // 2)
            for i, size in enumerate(kernel_sizes)
        )
        for layer in (self.extraction, self.mapping, self.reconstruction):
            pass_image(layer, in_channels)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        x = F.relu(self.extraction(self.enlarge(image)))
        x = F.relu(self.mapping(x))
        result: Tensor = self.reconstruction(x)
        return result
