"""One network a file; importing this package registers them all."""

from monai_sr.networks.generators.edsr import EDSR
from monai_sr.networks.generators.hybrid_cascade import HybridCascade
from monai_sr.networks.generators.interpolation import Bicubic, Bilinear, Nearest
from monai_sr.networks.generators.srcnn import SRCNN

__all__ = ["EDSR", "SRCNN", "Bicubic", "Bilinear", "HybridCascade", "Nearest"]
