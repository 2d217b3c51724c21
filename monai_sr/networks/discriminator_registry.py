"""Names of discriminators and the one way to build them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import Registry


@dataclass(frozen=True)
class DiscriminatorInfo:
    """Facts about an architecture, whatever its size.

    Attributes:
        paper: authors, year, title and DOI or arXiv number.
        spatial_dims: the ranks of image that it takes (2: H, W; 3: H, W, D).
    """

    paper: str
    spatial_dims: tuple[int, ...] = (2, 3)


class Discriminator(nn.Module):
    """Base of all discriminators: an image goes in, logits come out, high where it looks real.

    Shape: image (N, C, H, W[, D]) in [0, 1] -> list of feature maps, the logits last: (N, 1, ...),
    one verdict an image or a map of them; never squashed (MONAI's ``PatchDiscriminator`` likewise).

    Attributes:
        info: what the architecture declares.
        minimum_size: smallest side in pixels of an image that it can judge. Batch normalization
            needs two images to train where features have shrunk to one pixel.
    """

    info = DiscriminatorInfo(paper="")
    minimum_size = 1

    def _declare(self, *, in_channels: int, spatial_dims: int, minimum_size: int) -> None:
        """Check the choices that every discriminator has, and store them."""
        if spatial_dims not in self.info.spatial_dims:
            dims = list(self.info.spatial_dims)
            raise OptionError(f"spatial_dims: must be one of {dims}, got {spatial_dims}")
        if in_channels < 1:
            raise OptionError(f"in_channels: must be at least 1, got {in_channels}")
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims
        self.minimum_size = minimum_size

    def check_size(self, image: Tensor) -> None:
        """Refuse an image that is too small, before a convolution fails on it.

        Raises:
            OptionError: naming the smallest patch.
        """
        if min(image.shape[2:]) < self.minimum_size:
            raise OptionError(
                f"patch_size: {type(self).__name__} needs images of at least {self.minimum_size} "
                f"pixels a side, got {tuple(image.shape[2:])}; raise patch_size x scale to that"
            )


DISCRIMINATORS: Registry[type[Discriminator]] = Registry("discriminator")
D = TypeVar("D", bound=type[Discriminator])


def register_discriminator(name: str) -> Callable[[D], D]:
    """Register a discriminator class under ``name`` (decorator)."""

    def register(cls: D) -> D:
        DISCRIMINATORS.add(name, cls)
        return cls

    return register


def create_discriminator(name: str, **options: Any) -> Discriminator:
    """Build a discriminator by name.

    Args:
        name: registered name, see :func:`list_discriminators`.
        options: ``in_channels``, ``spatial_dims`` and the sizes of that architecture.

    Raises:
        OptionError: if the name or an option is unknown, or a value does not fit.
    """
    cls = DISCRIMINATORS.get(name)
    try:
        return cls(**options)
    except TypeError as error:
        raise OptionError(f"discriminator {name!r}: {error}; see its docstring") from error


def list_discriminators(pattern: str = "*") -> list[str]:
    """List the registered names that match a shell pattern."""
    return DISCRIMINATORS.names(pattern)
