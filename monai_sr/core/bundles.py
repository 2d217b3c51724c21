"""Write what in a bundle follows from the rest: configurations, their JSON twins, checksums.

A bundle with a ``domain.yaml`` gets its configurations from that and what all share; in any other
they are written by hand. ``monai.bundle.load`` looks for JSON alone, so that each bundle ships
every YAML file as JSON, too; and its metadata holds the checksums of its weights.

MONAI's model zoo wants bundles that stand alone; four copies of one text drift apart. So the text
is written once, in ``bundles/recipe``, as templates of Jinja whose statements are lines that begin
with ``#%``, and a bundle says in 25 lines or fewer what sets it apart. A line ``_same_: a b`` of a
template stands for ``a: "@a"`` and ``b: "@b"``: what a component is given under its own name.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import OptionError
from monai_sr.core.fingerprint import KEY, weights_sums
from monai_sr.core.models import weighed_models
from monai_sr.core.options import EVALUATE, TRAIN, UPSCALE
from monai_sr.core.registry import HOMES, find_bundle, find_config, list_bundles, unknown_name
from monai_sr.core.types import PathLike
from monai_sr.core.version import __version__

DOMAIN = "domain.yaml"
"""File of a bundle that says what sets it apart."""
CONFIGS = ("inference", "train", "train_gan", "evaluate", "multi_gpu_train")
MEASURED = ("eval_metrics", "model_figures", "uncertainty", "training_statistics")
"""Entries of ``metadata.json`` that ``benchmarks/`` write: kept as they stand there."""
REQUIRED = ("title", "task", "description", "changelog", "channels", "protocol", "overshoot")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalization
_DEFAULTS = "defaults.yaml"
_MORE = {"volumes": "train_3d", "slices": "train_slices"}  # entry of domain.yaml -> configuration
_TABLE = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- /options -->)", re.DOTALL)
_SAME = re.compile(r"^( *)_same_: (.*)\n", re.MULTILINE)


def read_domain(bundle: Path, recipe: Path) -> dict[str, Any]:
    """Return what sets a bundle apart, with the recipe's values where it says nothing.

    Raises:
        OptionError: if the file cannot be read, an entry is missing or unknown.
    """
    file = bundle / DOMAIN
    defaults = yaml.safe_load((recipe / _DEFAULTS).read_text(encoding="utf-8"))
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"{file}: must be readable YAML, got '{reason}'; mend it") from error
    if not isinstance(content, Mapping):
        raise OptionError(f"{file}: must hold entries ({', '.join(REQUIRED)}), got none; add them")
    for key in content:
        if key not in (*REQUIRED, *defaults):
            raise unknown_name(f"{file}: entry", str(key), (*REQUIRED, *defaults))
    for key in REQUIRED:
        if not content.get(key):
            raise OptionError(f"{file}: must have the entry {key!r}, got none; add it")
    return {**defaults, **content}


def made_files(bundle: Path, recipe: Path) -> dict[str, str]:
    """Return what a bundle's files must hold: path within the bundle -> text.

    Args:
        bundle: its folder, with ``domain.yaml``.
        recipe: folder of the shared parts.

    Raises:
        OptionError: if ``domain.yaml`` or the present ``metadata.json`` is not as it must be.
    """
    domain = read_domain(bundle, recipe)
    names = [*CONFIGS, *(name for entry, name in _MORE.items() if domain[entry])]
    made = {f"configs/{name}.yaml": _config(name, bundle.name, domain, recipe) for name in names}
    made["configs/logging.conf"] = (recipe / "logging.conf").read_text(encoding="utf-8")
    if not (bundle / "LICENSE").exists():  # one's own stays
        made["LICENSE"] = (recipe / "LICENSE").read_text(encoding="utf-8")
    made["configs/metadata.json"] = _metadata(bundle, domain, recipe)
    return made


def _config(name: str, bundle: str, domain: Mapping[str, Any], recipe: Path) -> str:
    environment = _environment(recipe)
    command = {"inference": UPSCALE, "evaluate": EVALUATE}.get(name, ())
    entries = [option.yaml() for option in command if option.entry is not None]
    options = [environment.from_string(entry).render(**domain) for entry in entries]
    text = environment.get_template(f"{name}.yaml").render(name=bundle, options=options, **domain)
    head = (
        f"# Made by `python -m monai_sr.core.bundles` from {bundle}/{DOMAIN} and\n"
        f"# recipe/{name}.yaml: edit those, not this.\n"
    )
    return head + _SAME.sub(_spelled_out, text)


def _spelled_out(line: re.Match[str]) -> str:
    indent, names = line.groups()
    return "".join(f'{indent}{name}: "@{name}"\n' for name in names.split())


def _metadata(bundle: Path, domain: Mapping[str, Any], recipe: Path) -> str:
    text = _environment(recipe).get_template("metadata.yaml").render(
        version=next(iter(domain["changelog"])),
        channel_def={str(i): channel for i, channel in enumerate(domain["channels"])},
        package_version=__version__,
        **domain,
    )  # fmt: skip
    content = yaml.safe_load(text)
    file = bundle / "configs" / "metadata.json"
    present = read_metadata(file) if file.is_file() else {}
    content["models"] = _models(bundle, domain)
    content |= {key: present[key] for key in MEASURED if key in present}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _models(bundle: Path, domain: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is known of the models whose weights lie in a bundle, without measuring."""
    found = weighed_models(bundle)
    for name, entry in found.items():
        files = [bundle / file for file in entry["weights"].values()]
        system = entry["options"].get("system")
        entry["scales"] = _scales(name, system, entry["weights"], domain["scales"])
        entry["parameters"] = _parameters(files[-1])
        entry["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6, 2)
        entry["license"] = domain["license"]["systems" if system else "own"]
    return found


def _scales(
    way: str, system: str | None, weights: Mapping[str, str], own: Sequence[int]
) -> list[int]:
    if system is None:
        return [2] if way == "volumes" else sorted(own)
    if "any" not in weights:
        return sorted(map(int, weights))
    content = yaml.safe_load(find_config("systems", system).read_text(encoding="utf-8"))
    return sorted(scale for scale in content["network_def"]["scales"] if scale > 1)


def _parameters(weights: Path) -> int:
    """Count what was learned in a weights file; of fitted systems these are dictionaries."""
    import torch

    state = torch.load(weights, map_location="cpu", weights_only=True)
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith(_STATISTICS))


def read_metadata(file: Path) -> dict[str, Any]:
    """Return the entries of a bundle's ``metadata.json``.

    Raises:
        OptionError: if it holds none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OptionError(f"{file}: must be JSON, got '{error}'; mend it") from error
    if not isinstance(content, dict):
        raise OptionError(f"{file}: must hold entries, got {type(content).__name__}; mend it")
    return content


@cache
def _environment(recipe: Path) -> Environment:
    # Its signs leave templates as near to YAML as they get: editors color them.
    environment = Environment(
        loader=FileSystemLoader(recipe),
        undefined=StrictUndefined,
        line_statement_prefix="#%",
        variable_start_string="${",
        variable_end_string="}",
        keep_trailing_newline=True,
        autoescape=False,  # the text is YAML, `flow` quotes what YAML would misread
    )
    environment.filters["flow"] = _flow
    return environment


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")


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
    recipe = next(f for home in HOMES if (f := home / "bundles" / "recipe").is_dir())
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


def filled_tables(text: str) -> str:
    """Return a document with its tables of options, between marks, as they are declared here."""
    return _TABLE.sub(lambda match: match[1] + _table(match[2]) + match[3], text)


def _table(name: str) -> str:
    (command,) = (each for each in (UPSCALE, TRAIN, EVALUATE) if each.name == name)
    groups = [
        "\n".join((f"| {title} | |", "|---|---|", *(option.row() for option in options)))
        for title, options in command.groups.items()
    ]
    return "\n\n".join(groups) + "\n"


def write_everything(names: Sequence[str] = ()) -> Iterator[Path]:
    """Write all that follows from the rest, in some bundles or all, and in docs/options.md.

    Yields:
        The files.

    Raises:
        OptionError: as :func:`write_bundle`.
    """
    for name in names or list_bundles():
        yield from write_bundle(name)
    document = HOMES[0] / "docs" / "options.md"
    if document.is_file():
        _write(document, filled_tables(document.read_text(encoding="utf-8")))
        yield document


if __name__ == "__main__":
    for written in write_everything(sys.argv[1:]):
        sys.stdout.write(f"{written}\n")
