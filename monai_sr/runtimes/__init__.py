"""What runs a loaded generator: torch itself, or a compiled copy of it in another runtime.

Example:
    >>> from monai_sr.runtimes import list_runtimes
    >>> list_runtimes()
    ['inductor', 'onnxruntime', 'openvino', 'tensorrt', 'torch']
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
