"""Show the models that come with the bundles, and the systems that can be trained: two tables."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from monai_sr.core.models import Model, list_models
from monai_sr.core.registry import list_bundles

_MODEL_HEADS = (
    "model", "parameters", "MB", "scales", "x4 MP/s", "set", "PSNR", "gain", "LPIPS", "license",
)  # fmt: skip
_SYSTEM_HEADS = ("system", "title", "parameters", "scales", "halo (px)", "tiles", "learns by")
_ABSENT = "-"


def _listed() -> Iterator[dict[str, Any]]:
    """Yield what is known of every model, in the order of bundles, ways and systems."""
    for folder in list_bundles().values():
        for way, entry in list_models(folder).items():
            yield {"model": Model(folder, way).name, "bundle": folder.name, **entry}


def models_json() -> str:
    """Return all that is known of every model as JSON, figures of all sets among it."""
    return json.dumps(list(_listed()), indent=2, ensure_ascii=False)


def describe_models() -> str:
    """Return a table of all models; what was not measured is "-"."""
    return _aligned([_MODEL_HEADS, *map(_model_row, _listed())])


def _model_row(entry: dict[str, Any]) -> tuple[str, ...]:
    figures = entry["figures"]
    # The first of the bundle's own sets, at the largest scale.
    name = next(iter(figures.get("sets", {})), _ABSENT)
    figure = figures.get("sets", {}).get(name, {})
    return (
        entry["model"],
        f"{entry['parameters']:,}" if "parameters" in entry else _ABSENT,
        f"{entry['megabytes']:.2f}" if "megabytes" in entry else _ABSENT,
        ", ".join(f"x{scale}" for scale in entry.get("scales", ())) or _ABSENT,
        _fixed(figures.get("output_mp_per_s"), "{:.3g}"),
        name,
        _fixed(figure.get("psnr"), "{:.2f}"),
        _fixed(figure.get("gain_over_bicubic"), "{:+.2f}"),
        _fixed(figure.get("lpips"), "{:.3f}"),
        entry.get("license", _ABSENT),
    )


def _fixed(value: float | None, form: str) -> str:
    return _ABSENT if value is None else form.format(value)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def describe_systems() -> str:
    """Return a table of all installed systems, with sizes for three channels at x4."""
    from monai_sr.networks import list_systems

    return _aligned([_SYSTEM_HEADS, *map(_system_row, sorted(list_systems()))])


def _system_row(name: str) -> tuple[str, ...]:
    from monai_sr.networks import create_network, read_system
    from monai_sr.networks.registry import GENERATORS

    content = read_system(name)
    definition = content["network_def"]
    info = GENERATORS.get(definition["name"]).info
    network = create_network("", system=name, system_scale=max(info.scales), in_channels=3)
    learned = [network.parameters(), network.buffers() if info.learns == "fit" else []]
    count = sum(tensor.numel() for part in learned for tensor in part)
    # A system that fixes its scale gives those that it was built for. At x1 nothing is enlarged.
    scales = network.scales if isinstance(definition["scale"], int) else info.scales
    return (
        name,
        str(content["title"]),
        f"{count:,}" if info.learns != "nothing" else _ABSENT,
        ", ".join(f"x{scale}" for scale in scales if scale > 1),
        str(network.halo),
        "equal the whole" if info.is_local else "differ: it sees the whole image",
        {"gradient": "gradient descent", "fit": "fitting dictionaries"}.get(info.learns, "nothing"),
    )
