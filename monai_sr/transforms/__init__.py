"""Transforms on samples: load, map to [0, 1], restore stored values."""

from monai_sr.transforms.grid import PlanGrid, PlanGridd
from monai_sr.transforms.intensity import ScaleToUnit, ScaleToUnitd
from monai_sr.transforms.load import LoadImageSRd, load_image
from monai_sr.transforms.restore import Provenance, RestoreStoredd

__all__ = [
    "LoadImageSRd",
    "PlanGrid",
    "PlanGridd",
    "Provenance",
    "RestoreStoredd",
    "ScaleToUnit",
    "ScaleToUnitd",
    "load_image",
]
