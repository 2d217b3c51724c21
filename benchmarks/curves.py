"""Draw the learning curves that are kept in benchmarks/results, for people to look at.

``curve_*.csv``, those of the shipped weights, become docs/curves.png; ``campaign/*.csv`` become
docs/curves/<network>.png, a line for each bundle and stage, which docs/results.md shows.

Needs matplotlib: ``pip install 'monai-sr[plot]'``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from systems_page import campaign_curves

from monai_sr.core.optional import import_extra

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("loss", "psnr", "pixel", "perceptual", "adversarial", "discriminator", "real", "fake")
"""Columns, a panel each, as far as a curve has them."""
Curve = dict[str, list[tuple[float, float]]]
"""Column -> points (minutes, value)."""


def read(path: Path) -> Curve:
    """Return the points (minutes, value) of every column that is shown."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        name: points
        for name in SHOWN
        if (points := [(float(r["minutes"]), float(r[name])) for r in rows if r.get(name)])
    }


def draw(curves: Mapping[str, Curve], picture: Path) -> None:
    """Draw curves, a line of panels each, to a small PNG."""
    plot = import_extra("matplotlib.pyplot", extra="plot")
    columns = max(len(curve) for curve in curves.values())
    figure, panels = plot.subplots(
        len(curves), columns, figsize=(2.4 * columns, 2.2 * len(curves)), squeeze=False
    )
    for line, (name, curve) in zip(panels, curves.items(), strict=True):
        for panel, (column, points) in zip(line, curve.items(), strict=False):
            panel.plot(*zip(*points, strict=True), linewidth=1)
            panel.set_title(f"{name}: {column}", fontsize=8)
            panel.set_xlabel("minutes", fontsize=7)
            panel.tick_params(labelsize=7)
        for panel in line[len(curve) :]:
            panel.axis("off")
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    plot.close(figure)
    # Lines need no more colors, and the file is a third as large.
    picture.parent.mkdir(exist_ok=True)
    Image.open(drawn).convert("RGB").quantize(64).save(picture, optimize=True)


def main() -> None:
    """Write the pictures: of the shipped weights in one, of each network of the campaign."""
    results = ROOT / "benchmarks" / "results"
    shipped = sorted(results.glob("curve_*.csv"))
    draw({f.stem.removeprefix("curve_"): read(f) for f in shipped}, ROOT / "docs" / "curves.png")
    for network, files in campaign_curves(results).items():
        curves = {f.stem.replace(f"-{network}-stage_", ", stage "): read(f) for f in files}
        draw(curves, ROOT / "docs" / "curves" / f"{network}.png")


if __name__ == "__main__":
    main()
