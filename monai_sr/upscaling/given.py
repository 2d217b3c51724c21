"""What the name of an input stands for: a path, those of a pattern, of a list, or of several."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeAlias

from monai_sr.core import BadImageError, PathLike, get_logger, is_address
from monai_sr.formats import SIDECARS, classes_path, report_path, uncertainty_path
from monai_sr.upscaling.manifest import Manifest
from monai_sr.upscaling.temporary import named_product

logger = get_logger(__name__)

Given: TypeAlias = PathLike | list[PathLike] | None
"""An input as it is named; several at once are a list."""

_LIST_SUFFIX = ".txt"


def given_paths(data: Given, results: set[Path], bring: Callable[[str], Path]) -> dict[Path, bool]:
    """Return the paths that an input stands for, and whether it names each of them itself.

    Args:
        data: path, address, pattern, list (``.txt``), or several of these but lists.
        results: of earlier runs, which match no pattern; nor are they taken out of several names,
            which may be what a shell has made of a pattern.
        bring: address -> path of its file.

    Raises:
        BadImageError: there is none, or addresses are mixed with paths.
    """
    if data is None or data in ("", []):
        raise BadImageError("input: no file or folder given; add --input PATH")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    named = [str(name) for name in data] if isinstance(data, list) else _listed(str(data))
    if any(map(is_address, named)):
        return _brought(named, bring)
    made = {result.resolve() for result in results}
    given: dict[Path, bool] = {}
    again = 0
    for name in named:
        for match in _matches(Path(name), made) or [Path(name)]:
            if isinstance(data, list) and _is_left_out(match, made):
                again += not is_beside(match)
                continue
            is_asked = Path(name).exists() or match == Path(name)
            given[match] = is_asked or given.get(match, False)
    if again:
        logger.info("%d inputs are results on record: left out; name one alone to use it", again)
    if given and not isinstance(data, list) and not any(p.exists() for p in given):
        if named == [str(data)]:
            raise BadImageError(f"{data}: no such file or folder; check --input")
        raise BadImageError(
            f"{data}: must list files or folders, one a line, got {len(named)} lines that name "
            "none; check them, or name an image or a folder"
        )
    return {named_product(p) or p: is_asked for p, is_asked in _below_one(given).items()}


def _listed(name: str) -> list[str]:
    """Return what a list names; anything else is named alone."""
    path = Path(name)
    if is_address(name) or path.suffix.lower() != _LIST_SUFFIX or not path.is_file():
        return [name]
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _brought(named: list[str], bring: Callable[[str], Path]) -> dict[Path, bool]:
    """Return the files of addresses, which a list may not mix with files of this machine."""
    for name in named:
        if not is_address(name):
            raise BadImageError(
                f"{name}: must be an address as the others in its list, got a file or folder; put "
                "it into another list"
            )
    return {bring(name): True for name in named}


def _matches(path: Path, made: set[Path]) -> list[Path]:
    """Return what a path or pattern names; results of earlier runs match no pattern."""
    if path.exists():
        # "." and ".." give results no name.
        return [path.resolve() if path.name in ("", "..") else path]
    found = (Path(name) for name in sorted(glob.glob(str(path), recursive=True)))
    return [p for p in found if not _is_left_out(p, made)]


def _is_left_out(path: Path, made: set[Path]) -> bool:
    return is_beside(path) or path.resolve() in made


def _below_one(given: dict[Path, bool]) -> dict[Path, bool]:
    """Write paths so that one folder leads to all: results repeat the folders below it."""
    if len({path.is_absolute() for path in given}) > 1:
        given = {path.absolute(): is_asked for path, is_asked in given.items()}
    if _leads_out(given):
        given = {path.parent.resolve() / path.name: is_asked for path, is_asked in given.items()}
    return given


def _leads_out(paths: Collection[Path]) -> bool:
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return any(".." in path.relative_to(root).parts for path in paths)


def with_maps(results: Iterable[Path]) -> set[Path]:
    """Add the maps of uncertainty, the classes and the pages that may lie beside results."""
    made = set(results)
    return made.union(*((uncertainty_path(r), classes_path(r), report_path(r)) for r in made))


def is_beside(path: Path) -> bool:
    """Tell whether a file is no image of its own."""
    return path.name.lower().endswith(SIDECARS) or path.name in ("DICOMDIR", Manifest.name)
