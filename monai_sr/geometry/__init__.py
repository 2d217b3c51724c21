"""Pixel grids: where an image lies in the world, in each format's convention."""

from monai_sr.core import gdcm_import  # noqa: F401 - before pydicom
