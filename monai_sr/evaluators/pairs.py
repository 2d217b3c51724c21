"""Match reference images with given low-resolution ones by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from monai_sr.core.errors import BadImageError

_SHOWN = 5


def match_pairs(references: Sequence[Path], folder: Path, scale: int) -> list[Path]:
    """Return the low-resolution file of every reference.

    Names are equal but for the suffix of the file and a mark of the scale: 0801.png goes with
    0801.png, 0801x4.png, 0801_x4.png, and 0801x4m.png, x4d, x4w1 of DIV2K's other tracks.

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
    mark = re.compile(rf"[_-]?x{scale}(?:[md]|w\d)?$", re.IGNORECASE)
    named: dict[str, list[Path]] = {}
    for file in files:
        for name in {_stem(file), mark.sub("", _stem(file))}:
            named.setdefault(name, []).append(file)
    missing = [r.name for r in references if not named.get(_stem(r))]
    if missing:
        raise _mismatch(folder, f"a partner at x{scale} of every reference, none found of", missing)
    # A name with the mark is surer: ax4.png may belong to a.png.
    found = [max(named[_stem(r)], key=lambda file: len(_stem(file))) for r in references]
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
