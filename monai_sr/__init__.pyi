# What this package gives to others; each name is imported when it is first used.
from .core.version import __version__ as __version__
from .formats.registry import register as register
from .upscaling.file_upscaler import FileUpscaler as FileUpscaler
from .upscaling.super_resolver import SuperResolver as SuperResolver
