"""Find a bundle by path or by name, and write what in it follows from the rest.

People read and edit the YAML. ``monai.bundle.load`` looks for JSON alone, so that each bundle ships
both; and its metadata holds the checksums of its weights. After a change of a YAML file or of
weights ``python -m monai_sr.apps.bundles [NAME_OR_FOLDER ...]`` writes both anew, of those bundles
or of all installed ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

import monai_sr
from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.core.types import PathLike
from monai_sr.core.weights_sums import KEY, weights_sums

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
    known = list_bundles()
    if str(name) not in known and folder.is_dir():
        raise OptionError(f"{name}: is no bundle (no configs/metadata.json); name another folder")
    if str(name) not in known:
        raise unknown_name("bundle", str(name), known)
    return known[str(name)]


def json_twin(config: PathLike) -> str:
    """Return a YAML configuration as JSON text, with the same keys in the same order."""
    content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_json_twins(bundle: PathLike) -> list[Path]:
    """Write ``configs/<name>.json`` beside every ``configs/<name>.yaml`` of a bundle.

    Args:
        bundle: folder of a bundle, or the name of an installed one.

    Returns:
        The written files.

    Raises:
        OptionError: if there is no such bundle.
        OutputError: if a file cannot be written.
    """
    written = []
    for config in sorted((find_bundle(bundle) / "configs").glob("*.yaml")):
        twin = config.with_suffix(".json")
        with atomic_file(twin) as partial:
            partial.write_text(json_twin(config), encoding="utf-8")
        written.append(twin)
    return written


def write_weights_sums(bundle: PathLike) -> Path:
    """Write the checksum of every weights file of a bundle into its metadata, and return that.

    Args:
        bundle: folder of a bundle, or the name of an installed one.

    Raises:
        OptionError: if there is no such bundle, or its metadata cannot be read.
        OutputError: if the metadata cannot be written.
    """
    root = find_bundle(bundle)
    file = root / "configs" / "metadata.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OptionError(f"{file}: must be JSON, got '{error}'; mend it") from error
    content[KEY] = weights_sums(root)
    with atomic_file(file) as partial:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    for name in sys.argv[1:] or list_bundles():
        for file in (*write_json_twins(name), write_weights_sums(name)):
            sys.stdout.write(f"{file}\n")
