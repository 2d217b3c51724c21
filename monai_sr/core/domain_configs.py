"""Make the configurations of a bundle from what all share and its ``domain.yaml``.

MONAI's model zoo wants bundles that stand alone; four copies of one text drift apart. So the text
is written once, in ``bundles/recipe``, as templates of Jinja whose statements are lines that begin
with ``#%``, and a bundle says in 25 lines or fewer what sets it apart. A line ``_same_: a b`` of a
template stands for ``a: "@a"`` and ``b: "@b"``: what a component is given under its own name.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.core.version import __version__

DOMAIN = "domain.yaml"
"""File of a bundle that says what sets it apart."""
CONFIGS = ("inference", "train", "train_gan", "evaluate", "multi_gpu_train")
MEASURED = ("eval_metrics", "uncertainty", "training_statistics")
"""Entries of ``metadata.json`` that ``benchmarks/`` write: kept as they stand there."""
REQUIRED = ("title", "task", "description", "changelog", "channels", "protocol", "overshoot")
_DEFAULTS = "defaults.yaml"
_VOLUMES = "train_3d"
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
    names = (*CONFIGS, _VOLUMES) if domain["volumes"] else CONFIGS
    made = {f"configs/{name}.yaml": _config(name, bundle.name, domain, recipe) for name in names}
    made["configs/logging.conf"] = (recipe / "logging.conf").read_text(encoding="utf-8")
    if not (bundle / "LICENSE").exists():  # one's own stays
        made["LICENSE"] = (recipe / "LICENSE").read_text(encoding="utf-8")
    made["configs/metadata.json"] = _metadata(bundle, domain, recipe)
    return made


def _config(name: str, bundle: str, domain: Mapping[str, Any], recipe: Path) -> str:
    text = _environment(recipe).get_template(f"{name}.yaml").render(name=bundle, **domain)
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
    content |= {key: present[key] for key in MEASURED if key in present}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


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


__all__ = [
    "CONFIGS",
    "DOMAIN",
    "MEASURED",
    "REQUIRED",
    "made_files",
    "read_domain",
    "read_metadata",
]
