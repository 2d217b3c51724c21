"""The YAML files that come with monai-sr, by kind and name."""

from __future__ import annotations

from pathlib import Path

from monai_sr.core.registry import unknown_name
from monai_sr.core.types import PathLike

_PACKAGE = Path(__file__).resolve().parents[1]
# A checkout keeps configs beside the package, a wheel inside it.
_HOMES = (_PACKAGE.parent / "configs", _PACKAGE / "configs")


def list_configs(kind: str) -> dict[str, Path]:
    """Return the files of one kind that came with this installation: name -> YAML file.

    Args:
        kind: folder in ``configs``: "systems", "degradations" or "benchmarks".
    """
    found: dict[str, Path] = {}
    for home in _HOMES:
        for file in sorted((home / kind).glob("*.yaml")):
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
