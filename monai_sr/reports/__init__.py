"""Pages that open anywhere: of one result, of an evaluation, and for blind comparisons."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
