"""Pixel grids: where an image lies in the world, in each format's convention."""

import lazy_loader

from monai_sr.core import import_gdcm

import_gdcm()  # before pydicom
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
