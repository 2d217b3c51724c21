"""How engines unpack batches of aligned LR/HR images, and what loggers take from a step."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import CommonKeys
from torch import Tensor


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
