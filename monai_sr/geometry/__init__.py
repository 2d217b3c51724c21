"""Pixel grids: where an image lies in the world, in each format's convention."""

from monai_sr.core.optional import import_gdcm

import_gdcm()  # before pydicom
