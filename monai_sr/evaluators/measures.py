"""The measures that an evaluation may take of a result: names, headings and how they are computed.

Each is computed on what the protocol says: PSNR and its like on the compared planes (luma of
photographs), perceptual ones on every channel in [0, 1]. Where an image is too small for a measure,
or has too few channels, its figure is NaN: left out and counted, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from monai_sr.core.registry import Registry
from monai_sr.functional.ssim import WINDOW_PX, ssim
from monai_sr.metrics.consistency import lr_psnr
from monai_sr.metrics.dss import SMALLEST_SIDE_PX as DSS_SIDE_PX
from monai_sr.metrics.dss import dss
from monai_sr.metrics.gmsd import gmsd
from monai_sr.metrics.lpips import SMALLEST_SIDE_PX as LPIPS_SIDE_PX
from monai_sr.metrics.lpips import lpips
from monai_sr.metrics.protocol import Protocol, prepare_colors, prepare_pair, to_stored
from monai_sr.metrics.psnr import psnr


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

    @property
    def side_px(self) -> int:
        """Shorter side inside the border."""
        return min(self.hr.shape[-2:]) - 2 * self.scale


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Describe one figure.

    Args:
        name: of its column.
        title: heading, with its unit.
        is_more_better: its direction; None where neither is.
        digits: decimals in tables.
        compute: takes a comparison and returns the figure.
        side_px: shortest side inside the border that it needs.
        channels: how many channels it needs at least.
        about: its definition in one sentence, with the source.
    """

    name: str
    title: str
    is_more_better: bool | None
    digits: int
    compute: Callable[[Comparison], float]
    side_px: int = 1
    channels: int = 1
    about: str = ""

    def __call__(self, comparison: Comparison) -> float:
        """Measure; NaN where the image is too small or has too few channels."""
        if comparison.side_px < self.side_px or comparison.hr.shape[1] < self.channels:
            return math.nan
        return self.compute(comparison)


MEASURES: Registry[Measure] = Registry("measure")


def _add(
    name: str,
    title: str,
    is_more_better: bool | None,
    digits: int,
    compute: Callable[[Comparison], float],
    *,
    side_px: int = 1,
    channels: int = 1,
    about: str = "",
) -> None:
    MEASURES.add(
        name,
        Measure(
            name=name,
            title=title,
            is_more_better=is_more_better,
            digits=digits,
            compute=compute,
            side_px=side_px,
            channels=channels,
            about=about,
        ),
    )


_add(
    "psnr", "PSNR (dB)", True, 2,
    lambda c: psnr(*c.planes, data_range=c.protocol.data_range).item(),
    about="10 log10(range² / mean squared error)",
)  # fmt: skip
_add(
    "ssim", "SSIM", True, 4,
    lambda c: ssim(*c.planes, data_range=c.protocol.data_range).item(),
    side_px=WINDOW_PX,
    about="11 x 11 Gaussian window, Wang et al. (2004), doi:10.1109/TIP.2003.819861",
)  # fmt: skip
_add(
    "lpips", "LPIPS (SqueezeNet, offline weights)", False, 4,
    lambda c: lpips(*c.colors).item(),
    side_px=LPIPS_SIDE_PX,
    about="Zhang et al. (2018), doi:10.1109/CVPR.2018.00068",
)  # fmt: skip
_add(
    "gmsd", "GMSD", False, 4,
    lambda c: gmsd(*c.colors).item(),
    side_px=WINDOW_PX,
    about="gradient similarity deviation, Xue et al. (2014), doi:10.1109/TIP.2013.2293423",
)  # fmt: skip
_add(
    "dss", "DSS", True, 4,
    lambda c: dss(*c.colors).item(),
    side_px=DSS_SIDE_PX,
    about="DCT sub-band similarity, Balanov et al. (2015), doi:10.1109/ICIP.2015.7351172",
)  # fmt: skip
_add(
    "lr_psnr", "LR-PSNR (dB)", True, 2,
    lambda c: lr_psnr(*c.stored, scale=c.scale, data_range=c.protocol.data_range).item(),
    about="stored result, shrunk by MATLAB bicubic, against its input",
)  # fmt: skip

FAST = ("psnr", "ssim", "lr_psnr")
"""Measures without networks."""
STANDARD = ("psnr", "ssim", "lpips", "gmsd", "dss", "lr_psnr")
"""Measures of the tables of this project."""


def find_measures(names: Sequence[str]) -> list[Measure]:
    """Return measures by name, those of every row first.

    Raises:
        OptionError: if one is unknown; the nearest name and all names are shown.
    """
    return [MEASURES.get(name) for name in dict.fromkeys((*FAST, *names))]
