"""Checksums of a bundle's weights: ``weights_sha256`` of its ``configs/metadata.json``.

Weights decide on every result, and are downloaded apart from the code. A file of a bundle that is
not what its metadata says, or that its metadata does not know, is not loaded.
"""

import json
from pathlib import Path

from monai_sr.core.errors import WeightsError
from monai_sr.core.fingerprint import sha256
from monai_sr.core.types import PathLike

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
