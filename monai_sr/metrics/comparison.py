"""A result beside its reference and its input; what several measures look at is made once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from monai_sr.metrics.opensr import OpenSR, opensr
from monai_sr.metrics.protocol import Protocol, prepare_colors, prepare_pair, to_stored


@dataclass(frozen=True)
class Comparison:
    """Hold a result beside its reference and its input; what measures share is made once.

    Args:
        sr: the result (1, C, H, W) in [0, 1], as the system gave it.
        hr: the reference, same shape.
        lr: the input (1, C, H / scale, W / scale).
        scale: the enlargement.
        protocol: how they are compared.
        half_width: half width of the 90 % interval of each value of ``sr``, where it is known.
        seconds: what the enlargement took.
    """

    sr: Tensor
    hr: Tensor
    lr: Tensor
    scale: int
    protocol: Protocol
    half_width: Tensor | None = None
    seconds: float = math.nan

    @cached_property
    def planes(self) -> tuple[Tensor, Tensor]:
        """Result and reference inside the border in stored values, luma if the protocol says."""
        return prepare_pair(self.sr, self.hr, self.scale, self.protocol)

    @cached_property
    def colors(self) -> tuple[Tensor, Tensor]:
        """Result and reference inside the border, every channel, in [0, 1]."""
        return prepare_colors(self.sr, self.hr, self.scale, self.protocol)

    @cached_property
    def stored(self) -> tuple[Tensor, Tensor]:
        """Result and input as a file would hold them, whole."""
        return to_stored(self.sr, self.protocol), to_stored(self.lr, self.protocol)

    @cached_property
    def opensr(self) -> OpenSR:
        """Figures of opensr-test."""
        values = [
            to_stored(image, self.protocol)[0] / self.protocol.data_range
            for image in (self.sr, self.hr, self.lr)
        ]
        return opensr(*values)

    @property
    def side_px(self) -> int:
        """Shorter side inside the border."""
        return min(self.hr.shape[-2:]) - 2 * self.scale
