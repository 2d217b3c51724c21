"""Numbers for a result and its reference, under one stated protocol."""

from monai_sr.metrics.consistency import lr_psnr
from monai_sr.metrics.dss import DSSHandler, DSSMetric, dss
from monai_sr.metrics.gmsd import GMSDHandler, GMSDMetric, gmsd
from monai_sr.metrics.lpips import LPIPSHandler, LPIPSMetric, lpips
from monai_sr.metrics.protocol import (
    Protocol,
    get_protocol,
    make_lr,
    modcrop,
    native,
    prepare_colors,
    prepare_pair,
)
from monai_sr.metrics.psnr import PSNRHandler, PSNRMetric, psnr
from monai_sr.metrics.ssim import SSIMHandler, SSIMMetric

__all__ = [
    "DSSHandler",
    "DSSMetric",
    "GMSDHandler",
    "GMSDMetric",
    "LPIPSHandler",
    "LPIPSMetric",
    "PSNRHandler",
    "PSNRMetric",
    "Protocol",
    "SSIMHandler",
    "SSIMMetric",
    "dss",
    "get_protocol",
    "gmsd",
    "lpips",
    "lr_psnr",
    "make_lr",
    "modcrop",
    "native",
    "prepare_colors",
    "prepare_pair",
    "psnr",
]
