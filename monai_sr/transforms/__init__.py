"""Transforms on samples: load, map to [0, 1], restore stored values."""

from monai_sr.transforms.grid import PlanGrid, PlanGridd
from monai_sr.transforms.intensity import ScaleToUnit, ScaleToUnitd
from monai_sr.transforms.restore import Provenance, RestoreStoredd
from monai_sr.transforms.save import LoadImageSRd, SaveImageSRd, load_image
from monai_sr.transforms.uncertainty import interval_factor

__all__ = [
    "LoadImageSRd",
    "PlanGrid",
    "PlanGridd",
    "Provenance",
    "RestoreStoredd",
    "SaveImageSRd",
    "ScaleToUnit",
    "ScaleToUnitd",
    "interval_factor",
    "load_image",
]
