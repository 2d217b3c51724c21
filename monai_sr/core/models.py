"""Find models by name: ``natural_sr``, ``natural_sr:fast``, ``xray_sr:perceptual``, ``srcnn``, ...

A model is a bundle's own network in one of its ways (:data:`WAYS`), or a system of the literature
in its place. ``configs/metadata.json`` lists under ``models`` those whose weights come with the
bundle; each stands for entries of its configurations. :mod:`monai_sr.core.bundles` writes it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import find_bundle, list_bundles, list_configs
from monai_sr.core.types import PathLike

DEFAULT = "natural_sr"
"""The bundle where none is named, and of systems that are named alone."""
BEST = "best"
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    BEST: ("model.pt", {}),
    "fast": ("model_fast.pt", {"size": "fast"}),
    "perceptual": ("model_perceptual.pt", {"perception": 1.0}),
    "robust": ("model_robust.pt", {"robust": True}),
    "volumes": ("model_3d.pt", {"spatial_dims": 3}),
}
"""Ways of a bundle's own model: name -> its weights in ``models``, and entries of
``inference.yaml``."""
_SYSTEM_WEIGHTS = re.compile(r"(.+?)(?:_x(\d+))?\.pt")


class Model(NamedTuple):
    """A model that was named.

    Attributes:
        bundle: folder of its bundle.
        way: a name of :data:`WAYS`, or that of a system.
        options: entries of ``inference.yaml`` that it stands for.
    """

    bundle: Path
    way: str = BEST
    options: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        """The name by which it is found again."""
        return self.bundle.name if self.way == BEST else f"{self.bundle.name}:{self.way}"

    def with_given(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return its entries and others that are given; one that is None was not given.

        Raises:
            OptionError: if an entry is given that says otherwise than the name does.
        """
        told = {key: value for key, value in given.items() if value is not None}
        for key, value in self.options.items():
            if told.get(key, value) != value:
                raise OptionError(
                    f"{key}: must be {value} for the model {self.name}, got {told[key]}; leave "
                    f"--{key} out, or name {self.bundle.name} alone"
                )
        return {**given, **self.options}


def find_model(name: PathLike, bundle: PathLike | None = None) -> Model:
    """Return the model of a name; the only place where names of models are read.

    Args:
        name: ``BUNDLE`` (its own model), ``BUNDLE:WAY`` or ``BUNDLE:SYSTEM``, the bundle by its
            name or its folder; or a system alone, of :data:`DEFAULT`, or of the one bundle that
            has weights of it.
        bundle: where names of ways and systems alone are looked for, in place of that.

    Raises:
        OptionError: if there is none; the nearest names are shown.
    """
    text = str(name)
    if (Path(text) / "configs" / "metadata.json").is_file() or text in list_bundles():
        return _within(Model(find_bundle(text)), bundle)
    home, _, way = text.rpartition(":")
    if home and not Path(text).is_file():
        # Whether the bundle is unknown or the way in it, the nearest names tell.
        if not Path(home).is_dir() and home not in list_bundles():
            raise _unknown_model(text)
        return _within(_model(find_bundle(home), way), bundle)
    return _model(find_bundle(_home_of(text) if bundle is None else bundle), text)


def _within(model: Model, bundle: PathLike | None) -> Model:
    if bundle is not None and find_bundle(bundle) != model.bundle:
        raise OptionError(
            f"model: must be of the bundle {bundle}, got {model.name}; leave --bundle out"
        )
    return model


def _model(bundle: Path, way: str) -> Model:
    found = list_models(bundle)
    if way in found:
        return Model(bundle, way, found[way]["options"])
    if way == BEST:
        return Model(bundle)
    # Without weights: to be trained, or it learns nothing.
    if way in list_configs("systems") or Path(way).is_file():
        return Model(bundle, way, {"system": way})
    raise _unknown_model(f"{bundle.name}:{way}")


def _home_of(system: str) -> str:
    """Return the bundle of a system that is named alone."""
    having = [name for name, folder in list_bundles().items() if system in list_models(folder)]
    is_system = system in list_configs("systems") or Path(system).is_file()
    if Path(system).is_dir() and not is_system:
        return system  # a folder that is no bundle: whoever opens it says so
    if not is_system:
        raise _unknown_model(system)
    return having[0] if len(having) == 1 else DEFAULT


def _unknown_model(name: str) -> OptionError:
    import difflib  # only where something is wrong

    known = [*list_configs("systems")]
    ways = difflib.get_close_matches(name.rpartition(":")[2], (*known, *WAYS), n=1)
    near = [way for way in ways if way in known]
    for bundle, folder in list_bundles().items():
        known += [bundle, *(f"{bundle}:{way}" for way in list_models(folder) if way != BEST)]
    near += difflib.get_close_matches(name, known, n=3)
    near += [each for each in known if each.rpartition(":")[2] in ways]
    near = list(dict.fromkeys(near))[:4]
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return OptionError(f"model {name!r} is unknown; {hint}monai-sr models lists all")


def model_entry(model: str | None, bundle: PathLike, name: str, default: Any) -> Any:
    """Return an entry of a bundle's configuration: what a model stands for, or the default.

    Args:
        model: name of the model, also of a way or system alone; None: the bundle's own.
        bundle: the bundle of the configuration.
        name: of the entry.
        default: where the model says nothing of it.

    Raises:
        OptionError: if there is no such model in the bundle.
    """
    return default if model is None else find_model(model, bundle).options.get(name, default)


def list_models(bundle: Path) -> dict[str, dict[str, Any]]:
    """Return the models whose weights come with a bundle: way or system -> what is known of it.

    Args:
        bundle: its folder; where its metadata lists none, its weights are looked through.
    """
    import json  # only where something is listed

    file = bundle / "configs" / "metadata.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    models, figures = content.get("models"), content.get("model_figures", {})
    if not isinstance(models, dict):
        models = weighed_models(bundle)
    return {name: {**entry, "figures": figures.get(name, {})} for name, entry in models.items()}


def weighed_models(bundle: Path) -> dict[str, dict[str, Any]]:
    """Return the models whose weights lie in a bundle: ``options`` and ``weights`` by scale."""
    folder = bundle / "models"
    found: dict[str, dict[str, Any]] = {
        way: {"options": dict(options), "weights": {"any": f"models/{file}"}}
        for way, (file, options) in WAYS.items()
        if (folder / file).is_file()
    }
    for file in sorted((folder / "systems").glob("*.pt")):
        match = _SYSTEM_WEIGHTS.fullmatch(file.name)
        if match:
            entry = found.setdefault(match[1], {"options": {"system": match[1]}, "weights": {}})
            entry["weights"][match[2] or "any"] = f"models/systems/{file.name}"
    return found
