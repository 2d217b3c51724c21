"""Many images become tables: systems are judged on benchmarks, results are kept as CSV."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
