"""One network a file; importing this package registers them all."""

from monai_sr.networks.generators.compact_residual import CompactResidual
from monai_sr.networks.generators.dense_residual import DenseResidual
from monai_sr.networks.generators.drcn import DRCN
from monai_sr.networks.generators.edsr import EDSR
from monai_sr.networks.generators.hybrid_cascade import HybridCascade
from monai_sr.networks.generators.igan_srcp import IGANSRCP
from monai_sr.networks.generators.interpolation import Bicubic, Bilinear, Nearest
from monai_sr.networks.generators.iterative_back_projection import IterativeBackProjection
from monai_sr.networks.generators.neighbor_embedding import NeighborEmbedding
from monai_sr.networks.generators.recursive_cascade import RecursiveCascade
from monai_sr.networks.generators.rfb_rrdbnet import RFBRRDBNet
from monai_sr.networks.generators.rrdbnet import RRDBNet
from monai_sr.networks.generators.sparse_coding import SparseCoding
from monai_sr.networks.generators.srcnn import SRCNN
from monai_sr.networks.generators.srresnet import SRResNet
from monai_sr.networks.generators.subpixel_residual import SubPixelResidual
from monai_sr.networks.generators.two_step import TwoStep
from monai_sr.networks.generators.vdsr import VDSR

__all__ = [
    "DRCN",
    "EDSR",
    "IGANSRCP",
    "SRCNN",
    "VDSR",
    "Bicubic",
    "Bilinear",
    "CompactResidual",
    "DenseResidual",
    "HybridCascade",
    "IterativeBackProjection",
    "Nearest",
    "NeighborEmbedding",
    "RFBRRDBNet",
    "RRDBNet",
    "RecursiveCascade",
    "SRResNet",
    "SparseCoding",
    "SubPixelResidual",
    "TwoStep",
]
