"""Exported networks in the user's cache folder, under a hash of all that they depend on."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_sr.core import OutputError, atomic_file, cache_folder, code_digest, get_logger
from monai_sr.core.fingerprint import fingerprint
from monai_sr.networks import state_digest
from monai_sr.runtimes.registry import Artifact

logger = get_logger(__name__)

EXPORTING = ("core", "functional", "networks", "runtimes")
"""Folders whose code makes an artifact; a test compares them with what is imported."""


def kept(key: str, build: Callable[[], Artifact]) -> Artifact:
    """Return what is kept under a key; where there is nothing, or it is damaged, build and keep it.

    Args:
        key: of :func:`artifact_key`.
        build: makes it.
    """
    file = cache_folder() / f"{key}.zip"
    try:
        return _read(file)
    except FileNotFoundError:
        pass
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, ValueError, NotImplementedError):
        logger.warning("%s: is damaged; it is made again", file)
    artifact = build()
    try:
        with atomic_file(file) as partial:
            partial.write_bytes(_packed(artifact))
    except OutputError as error:
        logger.warning("the exported network is not kept: %s", error)
    return artifact


def _read(file: Path) -> Artifact:
    with zipfile.ZipFile(file) as archive:
        # Reading a member to its end compares its checksum.
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(artifact: Artifact) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in artifact.items():
            archive.writestr(name, content)
    return stream.getvalue()


def artifact_key(network: nn.Module, **parts: Any) -> str:
    """Return the hash of a network's structure, options, weights and of what exports it.

    Args:
        network: generator with its weights.
        **parts: what else decides: runtime, version, scale, precision.
    """
    options = [
        {k: v for k, v in vars(part).items() if isinstance(v, bool | int | float | str | tuple)}
        for part in network.modules()
    ]
    buffers = {k: v.shape for k, v in network.named_buffers()}
    named = {
        "network": f"{type(network).__module__}.{type(network).__qualname__} {network!r}",
        "options": options,
        "buffers": buffers,
        "weights": state_digest(network),
        "torch": torch.__version__,
        "code": code_digest(*EXPORTING),
        **parts,
    }
    return fingerprint(**named)
