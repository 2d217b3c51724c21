"""Names of generators, what each one declares about itself, and the one way to build them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import Registry


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

    Attributes:
        info: what the architecture declares.
        scale: the factor of a plain ``forward(image)``.
        scales: every factor that this instance gives.
        halo: receptive field: input pixels on each side that one output pixel may depend on. For a
            generator that is not local: the reach of its local part.
    """

    # Attributes are annotated where they are assigned: TorchScript compiles class annotations.
    info = GeneratorInfo(paper="")

    def _declare(
        self,
        *,
        scale: int,
        halo: int,
        in_channels: int,
        spatial_dims: int,
        also: tuple[int, ...] = (),
    ) -> None:
        """Check the choices that every generator has, and store them."""
        allowed = self.info.scales
        if scale not in allowed:
            raise OptionError(
                f"scale: must be one of {list(allowed)}, got {scale}; choose one of them"
            )
        if spatial_dims not in self.info.spatial_dims:
            dims = list(self.info.spatial_dims)
            raise OptionError(f"spatial_dims: must be one of {dims}, got {spatial_dims}")
        if in_channels < 1:
            raise OptionError(f"in_channels: must be at least 1, got {in_channels}")
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


GENERATORS: Registry[type[Generator]] = Registry("generator")
G = TypeVar("G", bound=type[Generator])


def register_generator(name: str) -> Callable[[G], G]:
    """Register a generator class under ``name`` (decorator)."""

    def register(cls: G) -> G:
        GENERATORS.add(name, cls)
        return cls

    return register


def create_generator(name: str, **options: Any) -> Generator:
    """Build a generator by name.

    Args:
        name: registered name, see :func:`list_generators`.
        options: ``scale``, ``in_channels``, ``spatial_dims`` and the sizes of that architecture.

    Raises:
        OptionError: if the name or an option is unknown, or a value does not fit.
    """
    cls = GENERATORS.get(name)
    try:
        return cls(**options)
    except TypeError as error:
        raise OptionError(f"generator {name!r}: {error}; see its docstring for options") from error


def list_generators(pattern: str = "*") -> list[str]:
    """List the registered names that match a shell pattern."""
    return GENERATORS.names(pattern)


def check_scale(scale: int | None, scales: tuple[int, ...], default: int) -> int:
    """Resolve the ``scale`` of one call against what a generator was built for."""
    if scale is None:
        return default
    if scale not in scales:
        raise OptionError(f"scale: this model was built for {list(scales)}, got {scale}")
    return scale


__all__ = [
    "GENERATORS",
    "Generator",
    "GeneratorInfo",
    "Tensor",
    "check_scale",
    "create_generator",
    "list_generators",
    "register_generator",
]
