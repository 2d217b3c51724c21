"""A result beside its reference and its input; what several metrics look at is made once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from torch import Tensor

from monai_sr.metrics.protocol import Protocol, prepare_colors, prepare_pair, to_stored

T = TypeVar("T")


class View(Enum):
    """Say what a metric looks at; the protocol says how values are rounded, and of which range.

    Attributes:
        PLANES: luma or every channel, as the protocol says, inside the border, in stored values.
        COLORS: every channel, as a person would see it, inside the border, in [0, 1].
        INPUT: every channel of the whole image beside the input, in stored values.
    """

    PLANES = "planes"
    COLORS = "colors"
    INPUT = "input"

    def prepare(
        self, sr: Tensor, other: Tensor, scale: int, protocol: str | Protocol
    ) -> tuple[Tensor, Tensor]:
        """Bring a result, and its reference or input, to what is compared.

        Raises:
            OptionError: if the shapes differ or nothing is left inside the border.
            BadImageError: if a value is NaN or infinite.
        """
        if self is View.INPUT:
            return to_stored(sr, protocol), to_stored(other, protocol)
        prepare = prepare_colors if self is View.COLORS else prepare_pair
        return prepare(sr, other, scale, protocol)


@dataclass(frozen=True)
class Comparison:
    """Hold a result beside its reference and its input.

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
    _made: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def seen(self, view: View) -> tuple[Tensor, Tensor]:
        """Return the two images as a metric looks at them."""
        other = self.lr if view is View.INPUT else self.hr
        return self.once(view, lambda: view.prepare(self.sr, other, self.scale, self.protocol))

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Make something that several figures need, when the first of them does."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @property
    def side_px(self) -> int:
        """Shorter side inside the border."""
        return min(self.hr.shape[-2:]) - 2 * self.scale
