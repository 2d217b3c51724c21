"""Tables of names: a wrong name is answered with the nearest one; the YAML files by their names."""

import fnmatch
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from monai_sr.core.errors import OptionError
from monai_sr.core.types import PathLike

T = TypeVar("T")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> OptionError:
    """Build the error for a name that is not known, with the nearest one and the full list."""
    import difflib  # only where something is wrong

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return OptionError(f"{kind} {name!r} is unknown; {hint}known: {', '.join(names)}")


class Registry(Generic[T]):
    """Map names to entries of one kind.

    Args:
        kind: what an entry is, for messages ("generator").
        modules: dotted names of what registers our own; imported when a name is looked up.
    """

    def __init__(self, kind: str, *modules: str) -> None:
        self.kind = kind
        self._modules = modules
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Register ``entry``; raises OptionError when the name is taken."""
        if name in self._entries:
            raise OptionError(f"{self.kind} {name!r} is registered already; choose another name")
        self._entries[name] = entry

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class under ``name``."""

        def decorate(entry: T) -> T:
            self.add(name, entry)
            return entry

        return decorate

    def get(self, name: str) -> T:
        """Return the entry called ``name``; raises OptionError with the nearest known name."""
        if name not in self:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def build(self, name: str, options: dict[str, Any]) -> Any:
        """Call the entry called ``name``; an option that it lacks is an OptionError."""
        entry: Any = self.get(name)
        try:
            return entry(**options)
        except TypeError as error:
            raise OptionError(
                f"{self.kind} {name!r}: {error}; see its docstring for options"
            ) from error

    def names(self, pattern: str = "*") -> list[str]:
        """List the registered names that match a shell pattern, sorted."""
        for module in self._modules:
            importlib.import_module(module)
        return sorted(fnmatch.filter(self._entries, pattern))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, sorted."""
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is registered."""
        return name in self._entries or name in self.names()


_PACKAGE = Path(__file__).resolve().parents[1]
# A checkout keeps both beside the package, a wheel inside it.
HOMES = (_PACKAGE.parent, _PACKAGE)
"""Folders of ``bundles`` and ``configs``."""


def list_configs(kind: str) -> dict[str, Path]:
    """Return the files of one kind that came with this installation: name -> YAML file.

    Args:
        kind: folder in ``configs``: "systems", "degradations" or "benchmarks".
    """
    found: dict[str, Path] = {}
    for home in HOMES:
        for file in sorted((home / "configs" / kind).glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def find_config(kind: str, name: PathLike) -> Path:
    """Return one file of a kind.

    Args:
        kind: folder in ``configs``.
        name: path of a YAML file, or the name of one that came with this installation.

    Raises:
        OptionError: if there is none; the nearest name and all names are shown.
    """
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name).resolve()
    known = list_configs(kind)
    if str(name) not in known:
        raise unknown_name(kind.removesuffix("s"), str(name), known)
    return known[str(name)]


def list_bundles() -> dict[str, Path]:
    """Return the bundles that came with this installation: name -> folder."""
    found: dict[str, Path] = {}
    for home in HOMES:
        for marker in sorted(home.glob("bundles/*/configs/metadata.json")):
            found.setdefault(marker.parents[1].name, marker.parents[1])
    return found


def find_bundle(name: PathLike) -> Path:
    """Return the absolute folder of a bundle.

    Args:
        name: a folder that holds ``configs/metadata.json``, or the name of an installed bundle.

    Raises:
        OptionError: if there is none; the nearest name and all names are shown.
    """
    folder = Path(name)
    if (folder / "configs" / "metadata.json").is_file():
        return folder.resolve()
    known = list_bundles()
    if str(name) not in known and folder.is_dir():
        raise OptionError(f"{name}: is no bundle (no configs/metadata.json); name another folder")
    if str(name) not in known:
        raise unknown_name("bundle", str(name), known)
    return known[str(name)]
