"""Match reference images with given low-resolution ones by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_sr.core.errors import BadImageError
from monai_sr.training.name_pairs import match_names

_SHOWN = 5


def match_pairs(references: Sequence[Path], folder: Path, scale: int) -> list[Path]:
    """Return the low-resolution file of every reference.

    Names are equal but for the suffix of the file and a mark of the scale, see
    :func:`monai_sr.training.name_pairs.match_names`.

    Args:
        references: files of high resolution.
        folder: holds the files of low resolution.
        scale: the enlargement.

    Raises:
        BadImageError: if files of one side lack a partner, or have several; they are named.
    """
    if not folder.is_dir():
        raise BadImageError(f"{folder}: must be the folder of the x{scale} images; check lr_root")
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name[0] != ".")
    places = match_names([_stem(r) for r in references], [_stem(f) for f in files], scale)
    missing = [r.name for r, found in zip(references, places, strict=True) if not found]
    if missing:
        raise _mismatch(folder, f"a partner at x{scale} of every reference, none found of", missing)
    found = [files[several[0]] for several in places]
    left = [file.name for file in files if file not in found]
    if left:
        raise _mismatch(folder, "a reference for every file, none found for", left)
    return found


def _stem(file: Path) -> str:
    return file.name.split(".")[0] if file.name.endswith(".nii.gz") else file.stem


def _mismatch(folder: Path, what: str, names: Sequence[str]) -> BadImageError:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BadImageError(f"{folder}: must hold {what} {shown}{more}; add or remove files")
