"""File formats: file -> stored values and metadata, and back to a file of the same kind."""

import lazy_loader

from monai_sr.core import import_gdcm

import_gdcm()  # before pydicom
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
