"""Find a bundle by path or by name, in a checkout or in the installed package."""

from __future__ import annotations

from pathlib import Path

import monai_sr
from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.core.types import PathLike

_PACKAGE = Path(monai_sr.__file__).resolve().parent
# A checkout keeps bundles beside the package, a wheel inside it.
_HOMES = (_PACKAGE.parent / "bundles", _PACKAGE / "bundles")


def list_bundles() -> dict[str, Path]:
    """Return the bundles that came with this installation: name -> folder."""
    found: dict[str, Path] = {}
    for home in _HOMES:
        for marker in sorted(home.glob("*/configs/metadata.json")):
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
    if folder.is_dir():
        raise OptionError(f"{name}: is no bundle (no configs/metadata.json); name another folder")
    known = list_bundles()
    if str(name) not in known:
        raise unknown_name("bundle", str(name), known)
    return known[str(name)]
