"""Import MONAI quickly, where few of its features are needed.

``import monai`` imports every module of MONAI, and these import whatever optional package is
installed: plots, dictionaries, segmentation, sharded training. That is most of the seconds before a
command does anything. MONAI works without them, so they are hidden from it while it is imported.
Afterwards they can be imported as ever, by us and by others.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

UNUSED = (
    "matplotlib", "onnx", "onnxruntime", "pandas", "scipy.signal", "scipy.stats", "skimage",
    "sklearn", "tensorboard", "torch.utils.tensorboard",
)  # fmt: skip
"""What no inference of our bundles takes from MONAI, and is slow to import."""

_SHARDED = "torch.distributed.optim"


def import_monai_light(hidden: Sequence[str] = UNUSED) -> None:
    """Import MONAI without optional packages; its features that need them stay off.

    Does nothing where MONAI has been imported already.

    Args:
        hidden: dotted names of modules; those that have been imported already stay visible.
    """
    if "monai" in sys.modules:
        return
    absent = [name for name in hidden if name not in sys.modules]
    # None in this place makes an import fail as if the module were not installed.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    if _SHARDED not in sys.modules:
        absent.append(_SHARDED)
        sys.modules[_SHARDED] = _no_sharded_optimizers()
    try:
        for name in ("monai.bundle", "monai.engines"):
            importlib.import_module(name)
    finally:
        for name in absent:
            del sys.modules[name]


def _no_sharded_optimizers() -> ModuleType:
    """Stand in for what ignite asks of it: whether an optimizer to be saved is a sharded one.

    The module itself brings sharded training with all of sympy, and ignite cannot be without it.
    """
    module = ModuleType(_SHARDED)
    module.ZeroRedundancyOptimizer = type(  # type: ignore[attr-defined]
        "ZeroRedundancyOptimizer", (), {}
    )
    return module
