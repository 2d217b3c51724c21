"""Rows of small lesions, the section of the results page, and the pictures."""

from __future__ import annotations

import dataclasses
import math
import re

import lesion_plot
import pytest
from lesion_rows import (
    FEWEST,
    FILE,
    LESION_TABLE,
    LesionRow,
    lesion_section,
    rows_of,
)

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.lesion_figures import Figure

_NONE = math.nan


def _figure(name, contrast, value, count=40):
    ends = {"low": value - 0.01, "high": value + 0.01}
    return Figure(figure=name, diameter=2, contrast=contrast, value=value, count=count, **ends)


def _rows(system="bicubic", kind="clean", threshold=0.05, lost=0.25, count=40):
    found = [
        _figure("auc", 0.02, 0.6),
        _figure("lost", 0.02, 0.5, count=FEWEST - 1),
        _figure("auc", 0.08, 0.9),
        _figure("lost", 0.08, 0.125),
        _figure("invented", 0.02, 300.0),
        _figure("invented", 0.08, 3.0),
        _figure("threshold", _NONE, threshold),
        _figure("gain", _NONE, 0.034),
        _figure("lost", _NONE, lost, count=count),
        _figure("invented", _NONE, 12.5, count=7),
    ]
    shared = {"set_name": "small", "scale": 4, "images": 3, "weights": ""}
    return rows_of(found, system=system, kind=kind, **shared)


def _same(one: LesionRow, two: LesionRow):
    cells, others = dataclasses.astuple(one), dataclasses.astuple(two)
    return all(
        a == pytest.approx(b, nan_ok=True) if isinstance(a, float) else a == b
        for a, b in zip(cells, others, strict=True)
    )


def test_rows_come_back_and_a_set_replaces_its_own(tmp_path):
    path = tmp_path / FILE
    rows = [*_rows(), *_rows("ours, fast", threshold=math.inf)]
    other = [dataclasses.replace(row, set="other") for row in rows]
    LESION_TABLE.write(path, [*rows, *other])
    kept = LESION_TABLE.read(path)
    assert len(kept) == len(rows) + len(other)
    assert all(map(_same, kept, [*other, *rows]))  # by the names of their sets
    LESION_TABLE.write(path, _rows("new"))
    kept = LESION_TABLE.read(path)
    assert {row.system for row in kept if row.set == "small"} == {"new"}
    assert len([row for row in kept if row.set == "other"]) == len(other)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match=r"must be a table .* run benchmarks/lesions.py"):
        LESION_TABLE.read(path)


def test_the_section_shows_figures_with_intervals():
    rows = [*_rows(), *_rows("ours", threshold=0), *_rows("few", threshold=math.inf, count=9)]
    text = "\n".join(lesion_section([*rows, *_rows("reference", kind="degraded")]))
    assert "### small x4, clean input, 3 images" in text
    assert "(lesions_small.svg)" in text
    assert "Contrasts: 0.02, 0.08." in text
    assert (
        "| 2 px | bicubic | 0.050 (0.040 to 0.060) | - | 25 % (24 % to 26 %) "
        "| 12.5 (12.5 to 12.5) |" in text
    )
    assert "| 2 px | ours | ≤ 0.02 (" in text
    assert "| +0.034 (+0.024 to +0.044) |" in text
    assert "| 2 px | few | ∞ (∞ to ∞) | +0.034 (+0.024 to +0.044) | - | 12.5" in text
    assert "### small x4, degraded input, 3 images" in text
    assert re.search(r"\| 2 px \| reference \| .* \| - \| - \|", text)
    assert "nothing about diagnosis" in text


def test_pictures_show_every_system_and_are_the_same_again(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'monai-sr[plot]'")
    rows = [*_rows(), *_rows("ours, fast"), *_rows("ours, fast", kind="degraded")]
    LESION_TABLE.write(tmp_path / FILE, rows)
    lesion_plot.draw(tmp_path / FILE, tmp_path)
    drawn = (tmp_path / "lesions_small.svg").read_text()
    assert "bicubic" in drawn
    assert "ours, fast" in drawn
    lesion_plot.draw(tmp_path / FILE, tmp_path)
    assert (tmp_path / "lesions_small.svg").read_text() == drawn
