"""Imports of optional packages, with a sentence instead of a traceback when one is missing."""

from __future__ import annotations

import importlib
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
