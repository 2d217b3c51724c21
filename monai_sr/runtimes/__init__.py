"""What runs a loaded generator: torch itself, or a compiled copy of it in another runtime.

Example:
    >>> from monai_sr.runtimes import list_runtimes
    >>> list_runtimes()
    ['inductor', 'onnxruntime', 'openvino', 'tensorrt', 'torch']
"""

from monai_sr.runtimes import inductor, onnxruntime, openvino
from monai_sr.runtimes.choice import RuntimeChoice, measured_peak, tile_side
from monai_sr.runtimes.compiled import CompiledGenerator
from monai_sr.runtimes.registry import (
    ExportingRuntime,
    LiveRuntime,
    Runtime,
    RuntimeUnfitError,
    find_runtime,
    installed_runtimes,
    list_runtimes,
    register_runtime,
)

__all__ = [
    "CompiledGenerator",
    "ExportingRuntime",
    "LiveRuntime",
    "Runtime",
    "RuntimeChoice",
    "RuntimeUnfitError",
    "find_runtime",
    "inductor",
    "installed_runtimes",
    "list_runtimes",
    "measured_peak",
    "onnxruntime",
    "openvino",
    "register_runtime",
    "tile_side",
]
