"""Imports of packages that may be absent, broken or slow: with a sentence, a mend, a short way."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

from monai_sr.core.errors import MissingDependencyError


def import_extra(module: str, *, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: dotted name of the module to import.
        extra: the extra of monai-sr that installs it.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: if it is not installed; the text holds the pip line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{module}: this feature needs a package that is not installed; "
            f"install it with: pip install 'monai-sr[{extra}]'"
        ) from error


_DESCRIBED = ("nms", "qnms")
"""The operators that torchvision describes at import even if they have not been loaded."""


def import_torchvision() -> ModuleType:
    """Import torchvision, with placeholders for operators that it cannot load.

    The wheels of torch for the CPU and of torchvision for CUDA, say, share a version and not their
    binary: torchvision's compiled operators do not load, and its import fails where it describes
    them to torch. Models and transforms, all that is used here, need none of those operators. A
    placeholder has the signature of the operator and raises when it is called.

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
            import torch

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
def _define_placeholders() -> object:
    """Declare the operators to torch; they live as long as the object returned."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _DESCRIBED:
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


UNUSED = (
    "matplotlib", "onnx", "onnxruntime", "pandas", "scipy.signal", "scipy.stats", "skimage",
    "sklearn", "tensorboard", "torch.utils.tensorboard",
)  # fmt: skip
"""What no inference of our bundles takes from MONAI, and is slow to import."""

_SHARDED = "torch.distributed.optim"


def import_monai_light(hidden: Sequence[str] = UNUSED) -> None:
    """Import MONAI quickly, without optional packages; its features that need them stay off.

    ``import monai`` imports every module of MONAI, and these import whatever optional package is
    installed: plots, dictionaries, segmentation, sharded training. That is most of the seconds
    before a command does anything. They are hidden from MONAI while it is imported; afterwards they
    can be imported as ever. Does nothing where MONAI has been imported already.

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


_ASKED = ("dl", "DLFCN")


def import_gdcm() -> None:
    """Import gdcm where a folder of the user's has the name of a module that it looks for.

    gdcm asks for ``dl``, a module of Python 2, and takes whatever has the name: with a folder
    ``dl`` where ``python -m`` is called, its import fails, then that of pydicom, which imports it,
    and then all that reads DICOM. Called before pydicom is imported, this mends both.
    """
    if all(importlib.util.find_spec(name) is None for name in _ASKED) or "gdcm" in sys.modules:
        return
    if "pydicom" not in sys.modules:  # parts are left of an import that failed
        for name in [name for name in sys.modules if name.startswith("pydicom.")]:
            del sys.modules[name]
    kept = {name: sys.modules[name] for name in _ASKED if name in sys.modules}
    # None in this place makes an import fail as if the module were not there.
    sys.modules.update(dict.fromkeys(_ASKED))  # type: ignore[arg-type]
    try:
        with contextlib.suppress(ImportError):  # without gdcm there is nothing to mend
            importlib.import_module("gdcm")
    finally:
        for name in _ASKED:
            del sys.modules[name]
        sys.modules.update(kept)
