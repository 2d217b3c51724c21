"""Two networks in a row: the first enlarges, the second refines its result (Badiy et al., 2025)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from monai.networks.utils import pixelshuffle
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.networks.registry import (
    GENERATORS,
    Generator,
    GeneratorInfo,
    create_generator,
    register_generator,
)

_OURS = ("scale", "in_channels", "spatial_dims")


def _create(argument: str, network: Mapping[str, Any], scale: int, **ours: int) -> Generator:
    """Build one of the two networks from its name and sizes."""
    if "name" not in network:
        raise OptionError(
            f"{argument}: must hold the name of a generator, got {dict(network)}; for example "
            "{'name': 'srcnn'}"
        )
    if taken := [key for key in _OURS if key in network]:
        raise OptionError(
            f"{argument}: must hold a name and sizes, got {', '.join(taken)}; give that to two_step"
        )
    if scale not in GENERATORS.get(network["name"]).info.scales:
        raise OptionError(
            f"{argument}: must be a network that can be built for scale {scale}, got "
            f"{network['name']!r}; srcnn enlarges by 2, 3 and 4, srresnet by 1, 2, 3 and 4"
        )
    return create_generator(**{**network, "scale": scale, **ours})


def _space_to_depth(image: Tensor, factor: int) -> Tensor:
    """Invert a pixel shuffle; MONAI's own inverse does not compile with TorchScript."""
    if image.dim() == 4:
        return F.pixel_unshuffle(image, factor)
    n, c = image.shape[0], image.shape[1]
    h, w, d = image.shape[2] // factor, image.shape[3] // factor, image.shape[4] // factor
    x = image.reshape(n, c, h, factor, w, factor, d, factor).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(n, -1, h, w, d)


@register_generator("two_step")
class TwoStep(Generator):
    """A network that gives the structure, and one that adds texture to its result.

    The paper describes SRCNN and the network of SRGAN, says that the second "further refines" what
    the first one maps, and leaves open how they are joined: taken as drawn, each of them enlarges,
    and the image would grow twice. The reading here keeps every sentence that it does say: the
    first network enlarges to the target grid; its result is rearranged, not shrunk, to the grid of
    the input (s x s pixels become channels, nothing is lost); the second network, built for scale
    1, works there and ends in a pixel shuffle, the "scaling block" that gives the target grid
    again. On that grid itself the second network would cost s x s as much, against the paper's wish
    for a lightweight method. No skip leads around the second network: the structure passes through
    it. SRResNet starts as the identity where it is as wide as the rearranged image (48 channels for
    color at x4), so that an untrained second step changes nothing.

    Training supervises both results (:meth:`every_output`), and gradients flow through both. The
    defaults are SRCNN 9-1-5 and SRResNet with 16 blocks.

    Args:
        first: name and sizes of a generator for ``scale``.
        second: name and sizes of a generator that can be built for scale 1.

    Shape: image (N, C, H, W[, D]) in [0, 1] -> (N, C, s * H, s * W[, s * D]), not clipped.


    Example:
        >>> small = {"name": "srresnet", "num_blocks": 8}
        >>> create_generator("two_step", first={"name": "srcnn"}, second=small).halo
        28
    """

    info = GeneratorInfo(
        paper="M. Badiy, F. Amounas, M. Azrour and M. A. A. Hammoudeh, 2025, Advanced image "
        "super-resolution using deep learning approaches",
        spatial_dims=(2, 3),
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        first: Mapping[str, Any] | None = None,
        second: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._declare(scale, in_channels, spatial_dims, halo=0)
        self.first = _create(
            "first",
            {"name": "srcnn"} if first is None else first,
            scale,
            in_channels=in_channels,
            spatial_dims=spatial_dims,
        )
        self.second = _create(
            "second",
            {"name": "srresnet"} if second is None else second,
            1,
            in_channels=in_channels * scale**spatial_dims,
            spatial_dims=spatial_dims,
        )
        self.halo = self.first.halo + self.second.halo
        a, b = self.first.info, self.second.info
        self.info = dataclasses.replace(
            self.info,
            minimum_size=max(a.minimum_size, b.minimum_size),
            multiple_of=math.lcm(a.multiple_of, b.multiple_of),
            is_local=a.is_local and b.is_local,
        )

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        return self._refine(self.first(image))

    def every_output(self, image: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return the first network's result, then the refined one."""
        self._factor(scale)
        structure = self.first(image)
        return [structure, self._refine(structure)]

    def _refine(self, structure: Tensor) -> Tensor:
        arranged = _space_to_depth(structure, self.scale)
        result: Tensor = pixelshuffle(self.second(arranged), self.spatial_dims, self.scale)
        return result
