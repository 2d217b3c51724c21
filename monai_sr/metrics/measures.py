"""The measures that an evaluation may take of a result: names, headings and how they are computed.

Each is computed on what the protocol says: PSNR and its like on the compared planes (luma of
photographs), perceptual ones on every channel in [0, 1]. Where an image is too small for a measure,
or has too few channels, its figure is NaN: left out and counted, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from monai_sr.core.errors import MissingDependencyError, WeightsError
from monai_sr.core.log import get_logger
from monai_sr.core.registry import Registry
from monai_sr.core.types import PathLike
from monai_sr.functional.ssim import MULTISCALE_SIDE_PX, WINDOW_PX, ms_ssim, ssim
from monai_sr.metrics.comparison import Comparison
from monai_sr.metrics.consistency import lr_psnr
from monai_sr.metrics.coverage import coverage
from monai_sr.metrics.dss import SMALLEST_SIDE_PX as DSS_SIDE_PX
from monai_sr.metrics.dss import dss
from monai_sr.metrics.features import SMALLEST_SIDE_PX as VGG_SIDE_PX
from monai_sr.metrics.features import vgg_distance, vgg_network
from monai_sr.metrics.gmsd import gmsd
from monai_sr.metrics.lpips import SMALLEST_SIDE_PX as LPIPS_SIDE_PX
from monai_sr.metrics.lpips import lpips, lpips_network
from monai_sr.metrics.mse import mse
from monai_sr.metrics.opensr import SMALLEST_SIDE_PX as OPENSR_SIDE_PX
from monai_sr.metrics.opensr import OpenSR
from monai_sr.metrics.protocol import prepare_pair, to_stored
from monai_sr.metrics.psnr import psnr
from monai_sr.metrics.sfrc import PATCH_PX, sfrc
from monai_sr.metrics.spectral import ergas, sam
from monai_sr.transforms.restore import file_sha256

_logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Describe one figure.

    Args:
        name: of its column.
        title: heading, with its unit.
        is_more_better: its direction; None where neither is.
        digits: decimals in tables.
        compute: takes a comparison and returns the figure; None where a network is loaded first.
        side_px: shortest side inside the border that it needs.
        channels: how many channels it needs at least.
        about: its definition in one sentence, with the source.
        bind: takes the file of its network's weights, or None, and returns ``compute``.
        weights_sha256: of that file.
    """

    name: str
    title: str
    is_more_better: bool | None
    digits: int
    compute: Callable[[Comparison], float] | None
    side_px: int = 1
    channels: int = 1
    about: str = ""
    bind: Callable[[str | None], Callable[[Comparison], float]] | None = None
    weights_sha256: str = ""

    def bound(self, weights: PathLike | None) -> Measure:
        """Return this measure with its network loaded.

        Raises:
            WeightsError: if the network's weights cannot be had.
        """
        if self.bind is None:
            return self
        digest = "" if weights is None else file_sha256(weights)
        compute = self.bind(None if weights is None else str(weights))
        return replace(self, compute=compute, weights_sha256=digest)

    def __call__(self, comparison: Comparison) -> float:
        """Measure; NaN where the image is too small or has too few channels."""
        if comparison.side_px < self.side_px or comparison.hr.shape[1] < self.channels:
            return math.nan
        if self.compute is None:
            raise TypeError(f"{self.name}: bound() loads its network first")
        return self.compute(comparison)


MEASURES: Registry[Measure] = Registry("measure")


def _add(
    name: str,
    title: str,
    is_more_better: bool | None,
    digits: int,
    compute: Callable[[Comparison], float] | None,
    *,
    side_px: int = 1,
    channels: int = 1,
    about: str = "",
    bind: Callable[[str | None], Callable[[Comparison], float]] | None = None,
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
            bind=bind,
        ),
    )


def _lpips(net: str, weights: str | None) -> Callable[[Comparison], float]:
    lpips_network(net, weights)
    return lambda c: lpips(*c.colors, net=net, weights=weights).item()


def _vgg(weights: str | None) -> Callable[[Comparison], float]:
    vgg_network(weights)
    return lambda c: vgg_distance(*c.colors, weights=weights).item()


def _psnr_y(c: Comparison) -> float:
    if c.hr.shape[1] not in (1, 3):
        return math.nan
    protocol = replace(c.protocol, uses_luma=True)
    sr, hr = (image.expand(-1, 3, -1, -1) for image in (c.sr, c.hr))
    return psnr(*prepare_pair(sr, hr, c.scale, protocol), data_range=protocol.data_range).item()


def _opensr(figure: str, comparison: Comparison) -> float:
    return float(getattr(comparison.opensr, figure))


def _coverage(c: Comparison) -> float:
    if c.half_width is None:
        return math.nan
    edge = (..., slice(c.scale, -c.scale), slice(c.scale, -c.scale))
    hr = to_stored(c.hr, c.protocol) / c.protocol.data_range
    return coverage(c.sr[edge], hr[edge], c.half_width[edge]).item()


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

_add(
    "psnr_y", "PSNR-Y, grey too (dB)", True, 2, _psnr_y,
    about="luma of 16 to 235 of grey images, too, as published figures have it",
)  # fmt: skip
_add(
    "mse", "MSE", False, 5,
    lambda c: mse(*c.planes, data_range=c.protocol.data_range).item(),
    about="mean squared error of values in [0, 1]",
)  # fmt: skip
_add(
    "ms_ssim", "MS-SSIM", True, 4,
    lambda c: ms_ssim(*c.planes, data_range=c.protocol.data_range).item(),
    side_px=MULTISCALE_SIDE_PX,
    about="five resolutions, Wang et al. (2003), doi:10.1109/ACSSC.2003.1292216",
)  # fmt: skip
for _net, _name, _side in (("alex", "AlexNet", 31), ("vgg", "VGG-16", 16)):
    _add(
        f"lpips_{_net}", f"LPIPS ({_name})", False, 4, None,
        side_px=_side,
        bind=partial(_lpips, _net),
        about="Zhang et al. (2018), doi:10.1109/CVPR.2018.00068",
    )  # fmt: skip
_add(
    "vgg", "VGG-19 features", False, 4, None,
    side_px=VGG_SIDE_PX,
    bind=_vgg,
    about="mean squared difference at relu3_4, as Szigetvari et al. (2025)",
)  # fmt: skip
_add(
    "sam", "SAM (degrees)", False, 3,
    lambda c: sam(*c.colors).item(),
    channels=2, about="mean angle between spectra, Yuhas et al. (1992)",
)  # fmt: skip
_add(
    "ergas", "ERGAS", False, 3,
    lambda c: ergas(*c.colors, scale=c.scale).item(),
    about="100 / scale · sqrt(mean (RMSE / mean)²), Wald (2000)",
)  # fmt: skip
_OPENSR = "opensr-test, Aybar et al. (2024), doi:10.1109/LGRS.2024.3401394"
for _figure, _more in zip(
    OpenSR._fields, (False, False, False, None, False, False, True), strict=True
):
    _add(
        f"opensr_{_figure}", f"{_figure} (opensr)", _more, 4,
        partial(_opensr, _figure),
        side_px=OPENSR_SIDE_PX,
        channels=2 if _figure == "spectral" else 1,
        about=_OPENSR,
    )  # fmt: skip
_add(
    "sfrc", "patches flagged (sFRC, %)", False, 1,
    lambda c: sfrc(*c.colors, cutoff=1 / c.scale).item(),
    side_px=PATCH_PX,
    about="disagree below the input's Nyquist frequency, Kc et al. (2026), arXiv:2603.04673",
)  # fmt: skip
_add(
    "coverage", "90 % interval holds (%)", None, 1, _coverage,
    about="share of values within their interval; 88 to 92 is calibrated",
)  # fmt: skip

FAST = ("psnr", "ssim", "lr_psnr")
"""Measures without networks."""
STANDARD = ("psnr", "ssim", "lpips", "gmsd", "dss", "lr_psnr")
"""Measures of the tables of this project."""


def find_measures(
    names: Sequence[str], weights: Mapping[str, PathLike] | None = None
) -> tuple[list[Measure], dict[str, str]]:
    """Return measures by name, those of every row first.

    Args:
        names: of measures.
        weights: measure -> file of the weights of its network.

    Returns:
        The measures, and those that are left out: name -> why.

    Raises:
        OptionError: if one is unknown; the nearest name and all names are shown.
    """
    found, left_out = [], {}
    for name in dict.fromkeys((*FAST, *names)):
        measure = MEASURES.get(name)
        try:
            found.append(measure.bound((weights or {}).get(name)))
        except (WeightsError, MissingDependencyError) as error:
            left_out[name] = str(error)
            _logger.warning("%s is left out: %s", name, error)
    return found, left_out
