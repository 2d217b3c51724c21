"""Training losses: what a term's arguments name -> scalar."""

from monai_sr.losses.adversarial import (
    AdversarialLoss,
    FeatureMatchingLoss,
    HingeAdversarialLoss,
    LeastSquaresAdversarialLoss,
    RelativisticAverageLoss,
    VanillaAdversarialLoss,
)
from monai_sr.losses.composite import CompositeLoss, DeepSupervisionLoss, TaughtLoss, training_loss
from monai_sr.losses.perceptual import LPIPSLoss, PerceptualLoss
from monai_sr.losses.pixel import (
    ArtifactLoss,
    CharbonnierLoss,
    FrequencyLoss,
    L1Loss,
    MSELoss,
    WaveletBandLoss,
    artifact_map,
)

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
