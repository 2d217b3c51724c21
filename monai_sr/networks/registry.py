"""Names of generators and discriminators, what each declares about itself, how they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import OptionError, Registry, at_least_one


@dataclass(frozen=True)
class GeneratorInfo:
    """Facts about an architecture, whatever its size.

    Attributes:
        paper: authors, year, title and DOI or arXiv number.
        scales: the factors that it can be built for.
        spatial_dims: the ranks of image that it takes (2: H, W; 3: H, W, D).
        minimum_size: smallest input side in pixels.
        multiple_of: input sides must be multiples of this.
        is_local: whether outputs depend on a bounded neighborhood, so that tiles equal the whole.
        learns: "gradient", "fit" (its dictionaries come from :meth:`Generator.fit`) or "nothing".
    """

    paper: str
    scales: tuple[int, ...] = (2, 3, 4)
    spatial_dims: tuple[int, ...] = (2,)
    minimum_size: int = 1
    multiple_of: int = 1
    is_local: bool = True
    learns: str = "gradient"


class Generator(nn.Module):
    """Base of all generators: a low-resolution image goes in, an enlarged one comes out.

    Shape: image (N, C, H, W[, D]), values in [0, 1] -> (N, C, H * scale, W * scale[, D * scale]),
    same dtype, not clipped.

    Every generator takes these arguments; its docstring tells of those that it has besides.

    Args:
        scale: one of ``info.scales``, the largest enlargement and that of a plain
            ``forward(image)``.
        in_channels: channels of image and result.
        spatial_dims: one of ``info.spatial_dims``.

    Attributes:
        info: what the architecture declares.
        scales: every factor that this instance gives.
        halo: receptive field: input pixels on each side that one output pixel may depend on. For a
            generator that is not local: the reach of its local part.

    Raises:
        OptionError: if a choice is not offered.
    """

    # Attributes are annotated where they are assigned: TorchScript compiles class annotations.
    info = GeneratorInfo(paper="")

    def _declare(
        self,
        scale: int,
        in_channels: int,
        spatial_dims: int,
        *,
        halo: int,
        also: tuple[int, ...] = (),
    ) -> None:
        """Check the choices that every generator has, and store them."""
        if scale not in self.info.scales:
            allowed = list(self.info.scales)
            raise OptionError(f"scale: must be one of {allowed}, got {scale}; choose one of them")
        _check(self.info, in_channels, spatial_dims)
        self.scale = scale
        self.scales = tuple(sorted({scale, *also}))
        self.halo = halo
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims

    def every_output(self, image: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return all results that training supervises, the one of ``forward`` last.

        Earlier ones are early passes or coarser grids; most generators have none.
        """
        return [self(image, scale)]

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the options that tell how large the network of some weights is.

        Args:
            state: state dict of a network of this class, or of any other.

        Returns:
            Options of the class; none where the names are not its own, or it cannot tell.
        """
        return {}

    def fit(self, lr: Tensor, hr: Tensor) -> None:
        """Learn from patches without gradients, where ``info.learns`` is "fit".

        Shape: lr (N, C, P, P), hr (N, C, s * P, s * P), float32 in [0, 1].
        """
        raise OptionError(f"{type(self).__name__}: learns by gradient descent; use a trainer")

    def _factor(self, scale: int | None) -> int:
        """Resolve the ``scale`` of one call; raises OptionError if it was not built in."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            return check_scale(scale, self.scales, self.scale)
        return self.scale if scale is None else scale


def _check(info: GeneratorInfo | DiscriminatorInfo, in_channels: int, spatial_dims: int) -> None:
    if spatial_dims not in info.spatial_dims:
        dims = list(info.spatial_dims)
        raise OptionError(f"spatial_dims: must be one of {dims}, got {spatial_dims}")
    at_least_one(in_channels=in_channels)


GENERATORS: Registry[type[Generator]] = Registry("generator", "monai_sr.networks.generators")
register_generator = GENERATORS.register
"""Decorator: register a generator class under a name."""
list_generators = GENERATORS.names
"""List the registered names that match a shell pattern."""


def create_generator(name: str, **options: Any) -> Generator:
    """Build a generator by name.

    Args:
        name: registered name, see :func:`list_generators`.
        options: ``scale``, ``in_channels``, ``spatial_dims`` and the sizes of that architecture.

    Raises:
        OptionError: if the name or an option is unknown, or a value does not fit.
    """
    network: Generator = GENERATORS.build(name, options)
    return network


def check_scale(scale: int | None, scales: tuple[int, ...], default: int) -> int:
    """Resolve the ``scale`` of one call against what a generator was built for."""
    if scale is None:
        return default
    if scale not in scales:
        raise OptionError(f"scale: this model was built for {list(scales)}, got {scale}")
    return scale


class EveryOutput(nn.Module):
    """Make ``forward`` of a generator return what its ``every_output`` returns.

    Trainers and :class:`torch.nn.parallel.DistributedDataParallel` call ``forward`` alone. Save the
    state of ``generator``, not of the wrapper: its keys are those of the plain network.

    Shape: image (N, C, H, W[, D]) in [0, 1] -> list of tensors, the result of the generator last.

    Example:
        >>> from monai_sr.networks import create_generator
        >>> import torch
        >>> model = EveryOutput(create_generator("bicubic"))
        >>> [tuple(result.shape) for result in model(torch.zeros(1, 3, 5, 5))]
        [(1, 3, 20, 20)]
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return every supervised result for ``image``."""
        return self.generator.every_output(image, scale)


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

    Every discriminator takes these arguments; its docstring tells of those that it has besides.

    Args:
        in_channels: channels of the image.
        spatial_dims: one of ``info.spatial_dims``.

    Attributes:
        info: what the architecture declares.
        minimum_size: smallest side in pixels of an image that it can judge. Batch normalization
            needs two images to train where features have shrunk to one pixel.

    Raises:
        OptionError: if a choice is not offered.
    """

    info = DiscriminatorInfo(paper="")
    minimum_size = 1

    def _declare(self, in_channels: int, spatial_dims: int, *, minimum_size: int) -> None:
        """Check the choices that every discriminator has, and store them."""
        _check(self.info, in_channels, spatial_dims)
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


DISCRIMINATORS: Registry[type[Discriminator]] = Registry(
    "discriminator", "monai_sr.networks.discriminators"
)
register_discriminator = DISCRIMINATORS.register
"""Decorator: register a discriminator class under a name."""
list_discriminators = DISCRIMINATORS.names
"""List the registered names that match a shell pattern."""


def create_discriminator(name: str, **options: Any) -> Discriminator:
    """Build a discriminator by name.

    Args:
        name: registered name, see :func:`list_discriminators`.
        options: ``in_channels``, ``spatial_dims`` and the sizes of that architecture.

    Raises:
        OptionError: if the name or an option is unknown, or a value does not fit.
    """
    network: Discriminator = DISCRIMINATORS.build(name, options)
    return network
