"""Find a bundle by path or by name, and write what in it follows from the rest.

A bundle with a ``domain.yaml`` gets its configurations from
:mod:`monai_sr.core.domain_configs`; in any
other they are written by hand. ``monai.bundle.load`` looks for JSON alone, so that each bundle
ships every YAML file as JSON, too; and its metadata holds the checksums of its weights. After a
change of ``domain.yaml``, the recipe, a YAML file or weights
``python -m monai_sr.core.bundles [NAME_OR_FOLDER ...]`` writes all that anew, of those bundles or
of all installed ones.
"""

import json
import sys
from pathlib import Path

import yaml

import monai_sr
from monai_sr.core.atomic import atomic_file
from monai_sr.core.domain_configs import DOMAIN, made_files, read_metadata
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
        _write(twin, json_twin(config))
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
    content = read_metadata(file)
    content[KEY] = weights_sums(root)
    _write(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def write_configs(bundle: PathLike) -> list[Path]:
    """Write the files of a bundle that follow from its ``domain.yaml``; none where it has none.

    Args:
        bundle: folder of a bundle, which needs nothing but ``domain.yaml``, or the name of an
            installed one.

    Returns:
        The written files.

    Raises:
        OptionError: if there is no such bundle, or its ``domain.yaml`` is not as it must be.
        OutputError: if a file cannot be written.
    """
    root = Path(bundle).resolve()
    if not (root / DOMAIN).is_file():
        root = find_bundle(bundle)
    if not (root / DOMAIN).is_file():
        return []
    recipe = next(folder for home in _HOMES if (folder := home / "recipe").is_dir())
    made = made_files(root, recipe)
    for name in ("configs", "models"):
        (root / name).mkdir(exist_ok=True)
    for name, text in made.items():
        _write(root / name, text)
    return [root / name for name in made]


def write_bundle(bundle: PathLike) -> list[Path]:
    """Write all of a bundle that follows from the rest of it, and return the files.

    Args:
        bundle: folder of a bundle, or the name of an installed one.

    Raises:
        OptionError: if there is no such bundle, or its ``domain.yaml`` is not as it must be.
        OutputError: if a file cannot be written.
    """
    made = write_configs(bundle)
    return list(dict.fromkeys([*made, *write_json_twins(bundle), write_weights_sums(bundle)]))


def _write(file: Path, text: str) -> None:
    with atomic_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or list_bundles():
        for file in write_bundle(name):
            sys.stdout.write(f"{file}\n")
