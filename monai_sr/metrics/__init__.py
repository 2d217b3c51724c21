"""Numbers for a result and its reference, under one stated protocol."""

from monai_sr.metrics.consistency import LRPSNRHandler, LRPSNRMetric, lr_psnr
from monai_sr.metrics.coverage import CoverageHandler, CoverageMetric, coverage
from monai_sr.metrics.dss import DSSHandler, DSSMetric, dss
from monai_sr.metrics.features import VGGHandler, VGGMetric, vgg_distance
from monai_sr.metrics.gmsd import GMSDHandler, GMSDMetric, gmsd
from monai_sr.metrics.lpips import LPIPSHandler, LPIPSMetric, lpips
from monai_sr.metrics.mse import MSEHandler, MSEMetric, mse
from monai_sr.metrics.opensr import OpenSR, OpenSRHandler, OpenSRMetric, opensr
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
from monai_sr.metrics.sfrc import SFRCHandler, SFRCMetric, sfrc
from monai_sr.metrics.spectral import (
    ERGASHandler,
    ERGASMetric,
    SAMHandler,
    SAMMetric,
    ergas,
    sam,
)
from monai_sr.metrics.ssim import MSSSIMHandler, MSSSIMMetric, SSIMHandler, SSIMMetric

__all__ = [
    "CoverageHandler", "CoverageMetric", "DSSHandler", "DSSMetric", "ERGASHandler", "ERGASMetric",
    "GMSDHandler", "GMSDMetric", "LPIPSHandler", "LPIPSMetric", "LRPSNRHandler", "LRPSNRMetric",
    "MSEHandler", "MSEMetric", "MSSSIMHandler", "MSSSIMMetric", "OpenSR", "OpenSRHandler",
    "OpenSRMetric", "PSNRHandler", "PSNRMetric", "Protocol", "SAMHandler", "SAMMetric",
    "SFRCHandler", "SFRCMetric", "SSIMHandler", "SSIMMetric", "VGGHandler", "VGGMetric",
    "coverage", "dss", "ergas", "get_protocol", "gmsd", "lpips", "lr_psnr", "make_lr", "modcrop",
    "mse", "native", "opensr", "prepare_colors", "prepare_pair", "psnr", "sam", "sfrc",
    "vgg_distance",
]  # fmt: skip
