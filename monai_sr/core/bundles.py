"""Find a bundle by path or by name.

``python -m monai_sr.core.bundles [NAME_OR_FOLDER ...]`` writes what in bundles follows from the
rest, see :mod:`monai_sr.core.domain_configs`.
"""

import sys
from pathlib import Path

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.core.types import PathLike

_PACKAGE = Path(__file__).resolve().parents[1]
HOMES = (_PACKAGE.parent / "bundles", _PACKAGE / "bundles")
"""Where bundles lie: beside the package in a checkout, inside it in a wheel."""


def list_bundles() -> dict[str, Path]:
    """Return the bundles that came with this installation: name -> folder."""
    found: dict[str, Path] = {}
    for home in HOMES:
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
    known = list_bundles()
    if str(name) not in known and folder.is_dir():
        raise OptionError(f"{name}: is no bundle (no configs/metadata.json); name another folder")
    if str(name) not in known:
        raise unknown_name("bundle", str(name), known)
    return known[str(name)]


if __name__ == "__main__":
    from monai_sr.core.domain_configs import write_everything

    for file in write_everything(sys.argv[1:]):
        sys.stdout.write(f"{file}\n")
