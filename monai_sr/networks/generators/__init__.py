"""One network a file; importing this package registers them all."""

from monai_sr.networks.generators.compact_residual import CompactResidual as CompactResidual
from monai_sr.networks.generators.dense_residual import DenseResidual as DenseResidual
from monai_sr.networks.generators.drcn import DRCN as DRCN
from monai_sr.networks.generators.edsr import EDSR as EDSR
from monai_sr.networks.generators.hybrid_cascade import HybridCascade as HybridCascade
from monai_sr.networks.generators.igan_srcp import IGANSRCP as IGANSRCP
from monai_sr.networks.generators.interpolation import Bicubic as Bicubic
from monai_sr.networks.generators.interpolation import Bilinear as Bilinear
from monai_sr.networks.generators.interpolation import Nearest as Nearest
from monai_sr.networks.generators.iterative_back_projection import (
    IterativeBackProjection as IterativeBackProjection,
)
from monai_sr.networks.generators.neighbor_embedding import NeighborEmbedding as NeighborEmbedding
from monai_sr.networks.generators.recursive_cascade import RecursiveCascade as RecursiveCascade
from monai_sr.networks.generators.rfb_rrdbnet import RFBRRDBNet as RFBRRDBNet
from monai_sr.networks.generators.rrdbnet import RRDBNet as RRDBNet
from monai_sr.networks.generators.sparse_coding import SparseCoding as SparseCoding
from monai_sr.networks.generators.srcnn import SRCNN as SRCNN
from monai_sr.networks.generators.srresnet import SRResNet as SRResNet
from monai_sr.networks.generators.subpixel_residual import SubPixelResidual as SubPixelResidual
from monai_sr.networks.generators.two_step import TwoStep as TwoStep
from monai_sr.networks.generators.vdsr import VDSR as VDSR
