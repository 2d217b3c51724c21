"""Import torchvision beside a torch that it was not compiled for.

The wheels of torch for the CPU and of torchvision for CUDA, say, share a version and not their
binary: torchvision's compiled operators do not load, and its import fails where it describes them
to torch. Models and transforms, all that is used here, need none of those operators.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from types import ModuleType

import torch

from monai_sr.core.errors import MissingDependencyError

_DESCRIBED = ("nms", "qnms")
"""The operators that torchvision describes at import even if they have not been loaded."""


def import_torchvision() -> ModuleType:
    """Import torchvision, with placeholders for operators that it cannot load.

    A placeholder has the signature of the operator and raises when it is called.

    Raises:
        MissingDependencyError: if torchvision is absent, or fails for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "torchvision: needed for perceptual features; install it with: pip install torchvision"
        ) from error
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise MissingDependencyError(
                "torchvision: its import fails; install the version made for torch "
                f"{torch.__version__}"
            ) from error
    _define_placeholders()
    # Parts that were imported before the failure would be kept, bound to a package that is gone.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


@lru_cache(maxsize=1)
def _define_placeholders() -> torch.library.Library:
    """Declare the operators to torch; they live as long as the object returned."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _DESCRIBED:
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


__all__ = ["import_torchvision"]
