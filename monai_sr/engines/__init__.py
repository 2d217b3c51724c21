"""Training: where batches come from and how engines take them."""

from monai_sr.engines.batches import prepare_sr_batch
from monai_sr.engines.patch_loader import PatchLoader
from monai_sr.engines.training_images import (
    ReadTrainingImage,
    ValidationImages,
    list_images,
    split_images,
    training_split,
)

__all__ = [
    "PatchLoader",
    "ReadTrainingImage",
    "ValidationImages",
    "list_images",
    "prepare_sr_batch",
    "split_images",
    "training_split",
]
