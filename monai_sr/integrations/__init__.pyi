# What this package gives to others; each name is imported when it is first used.
from .deepness import export_deepness as export_deepness
from .torchscript import export_torchscript as export_torchscript
