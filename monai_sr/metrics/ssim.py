"""Measure structural similarity under a protocol, with the window of Wang et al. (2004)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.handlers.utils import from_engine
from torch import Tensor

from monai_sr.functional.ssim import ssim
from monai_sr.metrics.base import PairHandler, PairMetric
from monai_sr.metrics.protocol import Protocol


class SSIMMetric(PairMetric):
    """Average the SSIM over images; see :class:`monai_sr.metrics.base.PairMetric`.

    Images need at least 11 pixels a side inside the border, else an OptionError says so.
    """

    def _measure(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ssim(sr, hr, data_range=self.protocol.data_range)


class SSIMHandler(PairHandler):
    """Compute SSIM while an engine validates; arguments as for ``PSNRHandler``.

    Args:
        scale: the enlargement, which is the border left out; 0 keeps the border.
        protocol: a protocol or its name.
        data_range: for protocol ``"native"``.
        output_transform: takes the engine's output to ``(pred, label)``.
        save_details: whether to keep the value of every image.
    """

    def __init__(
        self,
        scale: int,
        protocol: str | Protocol = "natural",
        data_range: float | None = None,
        output_transform: Callable[..., Any] | None = None,
        save_details: bool = True,
    ) -> None:
        super().__init__(
            SSIMMetric(scale, protocol, data_range),
            output_transform or from_engine(["pred", "label"]),
            save_details,
        )
