"""Views of small images whose results are copied, not computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_sr.viewer.making import Made
from tests.image_factory import write_nifti, write_raster


def made_of(path: Path, facts: tuple[tuple[str, str], ...] = (), warnings: tuple[str, ...] = ()):
    """Return what gives a file as the result."""
    return lambda source, folder: Made(path, facts, warnings)


def doubled(path: Path, array: np.ndarray, **options: object) -> Path:
    """Write an image (C, H, W) of twice the size, each pixel repeated."""
    return write_raster(path, array.repeat(2, 1).repeat(2, 2), **options)


def doubled_volume(path: Path, array: np.ndarray, **options: object) -> Path:
    """Write a volume (X, Y, Z) whose slices have twice the size."""
    affine = np.diag([0.45, 0.4, 5.0, 1.0])
    return write_nifti(path, array.repeat(2, 0).repeat(2, 1), affine=affine, **options)
