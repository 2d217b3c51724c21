"""DRCN: one convolution applied sixteen times to the enlarged image, each pass reconstructed."""

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.blocks import Interpolation, enlarged_halo
from monai_sr.networks.registry import Generator, GeneratorInfo, register_generator


@register_generator("drcn")
class DRCN(Generator):
    """Embedding, recursion with shared weights, reconstruction of each pass, learned average.

    Two convolutions embed the enlarged image, one convolution is applied ``recursions`` times, two
    more turn every pass into an image, to which the enlarged image is added. Training supervises
    all of these images and their average (:meth:`every_output`; the paper weighs the early ones
    together by alpha, the average by 1 - alpha, and lowers alpha while it trains). As in the paper,
    the recursive convolution starts as the identity, and the averaging weights, started at
    1 / ``recursions``, are free. For one channel the defaults have 1,774,080 weights, 1,025 biases
    and 16 averaging weights: the 1.77 M of the literature.

    Differs from the paper: the last convolution starts at zero, so that training starts from plain
    interpolation; all channels are enlarged together (the paper's network sees luma alone); 3D is
    offered.

    Args:
        channels: width of all convolutions.
        recursions: how often the shared convolution is applied.
    """

    info = GeneratorInfo(
        paper="J. Kim, J. K. Lee and K. M. Lee, 2016, doi:10.1109/CVPR.2016.181",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        channels: int = 256,
        recursions: int = 16,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, recursions=recursions)
        self._declare(
            scale, in_channels, spatial_dims, halo=enlarged_halo(scale, 2 + recursions + 2)
        )
        conv = Conv[Conv.CONV, spatial_dims]
        self.recursions = recursions
        self.enlarge = Interpolation(spatial_dims, scale)
        self.embedding = nn.ModuleList(
            conv(width, channels, 3, padding=1) for width in (in_channels, channels)
        )
        self.recursion = conv(channels, channels, 3, padding=1)
        self.reconstruction = conv(channels, channels, 3, padding=1)
        self.tail = conv(channels, in_channels, 3, padding=1)
        self.pass_weights = nn.Parameter(torch.full((recursions,), 1 / recursions))
        for layer in (*self.embedding, self.reconstruction):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.dirac_(self.recursion.weight)
        nn.init.zeros_(self.tail.weight)
        for layer in (*self.embedding, self.recursion, self.reconstruction, self.tail):
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        return self._average(self._passes(image))

    def every_output(self, image: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return the image of each pass, then their average."""
        self._factor(scale)
        passes = self._passes(image)
        return [*passes, self._average(passes)]

    def _passes(self, image: Tensor) -> list[Tensor]:
        large = self.enlarge(image)
        x = large
        for conv in self.embedding:
            x = F.relu(conv(x))
        passes: list[Tensor] = []
        for _ in range(self.recursions):
            x = F.relu(self.recursion(x))
            passes.append(large + self.tail(F.relu(self.reconstruction(x))))
        return passes

    def _average(self, passes: list[Tensor]) -> Tensor:
        result = self.pass_weights[0] * passes[0]
        for i in range(1, self.recursions):
            result = result + self.pass_weights[i] * passes[i]
        return result
