"""Import paths of release 0.1, which work with a warning until 0.3.

Public names, those that the packages of 0.1 listed in ``__all__``, are found under their old
packages and the modules in them, in Python and as ``_target_`` of a user's own bundle.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

PACKAGES = {
    "apps": ("upscaling", "evaluation"),
    "engines": ("training", "core.distributed"),
    "evaluators": ("evaluation", "metrics"),
    "handlers": ("training",),
    "readers": ("formats",),
    "writers": ("formats", "transforms"),
}
"""Package of 0.1 -> the packages that give its public names now."""
_ROOT = __name__.partition(".")[0]


def _find(old: str, name: str) -> tuple[str, Any] | None:
    """Return the new path of a public name of an old package, and what it is."""
    for package in PACKAGES[old] if not name.startswith("_") else ():
        module = import_module(f"{_ROOT}.{package}")
        if name in dir(module):
            return f"{module.__name__}.{name}", getattr(module, name)
    return None


class _OldModule(ModuleType):
    """A module of 0.1: finds public names where they are now."""

    def __getattr__(self, name: str) -> Any:
        was = f"{self.__name__}.{name}"
        found = _find(self.__name__.split(".")[1], name)
        if found is None:
            raise AttributeError(f"{was}: no public name; 0.2 moved much, see CHANGELOG.md")
        message = f"{was}: is {found[0]} since 0.2, and only that from 0.3 on"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return found[1]


class _OldPaths:
    """Finder and loader; importlib.abc, which says so, takes half of the time of ``--help``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, rest = fullname.partition(".")
        old, _, module = rest.partition(".")
        if root != _ROOT or old not in PACKAGES:
            return None
        if module and _find(old, module):  # MONAI tries each name of a path as a module first
            return None
        return ModuleSpec(fullname, cast(Any, self), is_package=not module)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is executed: names are looked up when they are used."""


def install() -> None:
    """Let Python import the old paths."""
    if not any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(_OldPaths())
