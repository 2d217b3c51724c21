"""Fingerprints of what made a thing: code, libraries, weights and options, all in one way.

Whether a result on record, the tiles of an interrupted scene, a measured figure or an exported
network need not be made again, and which UID a DICOM result has, is asked here. Whatever changes
what is made, changes the fingerprint; no folder of the code is left out for being unlikely to.

Weights decide on every result, and are downloaded apart from the code: a file of a bundle that is
not what ``weights_sha256`` of its metadata says, or that it does not know, is not loaded.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import platform
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from monai_sr.core.contents import file_sha256
from monai_sr.core.errors import WeightsError
from monai_sr.core.types import PathLike
from monai_sr.core.version import __version__

_PACKAGE = Path(__file__).parents[1]
_ELSEWHERE = ("bundles", "configs")
_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


def sha256(data: str | bytes | memoryview, key: bytes = b"") -> str:
    """Return the SHA-256 in hexadecimal, with a key that of HMAC (RFC 2104).

    Args:
        data: bytes, or text that becomes UTF-8; names of files need not be.
        key: secret; whoever lacks it cannot tell whose hash it is.
    """
    content = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    if key:
        return hmac.new(key, content, hashlib.sha256).hexdigest()
    return hashlib.sha256(content).hexdigest()


def sha256_of(parts: Iterable[bytes | memoryview]) -> str:
    """Return the SHA-256 of parts, one after the other, without all of them in memory."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def canonical(parts: Mapping[str, Any]) -> str:
    """Return all that decides on a thing as text, the same for equal parts in any order."""
    return json.dumps(dict(parts), sort_keys=True, default=str)


def fingerprint(**parts: Any) -> str:
    """Return the hash of all that decides on a thing, such as ``code=code_digest()``."""
    return sha256(canonical(parts))


@lru_cache
def code_digest(*folders: str) -> str:
    """Return the version of this package with a hash of its files, weights of measures too.

    Bundles and configs, which a wheel carries inside the package, count with what uses them.

    Args:
        folders: of the package; all, where none is named.
    """
    digests = [folder_digest(_PACKAGE / name) for name in folders or ("",)]
    return f"{__version__} {' '.join(digests)}"


def folder_digest(folder: Path) -> str:
    """Return the hash of the names and bytes of a folder's files, but for compiled code."""
    lines = []
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and parts[0] not in _ELSEWHERE and "__pycache__" not in parts:
            lines.append(f"{'/'.join(parts)} {sha256(file.read_bytes())}\n")
    return sha256("".join(lines))


def weights_sha256(path: PathLike) -> str:
    """Return the SHA-256 of a weights file.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: weights cannot be read; check --ckpt_path") from error


@lru_cache(maxsize=1)
def library_versions() -> tuple[str, ...]:
    """Return Python and every installed distribution: any of them may decode or compute."""
    found = {f"{each.metadata['Name']} {each.version}" for each in distributions()}
    return (f"python {platform.python_version()}", *sorted(found))


def source_digest(modules: Iterable[str]) -> str:
    """Return the hash of modules and of all they import, but what the other two hashes cover.

    That is this package and what is installed: a network of one's own lies elsewhere.

    Args:
        modules: their names; those that were never imported decide on nothing.
    """
    found: dict[str, str] = {}
    for name in modules:
        _collect(name, found)
    return fingerprint(**found)


def _collect(name: str, found: dict[str, str]) -> None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if name in found or name.split(".")[0] == "monai_sr" or not file or _is_installed(file):
        return
    source = Path(file).read_bytes()
    found[name] = sha256(source)
    if not file.endswith(".py"):
        return
    package = str(getattr(module, "__package__", ""))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            bases, names = [alias.name for alias in node.names], []
        elif isinstance(node, ast.ImportFrom):
            levels = package.split(".")[: len(package.split(".")) - node.level + 1]
            bases = [".".join(filter(None, [*(levels if node.level else []), node.module]))]
            names = [f"{bases[0]}.{alias.name}" for alias in node.names]
        else:
            continue
        for each in (*bases, *names):
            parts = each.split(".")
            for end in range(1, len(parts) + 1):
                _collect(".".join(parts[:end]), found)


def _is_installed(file: str) -> bool:
    paths = sysconfig.get_paths()
    return any(Path(file).is_relative_to(paths[key]) for key in _INSTALLED)


KEY = "weights_sha256"
SUFFIXES = (".pt", ".pth", ".safetensors", ".json")
"""Of weights, and of the ranges that int8 rounds by."""
_FOLDER = "models"


def weights_sums(bundle: Path) -> dict[str, str]:
    """Return the SHA-256 of every weights file of a bundle, by its path within the bundle."""
    found = (file for file in (bundle / _FOLDER).rglob("*") if file.suffix in SUFFIXES)
    return {
        file.relative_to(bundle).as_posix(): sha256(file.read_bytes()) for file in sorted(found)
    }


def check_sum(path: PathLike, content: bytes) -> None:
    """Compare a weights file with what its bundle declares; files elsewhere pass.

    Raises:
        WeightsError: the bundle has checksums, and none or another one for this file.
    """
    place = _in_bundle(Path(path).absolute())
    if place is None:
        return
    bundle, name = place
    declared = _declared(bundle)
    if declared is None:
        return
    found = sha256(content)
    if declared.get(name) != found:
        wanted = f"the SHA-256 {declared[name]}" if name in declared else f"an entry in {KEY}"
        raise WeightsError(
            f"{path}: must have {wanted} of its bundle's configs/metadata.json, got {found}; "
            "download the bundle again, or, where the weights are your own, run "
            f"python -m monai_sr.core.bundles {bundle}"
        )


def _in_bundle(file: Path) -> tuple[Path, str] | None:
    """Return the bundle that a file belongs to, and its path there."""
    for folder in file.parents:
        if folder.name == _FOLDER and (folder.parent / "configs" / "metadata.json").is_file():
            return folder.parent, file.relative_to(folder.parent).as_posix()
    return None


def _declared(bundle: Path) -> dict[str, str] | None:
    """Return the checksums that a bundle declares; None where it declares none."""
    file = bundle / "configs" / "metadata.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        sums = content.get(KEY)
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{file}: must be readable JSON with entries; mend it") from error
    if sums is None:
        return None
    if not isinstance(sums, dict):
        raise WeightsError(f"{file}: {KEY} must have an entry for each weights file; mend it")
    return sums
