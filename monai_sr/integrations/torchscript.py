"""Export a model as a MONAI bundle that runs without monai-sr: TorchScript and stock transforms.

Directory and metadata follow the specification of MONAI bundles (https://docs.monai.io, "MONAI
Bundle Specification"); what a domain keeps and loses so stands in ``configs/standalone``.
"""

from __future__ import annotations

import json
import shutil
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.data import save_net_with_metadata

from monai_sr.core import BEST, Model, OptionError, atomic_folder, find_config, list_configs
from monai_sr.core.models import list_models
from monai_sr.core.registry import HOMES
from monai_sr.integrations.whole_model import WholeModel, check_faithful, exported_resolver

_KIND = "standalone"
_PACKAGES = ("pytorch-ignite", "pyyaml", "fire")
_KEPT = (
    "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
    "authors", "copyright", "data_source", "data_type", "intended_use", "references",
)  # fmt: skip
"""Entries of a bundle's metadata that are as true of its export."""


def export_torchscript(model: Model, output_dir: Path, *, scale: int = 4) -> Path:
    """Write ``<output_dir>/<bundle>_x<scale>``: a bundle that needs MONAI, and not monai-sr.

    Its ``models/model.ts`` holds network, tiles and back-projection (:class:`.WholeModel`); its
    results equal those of monai-sr up to rounding. A folder of that name is replaced.

    Args:
        model: a bundle's own faithful model, in its best or fast size.
        output_dir: where the bundle's folder goes.
        scale: whole factor that the model was trained for.

    Raises:
        OptionError: if the model invents detail or is a system of the literature, if stock parts
            would lose what the domain's files mean, or the scale was not trained.
        OutputError: if the folder cannot be written.
    """
    plan = _plan(model)
    resolver = exported_resolver(model, scale)
    network: Any = resolver.network
    inferer = resolver.inferer
    if scale not in network.scales:
        trained = " or ".join(map(str, network.scales))
        raise OptionError(f"scale: must be {trained} for an exported model, got {scale}")
    whole = WholeModel(
        network,
        scale,
        steps=inferer.consistency,
        overshoot=inferer.overshoot,
        is_bounded=plan["template"] == "picture",
    ).eval()
    target = output_dir / f"{model.name.replace(':', '_')}_x{scale}"
    with atomic_folder(target) as folder:
        _fill(folder, model, plan, whole)
    return target


def _plan(model: Model) -> dict[str, Any]:
    """Return what ``configs/standalone`` says of a model's domain."""
    check_faithful(model)
    if model.bundle.name not in list_configs(_KIND):
        raise OptionError(
            f"{model.bundle.name}: nothing says what of its files stock parts would lose; write "
            f"configs/{_KIND}/{model.bundle.name}.yaml"
        )
    plan: dict[str, Any] = yaml.safe_load(
        find_config(_KIND, model.bundle.name).read_text(encoding="utf-8")
    )
    if "refused" in plan:
        raise OptionError(f"{model.bundle.name}: cannot be exported so; {plan['refused']}")
    return plan


def _fill(folder: Path, model: Model, plan: dict[str, Any], whole: WholeModel) -> None:
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir()
    recipe = next(f for home in HOMES if (f := home / "bundles" / "recipe").is_dir())
    shutil.copyfile(model.bundle / "LICENSE", folder / "LICENSE")
    shutil.copyfile(recipe / "logging.conf", folder / "configs" / "logging.conf")
    shutil.copyfile(
        model.bundle / "docs" / "data_license.txt", folder / "docs" / "data_license.txt"
    )
    metadata = _metadata(model, plan, whole)
    text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    (folder / "configs" / "metadata.json").write_text(text, encoding="utf-8")
    config = _config(plan, whole.scale)
    (folder / "configs" / "inference.yaml").write_text(config, encoding="utf-8")
    (folder / "docs" / "README.md").write_text(_readme(metadata, plan, model), encoding="utf-8")
    _save(whole, folder / "models", metadata)


def _save(whole: WholeModel, folder: Path, metadata: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        script = torch.jit.script(whole)
        save_net_with_metadata(
            script, str(folder / "model.ts"), include_config_vals=False, meta_values=metadata
        )
    torch.save(script.state_dict(), folder / "model.pt")


def _config(plan: dict[str, Any], scale: int) -> str:
    """Return the template with the domain's entries in place of its defaults."""
    text = find_config(_KIND, plan["template"]).read_text(encoding="utf-8")
    for key, value in {**plan["entries"], "scale": scale}.items():
        lines = text.splitlines()
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        comment = lines[at].partition("  #")
        lines[at] = f"{key}: {value}{comment[1]}{comment[2]}"
        text = "\n".join(lines) + "\n"
    return text


def _metadata(model: Model, plan: dict[str, Any], whole: WholeModel) -> dict[str, Any]:
    file = model.bundle / "configs" / "metadata.json"
    own = json.loads(file.read_text(encoding="utf-8"))
    scale = whole.scale
    packages = {name: version(name) for name in (*_PACKAGES, *plan["packages"])}
    figures = own.get("eval_metrics", {}) if model.way == BEST else {}
    image = own["network_data_format"]["inputs"]["image"]
    result = {**image, "spatial_shape": [f"{16 * scale}*n"] * 2}
    return {
        **{key: own[key] for key in _KEPT if key in own},
        "required_packages_version": packages,
        "supported_apps": {},
        "name": f"{own['name']}, x{scale}",
        "task": f"{own['task']}; here x{scale}",
        "description": f"{own['description']} This bundle has x{scale} alone and runs without "
        f"monai-sr. It takes {' '.join(plan['keeps'])}. It loses: {'; '.join(plan['loses'])}.",
        "eval_metrics": {key: v for key, v in figures.items() if f"_x{scale}_" in key},
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": result}},
    }


def _readme(metadata: dict[str, Any], plan: dict[str, Any], model: Model) -> str:
    losses = "\n".join(f"- {loss}" for loss in plan["loses"])
    terms = list_models(model.bundle)[model.way]["license"]
    return f"""# Model Overview

{metadata["name"]}, exported from the bundle {model.name} of monai-sr. It runs with MONAI alone:

```bash
python -m monai.bundle run --bundle_root . --config_file configs/inference.yaml \\
  --dataset_dir FOLDER --pattern "*.png" --output_dir out
```

`models/model.ts` holds the network, the division into tiles, which leaves no seams, and
back-projection, which makes a result agree with its input: (N, C, H, W) in [0, 1] goes in, the
enlarged image in [0, 1] comes out. `models/model.pt` holds its weights alone.

## Data

As for the bundle it comes from; sources and terms: [data_license.txt](data_license.txt). License of
the weights: {terms}.

## Performance

As that of {model.name} in monai-sr, whose results these equal up to rounding.

## Limitations

It takes {"; ".join(plan["keeps"])}. What monai-sr keeps and this bundle loses:

{losses}

{metadata["intended_use"]}
"""
