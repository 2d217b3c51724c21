"""Training: where batches come from and how engines take them."""

from monai_sr.core.distributed import join_processes
from monai_sr.engines.adversarial import SRAdversarialTrainer
from monai_sr.engines.batches import prepare_sr_batch, step_scalars
from monai_sr.engines.choices import (
    default_scale_weights,
    default_scales,
    default_steps,
    shared_handler,
    training_budget,
)
from monai_sr.engines.degradations import (
    BicubicDegradation,
    Degradation,
    OpenCVCubicDegradation,
    RandomDegradation,
)
from monai_sr.engines.fitting import FitTrainer
from monai_sr.engines.patch_loader import PatchLoader
from monai_sr.engines.run_folder import run_folder
from monai_sr.engines.teacher import TaughtBatch, training_batch
from monai_sr.engines.training_arrays import ReadTrainingImage, ValidationImages
from monai_sr.engines.training_images import list_images, split_images, training_split
from monai_sr.engines.volume_patch_loader import ReadTrainingVolume, VolumePatchLoader

__all__ = [
    "BicubicDegradation",
    "Degradation",
    "FitTrainer",
    "OpenCVCubicDegradation",
    "PatchLoader",
    "RandomDegradation",
    "ReadTrainingImage",
    "ReadTrainingVolume",
    "SRAdversarialTrainer",
    "TaughtBatch",
    "ValidationImages",
    "VolumePatchLoader",
    "default_scale_weights",
    "default_scales",
    "default_steps",
    "join_processes",
    "list_images",
    "prepare_sr_batch",
    "run_folder",
    "shared_handler",
    "split_images",
    "step_scalars",
    "training_batch",
    "training_budget",
    "training_split",
]
