"""Draws what quality costs, as a vector graphic that takes the colors of its page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from monai_sr.core.optional import import_extra

_SIZE = (4.6, 3.4)  # inches of one plot
_POINT = "#010203"  # replaced by the page's accent color


def trade_offs(document: Mapping[str, Any]) -> str:
    """Plot mean PSNR against mean LPIPS and against multiply-adds, those that are known.

    Args:
        document: of an evaluation.

    Returns:
        SVG without external references; empty where nothing can be plotted.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    systems, measures = document["systems"], document["measures"]
    psnr = {s["name"]: s["means"]["psnr"]["mean"] for s in systems}
    wanted = [
        ("LPIPS, lower is better", False, {s["name"]: _mean(s, "lpips") for s in systems}),
        (
            "Multiply-adds for one pixel of the result",
            True,
            {s["name"]: s.get("multiply_adds_per_output_pixel") for s in systems},
        ),
    ]
    plots = []
    for title, is_log, values in wanted:
        points = [(n, x, psnr[n]) for n, x in values.items() if x and psnr[n] is not None]
        if len(points) > 1:
            plots.append((title, is_log, points))
    return _draw(plots, measures["psnr"]["title"], document["rows"]) if plots else ""


def _mean(system: Mapping[str, Any], measure: str) -> float | None:
    mean: float | None = (system["means"].get(measure) or {}).get("mean")
    return mean


def _draw(plots: list[tuple[str, bool, list[Any]]], psnr: str, salt: str) -> str:
    matplotlib = import_extra("matplotlib", extra="plot")
    figures = import_extra("matplotlib.figure", extra="plot")
    # Text stays text; names inside differ between the plots of one page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure = figures.Figure((_SIZE[0] * len(plots), _SIZE[1]), layout="constrained")
        axes = figure.subplots(1, len(plots), squeeze=False)[0]
        for axis, (title, is_log, points) in zip(axes, plots, strict=True):
            axis.set_xlabel(title)
            axis.set_ylabel(psnr)
            axis.patch.set_visible(False)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
            if is_log:
                axis.set_xscale("log")
            axis.margins(0.2)
            # Names above and below in turn: close systems often have close figures.
            for place, (name, x, y) in enumerate(sorted(points, key=lambda p: -p[2])):
                axis.plot([x], [y], "o", color=_POINT)
                above = (6, -11 if place % 2 else 5)
                axis.annotate(name, (x, y), above, textcoords="offset points", fontsize=9)
        figure.patch.set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return _for_page(stream.getvalue())


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = svg.replace(_POINT, "var(--accent)")
    # Text has no color of its own and would stay black.
    svg = re.sub(r"#000000|#262626|\bblack\b", "currentColor", svg)
    return svg.replace("<svg ", '<svg fill="currentColor" ', 1)
