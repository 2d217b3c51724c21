"""Numbers for a result and its reference, under one stated protocol."""

from monai_sr.metrics.base import Comparison, View
from monai_sr.metrics.coverage import CoverageHandler, CoverageMetric, coverage
from monai_sr.metrics.edges import EdgeResponse, edge_response, mtf50, slanted_edge
from monai_sr.metrics.lpips import (
    LPIPSHandler,
    LPIPSMetric,
    VGGHandler,
    VGGMetric,
    lpips,
    vgg_distance,
)
from monai_sr.metrics.measures import (
    MEASURES,
    Measure,
    column_names,
    find_measures,
    register_metric,
)
from monai_sr.metrics.noise import fine_noise, noise_gain
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
from monai_sr.metrics.psnr import (
    LRPSNRHandler,
    LRPSNRMetric,
    MSEHandler,
    MSEMetric,
    PSNRHandler,
    PSNRMetric,
    lr_psnr,
    mse,
    psnr,
)
from monai_sr.metrics.sfrc import SFRCHandler, SFRCMetric, sfrc
from monai_sr.metrics.spectral import (
    ERGASHandler,
    ERGASMetric,
    SAMHandler,
    SAMMetric,
    ergas,
    sam,
)
from monai_sr.metrics.structure import (
    DSSHandler,
    DSSMetric,
    GMSDHandler,
    GMSDMetric,
    MSSSIMHandler,
    MSSSIMMetric,
    SSIMHandler,
    SSIMMetric,
    dss,
    gmsd,
)

FAST = column_names(is_always=True)
"""Measures that are taken unasked."""
STANDARD = column_names()
"""Measures of the tables of this project."""

__all__ = [
    "FAST", "MEASURES", "STANDARD", "Comparison", "CoverageHandler", "CoverageMetric", "DSSHandler",
    "DSSMetric", "ERGASHandler", "ERGASMetric", "EdgeResponse", "GMSDHandler", "GMSDMetric",
    "LPIPSHandler", "LPIPSMetric", "LRPSNRHandler", "LRPSNRMetric", "MSEHandler", "MSEMetric",
    "MSSSIMHandler", "MSSSIMMetric", "Measure", "OpenSR", "OpenSRHandler", "OpenSRMetric",
    "PSNRHandler", "PSNRMetric", "Protocol", "SAMHandler", "SAMMetric", "SFRCHandler", "SFRCMetric",
    "SSIMHandler", "SSIMMetric", "VGGHandler", "VGGMetric", "View", "column_names", "coverage",
    "dss", "edge_response", "ergas", "find_measures", "fine_noise", "get_protocol", "gmsd", "lpips",
    "lr_psnr", "make_lr", "modcrop", "mse", "mtf50", "native", "noise_gain", "opensr",
    "prepare_colors", "prepare_pair", "psnr", "register_metric", "sam", "sfrc", "slanted_edge",
    "vgg_distance",
]  # fmt: skip
