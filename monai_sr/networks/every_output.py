"""All supervised results of a generator as the result of one call."""

from __future__ import annotations

from torch import Tensor, nn

from monai_sr.networks.registry import Generator


class EveryOutput(nn.Module):
    """Make ``forward`` of a generator return what its ``every_output`` returns.

    Trainers and :class:`torch.nn.parallel.DistributedDataParallel` call ``forward`` alone. Save the
    state of ``generator``, not of the wrapper: its keys are those of the plain network.

    Args:
        generator: the network to train.

    Attributes:
        generator: the same.

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
