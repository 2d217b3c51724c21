"""First weights with which a network without an image skip starts as linear interpolation.

Only where training starts from is chosen here, never the architecture: a few channels carry the
image through head, stages and tail, all others start as in PyTorch. Bicubic kernels are five wide;
the linear ones fit the 3 x 3 convolutions of published networks.
"""

from __future__ import annotations

import torch
from torch import nn

from monai_sr.networks.blocks import SubPixelStage

Convolution = nn.Conv2d | nn.Conv3d


def pass_image(conv: Convolution, count: int, *, gain: float = 1.0) -> None:
    """Let output channel c of ``conv`` start as ``gain`` times input channel c, for c < ``count``.

    ``count`` may exceed the channels on either side: then there are fewer such c.
    """
    count = min(count, conv.in_channels, conv.out_channels)
    with torch.no_grad():
        conv.weight[:count] = 0
        if conv.bias is not None:
            conv.bias[:count] = 0
        for c in range(count):
            kernel = conv.weight[c, c].view(-1)
            kernel[len(kernel) // 2] = gain


def pass_smoothed(conv: nn.Module, count: int, factor: int) -> None:
    """Let ``conv`` turn a nearest enlargement of its first ``count`` channels into a linear one.

    Repeated ``factor`` (2 or 3) times, pixels are averaged over as wide a window, fine-grid weights
    (1, 2, 1) / 4 or (1, 1, 1) / 3; beyond the image's edge it reads zeros.
    """
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4 if factor == 2 else torch.ones(3) / 3
    weight, kernel = conv.get_parameter("weight"), torch.ones(())
    for _ in weight.shape[2:]:
        kernel = kernel[..., None] * taps
    with torch.no_grad():
        weight[:count] = 0
        conv.get_parameter("bias")[:count] = 0
        for c in range(count):
            weight[c, c] = kernel


def pass_enlarged(stage: SubPixelStage, count: int) -> None:
    """Let ``stage`` start as linear interpolation of its first ``count`` channels.

    Its convolution must be three wide; beyond the image's edge it reads zeros.
    """
    conv, factor = stage.conv, stage.factor
    count = min(count, conv.in_channels)
    offset = (torch.arange(factor) + 0.5) / factor - 0.5
    taps = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)], dim=1)
    kernel = torch.ones(1, 1)
    for _ in range(stage.spatial_dims):
        kernel = torch.einsum("pk,ql->pqkl", kernel, taps).flatten(2).flatten(0, 1)
    phases = len(kernel)
    with torch.no_grad():
        conv.weight[: count * phases] = 0
        conv.bias[: count * phases] = 0
        for c in range(count):
            rows = conv.weight[c * phases : (c + 1) * phases, c]
            rows.copy_(kernel.reshape(rows.shape))
