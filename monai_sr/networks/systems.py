"""Systems by name: a network with its sizes, training recipe and origin, as one YAML file.

``configs/systems/<name>.yaml`` is an overlay for a bundle's ``train.yaml`` and ``train_gan.yaml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from monai_sr.core.configs import find_config, list_configs
from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.core.types import PathLike
from monai_sr.networks.registry import GENERATORS, Generator, create_generator

_REQUIRED = ("title", "row", "paper", "network_def")


def list_systems() -> dict[str, Path]:
    """Return the systems that came with this installation: name -> YAML file."""
    return list_configs("systems")


def find_system(name: PathLike) -> Path:
    """Return the YAML file of a system.

    Args:
        name: path of a YAML file, or the name of an installed system.

    Raises:
        OptionError: if there is none; the nearest name and all names are shown.
    """
    return find_config("systems", name)


def read_system(name: PathLike) -> dict[str, Any]:
    """Read the YAML file of a system.

    Raises:
        OptionError: if there is no such system, or its file lacks a key.
    """
    file = find_system(name)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    missing = [key for key in _REQUIRED if key not in (content or {})]
    if missing:
        raise OptionError(f"{file}: must have the keys {', '.join(missing)}; add them")
    return dict(content)


def create_network(
    name: str, *, system: PathLike | None = None, system_scale: int = 4, **options: Any
) -> Generator:
    """Build the generator of a bundle, or that of a system in its place.

    Args:
        name: registered generator of the bundle's own model.
        system: name or file of a system; None builds the bundle's own model.
        system_scale: the enlargement that a system is built for; one that serves several scales is
            built for its largest.
        options: of the bundle's own model; a system takes ``in_channels`` and ``spatial_dims``.

    Raises:
        OptionError: if a name is unknown or the network cannot be built so.
    """
    if system is None:
        return create_generator(name, **options)
    content = read_system(system)
    sizes = {k: v for k, v in content["network_def"].items() if k != "_target_"}
    kept = {key: options[key] for key in ("in_channels", "spatial_dims") if key in options}
    scale = sizes["scale"] if isinstance(sizes.get("scale"), int) else system_scale
    return create_generator(**{**sizes, **kept, "scale": scale})


def weights_file(
    folder: PathLike,
    *,
    system: PathLike | None = None,
    scale: int = 4,
    default: str = "model.pt",
) -> str | None:
    """Return the path of the weights of a bundle's own model, or of a system in its place.

    Args:
        folder: the bundle's ``models``.
        system: name or file of a system; None means the bundle's own model.
        scale: the enlargement.
        default: file of the bundle's own model.

    Returns:
        The path; None for a system that learns nothing.

    Raises:
        OptionError: if the system is unknown.
        WeightsError: if no weights of the system are in the bundle.
    """
    if system is None:
        return str(Path(folder) / default)
    definition = read_system(system)["network_def"]
    if GENERATORS.get(definition["name"]).info.learns == "nothing":
        return None
    serves_all = isinstance(definition.get("scale"), int)
    stem = find_system(system).stem
    file = Path(folder) / "systems" / (f"{stem}.pt" if serves_all else f"{stem}_x{scale}.pt")
    if not file.is_file():
        raise WeightsError(
            f"{file.name}: no weights of this system come with the bundle; train it with "
            f"`monai-sr train --system {stem} --scale {scale}` and pass --ckpt_path RUN/model.pt"
        )
    return str(file)
