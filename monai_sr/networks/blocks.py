"""Parts that several generators share; all of them compile with TorchScript."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

from monai_sr.functional import REACH, phase_kernel

_SMALLEST = 1e-12
_BITS = 8  # of the integers that features become
# In training fewer: where noise is below the error that is left, a loss hardly feels it.
_BITS_IN_TRAINING = 6


class Interpolation(nn.Module):
    """Bicubic enlargement by a whole factor as one fixed convolution and a pixel shuffle.

    Equal to :func:`monai_sr.functional.resize.upsample` but for the two outermost pixels, where the
    image is continued by repeating its edge.

    Args:
        spatial_dims: 2 or 3.
        scale: factor.
        in_channels: of all images; with 1 they may have any number, enlarged one by one.
    """

    def __init__(self, spatial_dims: int, scale: int, in_channels: int = 1) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.scale = scale
        self.in_channels = in_channels
        taps = phase_kernel(scale, down=False).float()
        kernel = torch.ones(1, 1)
        for _ in range(spatial_dims):
            kernel = torch.einsum("pk,ql->pqkl", kernel, taps).flatten(2).flatten(0, 1)
        size = [2 * REACH + 1] * spatial_dims
        self.kernel: Tensor
        kernel = kernel.reshape(-1, 1, *size).repeat(in_channels, *[1] * (1 + spatial_dims))
        self.register_buffer("kernel", kernel, persistent=False)
        self.pad = [REACH] * (2 * spatial_dims)

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge ``image`` (N, C, H, W[, D])."""
        if self.in_channels > 1:
            return shuffled(self.phases(image), self.spatial_dims, self.scale)
        n, c = image.shape[0], image.shape[1]
        flat = image.reshape([n * c, 1] + list(image.shape[2:]))  # noqa: RUF005 (TorchScript)
        large = shuffled(self.phases(flat), self.spatial_dims, self.scale)
        return large.reshape([n, c] + list(large.shape[2:]))  # noqa: RUF005 (TorchScript)

    def phases(self, image: Tensor) -> Tensor:
        """Return the enlarged image before its pixel shuffle, in its own precision in any case.

        Shape: (N, C, H, W[, D]) -> (N, C * scale ** spatial_dims, H, W[, D]), C as declared.
        """
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            phases = self._phases(image)
        elif torch.is_autocast_enabled(image.device.type):
            # Half precision would round the image itself, not only the detail added to it.
            with torch.autocast(image.device.type, enabled=False):
                phases = self._phases(image)
        else:
            phases = self._phases(image)
        return phases

    def _phases(self, image: Tensor) -> Tensor:
        padded = F.pad(image, self.pad, mode="replicate")
        kernel = self.kernel.to(image.dtype)
        if self.spatial_dims == 2:
            return F.conv2d(padded, kernel, groups=self.in_channels)
        return F.conv3d(padded, kernel, groups=self.in_channels)


def shuffled(x: Tensor, spatial_dims: int, factor: int) -> Tensor:
    """Return the pixel shuffle of features.

    MONAI's has the faster gradient, and is the faster one to a single channel. Else PyTorch's is,
    and it is one operation to those who export it.

    Shape: (N, C * factor ** spatial_dims, H, W[, D]) -> (N, C, factor * H, factor * W[, ...]).
    """
    if spatial_dims == 2 and x.shape[1] > factor**2 and not x.requires_grad:
        return F.pixel_shuffle(x, factor)
    large: Tensor = pixelshuffle(x, spatial_dims, factor)
    return large


def he_conv(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    *,
    gain: float = 1.0,
    slope: float = 0.0,
) -> nn.Module:
    """Build a convolution that keeps the size, He-initialized times ``gain``, without offset.

    With torch's own smaller start the signal fades over the stages, and a generator for smooth
    images (X-rays) stayed at plain interpolation for 2000 steps.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels that come in.
        out_channels: channels that go out.
        kernel_size: odd side of the kernel.
        gain: factor on the start; 0 makes a layer that begins by giving nothing.
        slope: negative slope of the activation that follows; 1: there is none.

    References:
        K. He et al., 2015, doi:10.1109/ICCV.2015.123.
    """
    conv: nn.Conv2d | nn.Conv3d = (nn.Conv2d if spatial_dims == 2 else nn.Conv3d)(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2
    )
    nn.init.kaiming_normal_(conv.weight, a=slope)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        conv.weight.mul_(gain)
    return conv


class Limited(nn.Hardtanh):
    """Values kept within a range that rounding to integers of 8 bits can rely on.

    In training they are rounded, to 6 bits, so that a network learns to do without what integers
    cannot hold; gradients pass as if they were not (Jacob et al., 2018,
    doi:10.1109/CVPR.2018.00286).

    Args:
        low: smallest value; from 0 on integers are unsigned.
        high: largest.

    Shape: any.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__(float(low), float(high))  # TorchScript tells 2 from 2.0
        self.steps = integer_steps(low, high, _BITS_IN_TRAINING)

    def forward(self, x: Tensor) -> Tensor:
        """Return the values within the range, in training the nearest integers' values."""
        limited = F.hardtanh(x, self.min_val, self.max_val)
        if not self.training:
            return limited
        step, zero, smallest, largest = self.steps
        rounded = torch.fake_quantize_per_tensor_affine(
            limited.float(), step, zero, smallest, largest
        )
        return rounded.to(x.dtype)


def integer_steps(low: float, high: float, bits: int = _BITS) -> tuple[float, int, int, int]:
    """Return width of a step, zero point, smallest and largest integer that stand for a range.

    Args:
        low: smallest value of the range; from 0 on integers are unsigned.
        high: largest.
        bits: of an integer.
    """
    if low >= 0:
        largest = 2**bits - 1
        return max(high, _SMALLEST) / largest, 0, 0, largest
    # Around 0, which needs no correction of sums.
    largest = 2 ** (bits - 1) - 1
    return max(-low, high, _SMALLEST) / largest, 0, -largest - 1, largest


def mark(limit: float = math.inf) -> nn.Module:
    """Mark where integer arithmetic rounds features, see :mod:`monai_sr.runtimes.int8`.

    Args:
        limit: features are kept within it, positive and negative, and are rounded in training.
    """
    return nn.Identity() if math.isinf(limit) else Limited(-limit, limit)


class PlainBlock(nn.Module):
    """Two convolutions with a ReLU between, added to the input.

    Args:
        spatial_dims: 2 or 3.
        channels: of input and result.
        limit: of all features, which are rounded in training (:class:`Limited`). They stay within
            it whatever the image is, as in networks made for integers (Howard et al., 2017,
            arXiv:1704.04861, use 6): rounding knows their range.
    """

    reach = 2

    def __init__(self, spatial_dims: int, channels: int, limit: float = math.inf) -> None:
        super().__init__()
        self.first = he_conv(spatial_dims, channels, channels)
        self.activation = nn.ReLU() if math.isinf(limit) else Limited(0.0, limit)
        self.second = he_conv(spatial_dims, channels, channels, gain=0.1)
        self.sum = mark(limit)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.second(self.activation(self.first(x)))
        result: Tensor = self.sum(x + residual)
        return result


def plain_sizes(state: Mapping[str, Tensor], own: str) -> dict[str, Any]:
    """Return width and depth of a trunk of plain blocks by its state dict.

    Args:
        state: of any network.
        own: name that only the networks in question have, besides ``head`` and ``blocks``.

    Returns:
        ``channels`` and ``num_blocks``, or nothing where the names are others.
    """
    depth = sum(name.startswith("blocks.") and name.endswith("first.weight") for name in state)
    if not depth or not {own, "head.weight"} <= state.keys():
        return {}
    return {"channels": state["head.weight"].shape[0], "num_blocks": depth}


class SubPixelStage(nn.Module):
    """A convolution to ``factor ** spatial_dims`` times the channels and a pixel shuffle."""

    def __init__(self, spatial_dims: int, channels: int, factor: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.factor = factor
        self.conv = Conv[Conv.CONV, spatial_dims](
            channels, channels * factor**spatial_dims, 3, padding=1
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features on a grid ``factor`` times as fine."""
        large: Tensor = pixelshuffle(self.conv(x), self.spatial_dims, self.factor)
        return large


def enlarged_halo(scale: int, radius: int) -> int:
    """Return the halo of a network that works on the bicubic-enlarged image.

    Args:
        scale: the enlargement.
        radius: reach of its convolutions in enlarged pixels.
    """
    # The outermost enlarged pixel lies (scale - 1) / 2 off the center of its input pixel, and the
    # bicubic kernel is zero at a distance of REACH.
    distance = REACH + ((scale - 1) / 2 + radius) / max(scale, 1)
    return math.ceil(distance) - 1


def steps(scale: int) -> tuple[int, ...]:
    """Divide an enlargement into whole steps of at most 3: x4 is x2 and x2 again."""
    # A scale that is not offered passes: the base class refuses it with the reason.
    return (2, 2) if scale == 4 else (max(scale, 1),)


def fine_reach(stages: Sequence[tuple[int, int]]) -> int:
    """Return how many coarse pixels aside an enlarged pixel depends on, at most.

    Args:
        stages: from coarse to fine, each enlargement's factor and the reach of the convolutions
            that follow it, in pixels of the finer grid.

    Example:
        >>> fine_reach([(2, 1), (2, 3)])
        2
    """
    reach = 0
    for factor, radius in reversed(stages):
        # The outermost of `factor` pixels in a coarse pixel looks `radius` past its edge.
        reach = -(-(reach + radius) // factor)
    return reach


def pass_image(conv: nn.Module, count: int, *, gain: float = 1.0) -> None:
    """Let output channel c of ``conv`` start as ``gain`` times input channel c, for c < ``count``.

    A network without an image skip then starts as linear interpolation, not as noise. Only where
    training starts from is chosen so, never the architecture: a few channels carry the image
    through head, stages and tail, all others start as in PyTorch. Bicubic kernels are five wide;
    the linear ones fit the 3 x 3 convolutions of published networks.

    ``count`` may exceed the channels on either side: then there are fewer such c.
    """
    weight, bias = conv.get_parameter("weight"), getattr(conv, "bias", None)
    count = min(count, *weight.shape[:2])
    with torch.no_grad():
        weight[:count] = 0
        if bias is not None:
            bias[:count] = 0
        for c in range(count):
            kernel = weight[c, c].view(-1)
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
