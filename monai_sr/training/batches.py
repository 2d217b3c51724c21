"""How engines unpack batches, with a teacher's result where there is one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from monai.utils import CommonKeys
from torch import Tensor

from monai_sr.core import OptionError, PathLike
from monai_sr.networks import Generator, load_weights


def prepare_sr_batch(
    batch: dict[str, Tensor],
    device: torch.device | str | None = None,
    non_blocking: bool = False,
    **kwargs: Any,
) -> tuple[Tensor, Tensor, tuple[()], dict[str, int]]:
    """Split a batch into LR, HR and the scale between them, which the network is told.

    Shape: "image" (N, C, H, W[, D]) and "label" (N, C, s * H, s * W[, s * D]).

    Returns:
        image, label, no positional and one keyword argument (``scale``) for the network.
    """
    image = batch[CommonKeys.IMAGE].to(device, non_blocking=non_blocking, **kwargs)
    label = batch[CommonKeys.LABEL].to(device, non_blocking=non_blocking, **kwargs)
    if image.ndim == 4:
        image = image.contiguous(memory_format=torch.channels_last)
    return image, label, (), {"scale": label.shape[-1] // image.shape[-1]}


def step_scalars(output: dict[str, Any]) -> dict[str, float]:
    """Return the figures of a step by name, for TensorBoard's and MLflow's handlers.

    Args:
        output: of a trainer: "loss", and "scalars" where it is a GAN's.
    """
    figures = {"loss": output[CommonKeys.LOSS], **output.get("scalars", {})}
    return {name: float(value.detach()) for name, value in figures.items()}


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


def prepare_taught_batch(
    batch: dict[str, Tensor],
    device: torch.device | str | None = None,
    non_blocking: bool = False,
    **kwargs: Any,
) -> tuple[Tensor, Tensor, tuple[()], dict[str, int]]:
    """Split a batch as :class:`TaughtBatch` does; the teacher's result is in it, as "taught".

    Where it has none, at a scale that the teacher did not serve, the truth stands for it.
    """
    image, label, args, told = prepare_sr_batch(batch, device, non_blocking, **kwargs)
    taught = batch.get("taught", label).to(device, non_blocking=non_blocking, **kwargs)
    return image, torch.cat([label, taught], dim=1), args, told


def training_batch(
    teacher: Generator,
    weights: PathLike | None = None,
    device: torch.device | str = "cpu",
    inferer: Inferer | None = None,
) -> Callable[..., Any]:
    """Return what splits the batches of a run, with a teacher's result where there is one.

    Args:
        teacher: the teacher's network.
        weights: of the teacher, or the folder of its results, see :class:`TeacherResults`; None:
            there is none.
        device: where batches come to.
        inferer: how the teacher is called.

    Raises:
        WeightsError: if the weights are not there, or of another network.
    """
    if weights and Path(weights).is_dir():
        return prepare_taught_batch
    return TaughtBatch(teacher, weights, device, inferer) if weights else prepare_sr_batch
