"""Systems by name: a network with its sizes, training recipe and origin, as one YAML file.

``configs/systems/<name>.yaml`` is an overlay for a bundle's ``train.yaml`` and ``train_gan.yaml``.
A file from elsewhere serves as well; its network may be a class of any module that Python finds.
"""

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from monai_sr.core import (
    BEST,
    UPSCALE,
    WAYS,
    OptionError,
    PathLike,
    WeightsError,
    check_types,
    find_config,
    list_configs,
    usual_defaults,
)
from monai_sr.networks.published import published_network
from monai_sr.networks.registry import GENERATORS, Generator, create_generator
from monai_sr.networks.weights import read_weights, refuse_partial_weights

SIZES = ("best", "fast")
"""How large a bundle's own model is."""
_BY_NAME = ("monai_sr.networks.create_generator", "monai_sr.networks.create_network")


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
        OptionError: if there is no such system, or its file defines no network.
    """
    file = find_system(name)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise OptionError(f"{file}: is no YAML near line {line}; mend it") from error
    if not isinstance(content, dict) or not isinstance(content.get("network_def"), dict):
        raise OptionError(f"{file}: must have the key network_def with entries; add it")
    return content


def generator_class(definition: Mapping[str, Any]) -> type[Generator]:
    """Return the class of a ``network_def``.

    Args:
        definition: ``name`` is that of a registered generator, or ``_target_`` the path of a class,
            ``module.Class``; the module is imported.

    Raises:
        OptionError: if the name is unknown, or Python finds no generator there.
    """
    target = definition.get("_target_", _BY_NAME[0])
    if target in _BY_NAME:
        return GENERATORS.get(str(definition.get("name")))
    module, _, attribute = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(
            f"network_def: _target_ {target} cannot be imported ({error}); "
            "set PYTHONPATH to the folder of its module, or install it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Generator)):
        raise OptionError(
            f"network_def: _target_ must be a monai_sr.networks.Generator, got {target}; "
            "derive the class from it"
        )
    return found


def trained_scale(spatial_dims: int = 2) -> int:
    """Return the largest enlargement that a bundle's own model was trained for.

    Args:
        spatial_dims: 3 for the model of volumes.
    """
    return 2 if spatial_dims == 3 else 4


def check_size(size: str, *, system: PathLike | None = None, spatial_dims: int = 2) -> None:
    """Check that a bundle's own model comes in a size; systems and that of volumes have one.

    Raises:
        OptionError: if it does not.
    """
    if size not in SIZES:
        raise OptionError(f"size: must be {' or '.join(SIZES)}, got {size!r}")
    UPSCALE.check({"size": size, "system": system, "spatial_dims": spatial_dims})


@usual_defaults()
def create_network(
    name: str,
    *,
    system: PathLike | None = None,
    system_scale: float = 4,
    volume: Mapping[str, Any] | None = None,
    size: str = "best",
    fast: Mapping[str, Any] | None = None,
    weights: PathLike | None = None,
    start: PathLike | None = None,
    **options: Any,
) -> Generator:
    """Build the generator of a bundle, or that of a system in its place.

    Args:
        name: registered generator of the bundle's own model.
        system: name or file of a system; None builds the bundle's own model.
        system_scale: the enlargement that a system is built for, the next whole one where it is
            none; one that serves several scales is built for its largest.
        volume: options of the bundle's own model that are others where ``spatial_dims`` is 3.
        size: "best", or "fast", a smaller network.
        fast: options of the bundle's own model that are others where ``size`` is "fast"; with
            another ``name`` they stand alone.
        weights: file that will be loaded; where it is of another network that others published,
            that is built in place of the bundle's own. The bundle's own is built in the sizes of
            the file, such as one trained for an earlier release.
        start: file of weights that training starts from; the bundle's own is built in its sizes.
        options: of the bundle's own model; a system takes ``in_channels`` and ``spatial_dims``.

    Raises:
        OptionError: if a name is unknown or the network cannot be built so.
    """
    check_size(size, system=system, spatial_dims=options.get("spatial_dims", 2))
    if size == "fast":
        name, options = _fast_options(name, options, fast or {})
    if options.get("spatial_dims") == 3:
        options |= volume or {}
    if system is None:
        for file in (weights, start):
            if file is not None and Path(file).is_file():
                options |= GENERATORS.get(name).sizes_of(read_weights(file))
        network = create_generator(name, **options)
        refuse_partial_weights(network)
        if network.spatial_dims == 3:
            return network
        return published_network(
            network, weights, scale=system_scale, in_channels=network.in_channels
        )
    content = read_system(system)
    definition = content["network_def"]
    # The latter of a definition out of train.yaml or inference.yaml.
    foreign = ("_target_", "name", "size", "fast", "weights", "start")
    sizes = {k: v for k, v in definition.items() if k not in foreign}
    kept = {key: options[key] for key in ("in_channels", "spatial_dims") if key in options}
    scale = sizes["scale"] if isinstance(sizes.get("scale"), int) else _whole(system_scale)
    cls = generator_class(definition)
    try:
        network = cls(**{**sizes, **kept, "scale": scale})
    except TypeError as error:
        raise OptionError(
            f"network_def: {error}; see the docstring of {cls.__name__} for its options"
        ) from error
    refuse_partial_weights(network)
    return network


def _fast_options(
    name: str, options: Mapping[str, Any], fast: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return name and options of the fast size."""
    general = ("scale", "in_channels", "spatial_dims")
    kept = {k: v for k, v in options.items() if "name" not in fast or k in general}
    return str(fast.get("name", name)), {**kept, **{k: fast[k] for k in fast if k != "name"}}


def weights_file(
    folder: PathLike,
    *,
    system: PathLike | None = None,
    scale: float = 4,
    robust: bool = False,
    spatial_dims: int = 2,
    size: str = "best",
    perception: float = 0.0,
) -> str | None:
    """Return the path of the weights of a bundle's own model, or of a system in its place.

    Args:
        folder: the bundle's ``models``.
        system: name or file of a system; None means the bundle's own model.
        scale: the enlargement.
        robust: whether the bundle's own model is taken as trained for degraded input.
        spatial_dims: 3 for the model of volumes.
        size: of the bundle's own model, "best" or "fast".
        perception: share of the perceptual weights, which come in the best size alone.

    Returns:
        The path; None for a system that learns nothing.

    Raises:
        OptionError: if the system is unknown, there are no weights of that kind or size, or
            ``robust`` is "auto" or text that says not yes.
        WeightsError: if no weights of the system, or for volumes, are in the bundle.
    """
    check_size(size)
    _check_robust(robust)
    UPSCALE.check(
        {"system": system, "size": size, "robust": robust, "perception": perception}
        | {"spatial_dims": spatial_dims}
    )
    if size == "fast":
        return _own_weights(Path(folder), "size", "fast")
    if spatial_dims == 3 and system is None:
        return _volume_weights(Path(folder))
    if system is None and not robust:
        return str(Path(folder) / WAYS[BEST][0])
    if system is None:
        return _own_weights(Path(folder), "robust", "robust")
    definition = read_system(system)["network_def"]
    if generator_class(definition).info.learns == "nothing":
        return None
    serves_all, trained = isinstance(definition.get("scale"), int), _whole(scale)
    origin = find_system(system)
    stem = origin.stem
    file = Path(folder) / "systems" / (f"{stem}.pt" if serves_all else f"{stem}_x{trained}.pt")
    if not file.is_file():
        name = stem if list_systems().get(stem) == origin else origin
        raise WeightsError(
            f"{file.name}: no weights of this system come with the bundle; train it with "
            f"`monai-sr train --system {name} --scale {trained}` and pass --ckpt_path RUN/model.pt"
        )
    return str(file)


def consistency_steps(
    *, system: PathLike | None = None, robust: bool = False, perception: float = 0.0
) -> int:
    """Return how many steps of back-projection a result gets by default.

    A bundle's own model gets two, one more with invented detail, and none on degraded input, whose
    noise would come back by them. A system gets none: its paper judges the network's own result,
    and so does the results table.

    Args:
        system: name or file of a system in place of the bundle's own model.
        robust: whether the model is taken as trained for degraded input.
        perception: share of the perceptual weights.

    Raises:
        OptionError: if ``robust`` is "auto" or text that says not yes.
    """
    _check_robust(robust)
    if system is not None or robust:
        return 0
    return 3 if perception else 2


def _check_robust(robust: object) -> None:
    """Refuse what only those choose by that read an input before they choose its weights."""
    check_types({"robust": robust}, {})
    if robust == "auto":
        raise OptionError(
            f"robust: must be True or False here, got {robust!r}; monai-sr upscale, "
            "monai_sr.FileUpscaler and SuperResolver measure each input and choose (auto)"
        )


def _whole(scale: float) -> int:
    """Return the trained factor that reaches a scale; what is no number is refused later."""
    return math.ceil(scale) if isinstance(scale, float) else scale


def _own_weights(folder: Path, option: str, way: str) -> str:
    file = folder / WAYS[way][0]
    if not file.is_file():
        raise OptionError(f"{option}: this bundle has no {file.name}; leave --{option} out")
    return str(file)


def _volume_weights(folder: Path) -> str:
    file = folder / WAYS["volumes"][0]
    if not file.is_file():
        # Bundles lie side by side, in a checkout and in an installation.
        having = sorted(f.parts[-3] for f in folder.parent.parent.glob(f"*/models/{file.name}"))
        remedy = f"use bundle {' or '.join(having)}" if having else "train them with train_3d.yaml"
        raise WeightsError(
            f"{folder.parent.name}: this bundle has no weights for volumes (models/{file.name}); "
            f"{remedy}, or leave --spatial_dims out"
        )
    return str(file)
