"""Show what every system is: a table for the terminal."""

from __future__ import annotations

from monai_sr.networks import list_systems, read_system
from monai_sr.networks.registry import GENERATORS, Generator
from monai_sr.networks.systems import create_network

_HEADS = ("system", "title", "parameters", "scales", "halo (px)", "tiles", "learns by")


def describe_systems() -> str:
    """Return a table of all installed systems, with sizes for three channels at x4."""
    rows = [_HEADS, *(_row(name) for name in sorted(list_systems()))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _row(name: str) -> tuple[str, ...]:
    content = read_system(name)
    definition = content["network_def"]
    info = GENERATORS.get(definition["name"]).info
    scale = max(info.scales)
    network: Generator = create_network("", system=name, system_scale=scale, in_channels=3)
    learned = [network.parameters(), network.buffers() if info.learns == "fit" else []]
    count = sum(tensor.numel() for part in learned for tensor in part)
    # A system that fixes its scale gives those that it was built for. At x1 nothing is enlarged.
    scales = network.scales if isinstance(definition["scale"], int) else info.scales
    return (
        name,
        str(content["title"]),
        f"{count:,}" if info.learns != "nothing" else "-",
        ", ".join(f"x{scale}" for scale in scales if scale > 1),
        str(network.halo),
        "equal the whole" if info.is_local else "differ: it sees the whole image",
        {"gradient": "gradient descent", "fit": "fitting dictionaries"}.get(info.learns, "nothing"),
    )
