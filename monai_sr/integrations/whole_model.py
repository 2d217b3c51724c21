"""One TorchScript module that does what the tiled inferer does with a network: tiles and all.

A stock inferer knows neither halos nor back-projection: tiles that it blends show seams, and a bare
network's result agrees less with its input. Compiled into the model itself, both stay, wherever the
file is loaded.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_sr.core import BEST, Model, OptionError
from monai_sr.functional import HALO_PER_STEP, LOCAL_REACH, REACH, phase_kernel
from monai_sr.networks import Generator
from monai_sr.transforms import SEEN_OUTSIDE
from monai_sr.upscaling import SuperResolver

_FAITHFUL = (BEST, "fast")


def check_faithful(model: Model) -> None:
    """Refuse to export what invents detail, or a system of the literature.

    Raises:
        OptionError: it is one.
    """
    if model.way not in _FAITHFUL:
        raise OptionError(
            f"model: must be a bundle's own faithful model to be exported, got {model.name}; "
            f"name {model.bundle.name} or {model.bundle.name}:fast"
        )


def exported_resolver(model: Model, scale: int) -> SuperResolver:
    """Return the resolver of a model whose network torch runs in float32 on the processor."""
    return SuperResolver(
        model.bundle, device="cpu", scale=scale, runtime="torch", precision="float32",
        **model.options,
    )  # fmt: skip


class WholeModel(nn.Module):
    """Enlarge images, or the slices of volumes, as :class:`monai_sr.inferers.TiledInferer` does.

    Shape: image (N, C, H, W[, D]) float32, in [0, 1] -> (N, C, H * scale, W * scale[, D]). The
    slices of a volume lie along its last axis. C is the network's.

    Args:
        network: local generator for two spatial dimensions, weights loaded.
        scale: whole factor, one of ``network.scales``.
        steps: of back-projection (:func:`monai_sr.functional.back_project`).
        overshoot: how far results may leave the range of the 3 x 3 pixels around, as a share of
            it; None: no such limit.
        is_bounded: whether [0, 1] is all that can be stored: results are clipped to it, and an
            image that leaves it is refused by a ValueError, for its range was not told right.
        core: side of a tile without its surroundings, in input pixels.
    """

    def __init__(
        self,
        network: Generator,
        scale: int,
        *,
        steps: int,
        overshoot: float | None,
        is_bounded: bool,
        core: int = 512,
    ) -> None:
        super().__init__()
        overshoot = math.inf if overshoot is None else overshoot
        self.network = network
        self.scale, self.steps, self.overshoot = scale, steps, overshoot
        self.is_bounded, self.core = is_bounded, core
        self.has_limit = math.isfinite(overshoot)
        self.margin = HALO_PER_STEP * steps
        self.halo = self.margin + max(network.halo, REACH, LOCAL_REACH)
        self.reach, self.local, self.seen = REACH, LOCAL_REACH, SEEN_OUTSIDE
        up = torch.einsum("pk,ql->pqkl", *[phase_kernel(scale, down=False)] * 2)
        down = phase_kernel(scale, down=True).T.flatten()
        self.up: Tensor
        self.down: Tensor
        # Not among the weights: they follow from the scale.
        size = 2 * REACH + 1
        self.register_buffer("up", up.reshape(-1, 1, size, size).float(), persistent=False)
        self.register_buffer("down", torch.outer(down, down)[None, None].float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge ``image``."""
        if image.dim() != 4 and image.dim() != 5:
            raise ValueError("image: must have axes (N, C, H, W[, D])")
        if not bool(torch.isfinite(image).all()):
            raise ValueError("image: must be finite, got NaN or infinity; fill it first")
        if self.is_bounded and (float(image.min()) < -1e-4 or float(image.max()) > 1.0001):
            raise ValueError("image: must lie in [0, 1]; give the range of its stored values")
        if image.dim() == 4:
            return self._plane(image)
        planes = [self._plane(image[..., z]) for z in range(image.size(4))]
        return torch.stack(planes, dim=-1)

    def _plane(self, image: Tensor) -> Tensor:
        height, width = image.size(2), image.size(3)
        s = self.scale
        result = image.new_empty([image.size(0), image.size(1), height * s, width * s])
        for top in range(0, height, self.core):
            bottom = min(top + self.core, height)
            for left in range(0, width, self.core):
                right = min(left + self.core, width)
                result[:, :, top * s : bottom * s, left * s : right * s] = self._tile(
                    image, top, bottom, left, right
                )
        return result

    def _tile(self, image: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
        height, width, s = image.size(2), image.size(3), self.scale
        # The network sees the whole halo; back-projection only what its steps depend on.
        y0, y1 = max(top - self.halo, 0), min(bottom + self.halo, height)
        x0, x1 = max(left - self.halo, 0), min(right + self.halo, width)
        lr = image[:, :, y0:y1, x0:x1]
        seen = lr.clamp(-self.seen, 1.0 + self.seen)
        sr = self.network(seen, s) + self._upsample(lr - seen)
        low, high = self._limits(lr)
        top, bottom, left, right = top - y0, bottom - y0, left - x0, right - x0
        y0, y1 = max(top - self.margin, 0), min(bottom + self.margin, lr.size(2))
        x0, x1 = max(left - self.margin, 0), min(right + self.margin, lr.size(3))
        lr, low, high = lr[:, :, y0:y1, x0:x1], low[:, :, y0:y1, x0:x1], high[:, :, y0:y1, x0:x1]
        sr = self._clip(sr[:, :, y0 * s : y1 * s, x0 * s : x1 * s], low, high)
        for _ in range(self.steps):
            sr = self._clip(sr + self._upsample(lr - self._downsample(sr)), low, high)
        return sr[:, :, (top - y0) * s : (bottom - y0) * s, (left - x0) * s : (right - x0) * s]

    def _limits(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each pixel's block may hold, see :func:`monai_sr.functional.local_range`."""
        low, high = torch.full_like(lr, -math.inf), torch.full_like(lr, math.inf)
        if self.has_limit:
            size = 2 * self.local + 1
            high = F.max_pool2d(lr, size, stride=1, padding=self.local)
            low = -F.max_pool2d(-lr, size, stride=1, padding=self.local)
            wider = (high - low) * self.overshoot
            usual = wider.clamp(max=self.overshoot)
            low = low - torch.where(low < 0, wider, usual)
            high = high + torch.where(high > 1, wider, usual)
        if self.is_bounded:
            return low.clamp(0.0, 1.0), high.clamp(0.0, 1.0)
        return low, high

    def _clip(self, sr: Tensor, low: Tensor, high: Tensor) -> Tensor:
        s = self.scale
        low = low.repeat_interleave(s, dim=2).repeat_interleave(s, dim=3)
        high = high.repeat_interleave(s, dim=2).repeat_interleave(s, dim=3)
        return torch.minimum(torch.maximum(sr, low), high)

    def _upsample(self, image: Tensor) -> Tensor:
        n, c, h, w = image.size(0), image.size(1), image.size(2), image.size(3)
        flat = self._mirrored(image.reshape(n * c, 1, h, w), self.reach)
        phases = F.conv2d(flat, self.up.to(image.dtype))
        return F.pixel_shuffle(phases, self.scale).reshape(n, c, h * self.scale, w * self.scale)

    def _downsample(self, image: Tensor) -> Tensor:
        n, c, h, w = image.size(0), image.size(1), image.size(2), image.size(3)
        s = self.scale
        flat = self._mirrored(image.reshape(n * c, 1, h, w), self.reach * s)
        return F.conv2d(flat, self.down.to(image.dtype), stride=s).reshape(n, c, h // s, w // s)

    def _mirrored(self, image: Tensor, reach: int) -> Tensor:
        """Continue the last two axes by mirroring with the edge repeated, at any size."""
        for axis in [2, 3]:
            n = image.size(axis)
            index = torch.arange(-reach, n + reach, device=image.device) % (2 * n)
            image = image.index_select(axis, torch.minimum(index, 2 * n - 1 - index))
        return image
