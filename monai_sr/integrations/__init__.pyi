# What this package gives to others; each name is imported when it is first used.
from .torchscript import export_torchscript as export_torchscript
