"""Draws what quality costs, as a vector graphic that takes the colors of its page."""

import io
import re
from collections.abc import Mapping
from typing import Any

from monai_sr.core import import_extra
from monai_sr.metrics import MEASURES

_SIZE = (4.6, 3.4)  # inches
_POINT = "#010203"  # replaced by the page's accent color
_HALF_POINT = 5  # pixels
_PLACES = (
    (6, 5),
    (6, -11),
    (-6, 5),
    (-6, -11),
    (0, 8),
    (0, -15),
    (6, 15),
    (6, -22),
    (-6, 15),
    (-6, -22),
)
"""Where a name may start (right of its point) or end (left), in points; the first is preferred."""

_Point = tuple[str, float, float]
"""(name, x, y)"""


def trade_offs(document: Mapping[str, Any]) -> str:
    """Plot mean PSNR against mean LPIPS and against multiply-adds, those that are known.

    Each is a graphic of its own, so that a narrow page can put one below the other.

    Returns:
        SVG without external references; empty where nothing can be plotted.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    systems, measures = document["systems"], document["measures"]
    lpips = MEASURES.get("lpips")
    psnr = {s["name"]: s["means"]["psnr"]["mean"] for s in systems}
    wanted = [
        (
            f"{lpips.label}, {lpips.direction}",
            False,
            {s["name"]: _mean(s, "lpips") for s in systems},
        ),
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
            # Names inside must differ between the plots of one page.
            salt = f"{document['rows']} {title}"
            plots.append(_draw(points, title, measures["psnr"]["title"], salt, is_log=is_log))
    return "".join(plots)


def _mean(system: Mapping[str, Any], measure: str) -> float | None:
    mean: float | None = (system["means"].get(measure) or {}).get("mean")
    return mean


def _draw(points: list[_Point], title: str, psnr: str, salt: str, *, is_log: bool) -> str:
    matplotlib = import_extra("matplotlib", extra="plot")
    figures = import_extra("matplotlib.figure", extra="plot")
    ticks = import_extra("matplotlib.ticker", extra="plot")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure = figures.Figure(_SIZE, layout="constrained")
        axis = figure.subplots()
        axis.set_xlabel(title)
        axis.set_ylabel(psnr)
        axis.patch.set_visible(False)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if is_log:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(ticks.LogLocator(subs=(1, 2, 3, 5)))
            axis.xaxis.set_major_formatter(ticks.EngFormatter(sep=""))
            axis.xaxis.set_minor_formatter(ticks.NullFormatter())
        axis.margins(0.2)
        for _, x, y in points:
            axis.plot([x], [y], "o", color=_POINT)
        figure.draw_without_rendering()
        _write_names(axis, points)
        figure.patch.set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return _for_page(stream.getvalue())


def _write_names(axis: Any, points: list[_Point]) -> None:
    """Write names beside their points, where least of them, of points and of edges is hidden."""
    edge = axis.get_window_extent()
    pixels = axis.transData.transform([(x, y) for _, x, y in points])
    taken = [_box(column, row, _HALF_POINT) for column, row in pixels]
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        text = axis.annotate(name, (x, y), (0, 0), textcoords="offset points", fontsize=9)
        boxes = [_moved(text, place).get_window_extent() for place in _PLACES]
        hidden = [
            sum(_overlap(box, other) for other in taken) - _overlap(box, edge) for box in boxes
        ]
        best = hidden.index(min(hidden))
        _moved(text, _PLACES[best])
        taken.append(boxes[best])


def _moved(text: Any, place: tuple[int, int]) -> Any:
    right, _ = place
    text.set_position(place)
    text.set_horizontalalignment("right" if right < 0 else "left" if right else "center")
    return text


def _box(x: float, y: float, half: float) -> Any:
    boxes = import_extra("matplotlib.transforms", extra="plot")
    return boxes.Bbox.from_extents(x - half, y - half, x + half, y + half)


def _overlap(one: Any, other: Any) -> float:
    """Return the area, in pixels, that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0.0) * max(height, 0.0))


def _attributes(style: re.Match[str]) -> str:
    """Write a style as presentation attributes, SVG 2, section 6.6."""
    found = []
    for part in filter(None, style[1].split(";")):
        name, _, value = (text.strip() for text in part.partition(":"))
        if name == "font":  # a shorthand, which is no attribute: "9px 'DejaVu Sans', sans-serif"
            size, _, family = value.partition(" ")
            found += [f'font-size="{size}"', f'font-family="{family}"']
        else:
            found.append(f'{name}="{value}"')
    return f" {' '.join(found)}"


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # every plot has the same
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)  # of all elements
    # Styles of single elements are not allowed to the page: as attributes they mean the same.
    svg = re.sub(r' style="([^"]*)"', _attributes, svg)
    svg = svg.replace(_POINT, "var(--accent)")
    # Text has no color of its own and would stay black.
    svg = re.sub(r"#000000|#262626|\bblack\b", "currentColor", svg)
    return svg.replace("<svg ", '<svg fill="currentColor" stroke-linejoin="round" ', 1)
