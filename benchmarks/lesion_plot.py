"""Draw how well lesions are seen, how many are lost and invented, to docs/lesions_<set>.svg.

Solid: clean input; dotted: degraded input. Needs matplotlib: ``pip install 'monai-sr[plot]'``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lesion_rows import CLEAN, DEGRADED, FEWEST, FILE, LESION_TABLE, LesionRow
from results_page import OUTPUT, RESULTS

from monai_sr.core.atomic import atomic_file
from monai_sr.core.optional import import_extra
from monai_sr.core.types import PathLike

_SHOWN = {
    "auc": "AUC of the model observer",
    "lost": "share lost",
    "invented": "invented a megapixel",
}
_LINES = {CLEAN: "-", DEGRADED: ":"}
_SIZE = (9.0, 7.5)


def draw(table: PathLike, folder: PathLike) -> None:
    """Draw a picture for each set of a table.

    Raises:
        BadImageError: if the table is another one.
        MissingDependencyError: if matplotlib is missing.
        OutputError: if a picture cannot be written.
    """
    plot = import_extra("matplotlib.pyplot", extra="plot")
    rows = LESION_TABLE.read(table)
    for name in dict.fromkeys(row.set for row in rows):
        part = [row for row in rows if row.set == name and not math.isnan(row.contrast)]
        diameters = sorted({row.diameter for row in part})
        with plot.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
            figure, panels = plot.subplots(
                len(_SHOWN), len(diameters), figsize=_SIZE, sharex=True, sharey="row", squeeze=False
            )
            for line, what in zip(panels, _SHOWN, strict=True):
                for panel, diameter in zip(line, diameters, strict=True):
                    _draw_panel(
                        panel, [r for r in part if (r.figure, r.diameter) == (what, diameter)]
                    )
                    panel.set_title(f"diameter {diameter:g} small px", fontsize=8)
                line[0].set_ylabel(_SHOWN[what], fontsize=8)
            panels[0][0].legend(fontsize=6)
            figure.supxlabel(f"contrast ({name})", fontsize=8)
            figure.tight_layout()
            with atomic_file(Path(folder, f"lesions_{name}.svg")) as temporary:
                figure.savefig(temporary, format="svg", metadata={"Date": None})
            plot.close(figure)


def _draw_panel(panel: Any, rows: Sequence[LesionRow]) -> None:
    """Draw the curves of one figure and diameter, a color for each system."""
    colors = {name: f"C{n}" for n, name in enumerate(dict.fromkeys(r.system for r in rows))}
    for kind, style in _LINES.items():
        for name, color in colors.items():
            own = [row for row in rows if (row.system, row.input) == (name, kind)]
            # Of few lesions a share says nothing.
            own = [row for row in own if row.figure != "lost" or row.count >= FEWEST]
            label = name if kind == CLEAN else None
            x = [row.contrast for row in own]
            panel.plot(x, [r.value for r in own], style, color=color, linewidth=1, label=label)
            if kind == CLEAN:
                low, high = [r.low for r in own], [r.high for r in own]
                panel.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
    contrasts = sorted({row.contrast for row in rows})
    panel.set_xscale("log")
    panel.set_xticks(contrasts, [f"{contrast:g}" for contrast in contrasts])
    panel.minorticks_off()
    if rows[0].figure == "invented":
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylim(bottom=0)
    panel.tick_params(labelsize=7)
    panel.grid(visible=True, linewidth=0.3)


def main() -> None:
    """Write the pictures."""
    draw(RESULTS / FILE, OUTPUT.parent)


if __name__ == "__main__":
    main()
