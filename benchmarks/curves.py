"""Draw the learning curves that are kept in benchmarks/results/curve_*.csv to docs/curves.png.

Needs matplotlib: ``pip install 'monai-sr[plot]'``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from PIL import Image

from monai_sr.core.optional import import_extra

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("loss", "psnr", "pixel", "perceptual", "adversarial", "discriminator", "real", "fake")
"""Columns, a panel each, as far as a curve has them."""


def read(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the points (minutes, value) of every column that is shown."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        name: points
        for name in SHOWN
        if (points := [(float(r["minutes"]), float(r[name])) for r in rows if r.get(name)])
    }


def main() -> None:
    """Write the picture."""
    plot = import_extra("matplotlib.pyplot", extra="plot")
    files = sorted((ROOT / "benchmarks" / "results").glob("curve_*.csv"))
    curves = {file.stem.removeprefix("curve_"): read(file) for file in files}
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
    stream = io.BytesIO()
    figure.savefig(stream, dpi=90)
    # A palette: lines of few colors, less than half the bytes.
    picture = Image.open(stream).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(ROOT / "docs" / "curves.png", optimize=True)


if __name__ == "__main__":
    main()
