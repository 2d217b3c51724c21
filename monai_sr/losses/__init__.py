"""Training losses: what a term's arguments name -> scalar."""

from monai_sr.losses.adversarial import (
    AdversarialLoss,
    HingeAdversarialLoss,
    LeastSquaresAdversarialLoss,
    RelativisticAverageLoss,
    VanillaAdversarialLoss,
)
from monai_sr.losses.artifact import ArtifactLoss, artifact_map
from monai_sr.losses.composite import CompositeLoss
from monai_sr.losses.deep_supervision import DeepSupervisionLoss
from monai_sr.losses.feature_matching import FeatureMatchingLoss
from monai_sr.losses.frequency import FrequencyLoss
from monai_sr.losses.perceptual import LPIPSLoss, PerceptualLoss
from monai_sr.losses.pixel import CharbonnierLoss, L1Loss, MSELoss
from monai_sr.losses.taught import TaughtLoss, training_loss
from monai_sr.losses.wavelet_band import WaveletBandLoss

__all__ = [
    "AdversarialLoss",
    "ArtifactLoss",
    "CharbonnierLoss",
    "CompositeLoss",
    "DeepSupervisionLoss",
    "FeatureMatchingLoss",
    "FrequencyLoss",
    "HingeAdversarialLoss",
    "L1Loss",
    "LPIPSLoss",
    "LeastSquaresAdversarialLoss",
    "MSELoss",
    "PerceptualLoss",
    "RelativisticAverageLoss",
    "TaughtLoss",
    "VanillaAdversarialLoss",
    "WaveletBandLoss",
    "artifact_map",
    "training_loss",
]
