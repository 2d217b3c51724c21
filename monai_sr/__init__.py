"""monai-sr: single-image super-resolution for MONAI, medical, satellite and natural images."""

import lazy_loader

from monai_sr import moved
from monai_sr.core.version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
moved.install()
