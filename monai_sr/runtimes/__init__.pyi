# What this package gives to others; each name is imported when it is first used.
from .choice import RuntimeChoice as RuntimeChoice
from .choice import measured_peak as measured_peak
from .choice import tile_side as tile_side
from .compiled import CompiledGenerator as CompiledGenerator
from .registry import ExportingRuntime as ExportingRuntime
from .registry import LiveRuntime as LiveRuntime
from .registry import Runtime as Runtime
from .registry import RuntimeUnfitError as RuntimeUnfitError
from .registry import find_runtime as find_runtime
from .registry import installed_runtimes as installed_runtimes
from .registry import list_runtimes as list_runtimes
from .registry import register_runtime as register_runtime
