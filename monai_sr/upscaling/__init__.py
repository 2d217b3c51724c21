"""What upscales: the Python interface, files and scenes, the engine of the bundles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
