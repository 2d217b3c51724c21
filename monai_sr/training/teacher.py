"""Training with a larger network as teacher: its result is a second target beside the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from monai_sr.core.errors import OptionError
from monai_sr.core.types import PathLike
from monai_sr.networks import Generator, load_weights
from monai_sr.training.batches import prepare_sr_batch


class TaughtBatch:
    """Split a batch as :func:`prepare_sr_batch` does, with a teacher's result as second target.

    The teacher is frozen, in evaluation mode, and sees exactly the student's input; it is no part
    of a checkpoint, so a resumed run equals an uninterrupted one. Its own back-projection is off.

    Args:
        teacher: a generator that serves the scales of the batches.
        weights: its weights, a plain state dict.
        device: where batches come to.
        inferer: how the teacher is called; the trainer's own, for one precision in both.

    Raises:
        WeightsError: if the weights are not there, or of another network.
        OptionError: of a batch, if the teacher enlarges images of another number of axes.

    References:
        Hinton, Vinyals, Dean (2015), Distilling the knowledge in a neural network,
        arXiv:1503.02531.
    """

    def __init__(
        self,
        teacher: Generator,
        weights: PathLike,
        device: torch.device | str = "cpu",
        inferer: Inferer | None = None,
    ) -> None:
        load_weights(teacher, weights)
        self.teacher = teacher.to(device).requires_grad_(False).eval()
        self.infer = inferer or SimpleInferer()

    def __call__(
        self,
        batch: dict[str, Tensor],
        device: torch.device | str | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, int]]:
        """Return image, both targets, and what the network is told beside the image.

        Shape: image (N, C, H, W[, D]); targets (N, 2 C, s * H, s * W[, s * D]), the truth first.
        """
        image, label, args, told = prepare_sr_batch(batch, device, non_blocking, **kwargs)
        if image.ndim - 2 != self.teacher.spatial_dims:
            raise OptionError(
                f"teacher: enlarges images of {self.teacher.spatial_dims} axes, got "
                f"{image.ndim - 2}; leave --teacher out"
            )
        with torch.no_grad():
            taught = self.infer(image, self.teacher, **told)
        return image, torch.cat([label, taught], dim=1), args, told


def training_batch(
    teacher: Generator,
    weights: PathLike | None = None,
    device: torch.device | str = "cpu",
    inferer: Inferer | None = None,
) -> Callable[..., Any]:
    """Return what splits the batches of a run: :func:`prepare_sr_batch`, or :class:`TaughtBatch`.

    Args:
        teacher: the teacher's network.
        weights: of the teacher; None: there is none.
        device: where batches come to.
        inferer: how the teacher is called.

    Raises:
        WeightsError: if the weights are not there, or of another network.
    """
    return TaughtBatch(teacher, weights, device, inferer) if weights else prepare_sr_batch


__all__ = ["TaughtBatch", "training_batch"]
