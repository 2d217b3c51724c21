"""Invented detail: rows, what stands in the section, and what beside perceptual weights."""

from __future__ import annotations

import math

import invented as script
import numpy as np
import pytest
from invented_rows import (
    FIGURES,
    FILE,
    GOALS,
    OPENSR,
    REFERENCE,
    SFRC,
    invented_section,
    means,
    perceptual_block,
    read_invented,
    shipped_weights,
    write_invented,
)
from PIL import Image
from skimage.data import camera

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.evaluation.rows import Row
from monai_sr.metrics.protocol import NATURAL

_VALUES = dict(
    zip(FIGURES, (30.0, 0.0009, 0.3, 0.01, 0.02, 0.12, 0.7, 0.18, 1.5, 36.0), strict=True)
)


@pytest.fixture(scope="module")
def weights():
    """Return the hash of weights that are shipped."""
    return min(shipped_weights())


def _row(system="bicubic", image="a", weights="", **figures):
    return Row(
        set="naip", image=image, label="", scale=4, system=system, seconds=math.nan,
        protocol="native 255", weights_sha256=weights, figures=_VALUES | figures,
    )  # fmt: skip


def _section(folder, *rows):
    write_invented(folder / FILE, rows)
    return "\n".join(invented_section(folder))


def test_rows_come_back_and_replace_their_like(tmp_path):
    path = tmp_path / FILE
    first = [_row(), _row("ours"), _row("ours", "b")]
    write_invented(path, first)
    write_invented(path, [_row("ours", psnr=31.0, opensr_spectral=math.nan)])
    kept = read_invented(path)
    assert [(row.system, row.image, row["psnr"]) for row in kept] == [
        ("bicubic", "a", 30.0), ("ours", "a", 31.0),
    ]  # fmt: skip
    assert {name: kept[0][name] for name in FIGURES} == _VALUES
    assert math.isnan(kept[1]["opensr_spectral"])
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match=r"must be a table .* run benchmarks/invented.py again"):
        read_invented(path)


def test_means_leave_out_what_was_not_measured():
    rows = [_row(psnr=30.0), _row(image="b", psnr=34.0, opensr_spectral=math.nan)]
    found = means(rows)["bicubic"]
    assert found["psnr"] == 32
    assert found["opensr_spectral"] == 0.3


def test_the_section_marks_the_best_and_the_goals_and_names_what_is_missed(tmp_path, weights):
    ours = _row(
        "ours", weights=weights, psnr=31.0, opensr_improvement=0.2, opensr_hallucination=0.10004
    )
    text = _section(tmp_path, _row(), ours)
    assert "x4, 1 images" in text
    assert "| bicubic | 30.00 | **0.0009** ✓ | **0.3000** | **0.0100** | 0.0200 | 0.1200 |" in text
    assert (
        "| ours | **31.00** | **0.0009** ✓ | **0.3000** | **0.0100** | 0.0200 | **0.1000** ✓ |"
        in text
    )
    assert "| **0.2000** ✓ | **1.5** | **36.0** |" in text
    assert "Missed by every model: spectral ≤ 0.22.\n" in text


def test_the_reference_comes_last_and_is_no_rival(tmp_path, weights):
    top = {"psnr": math.inf, "opensr_reflectance": 0.002, "opensr_spectral": 0.1}
    ours = _row("ours", weights=weights, opensr_reflectance=0.003)
    bicubic = _row(opensr_reflectance=0.004)
    text = _section(tmp_path, _row(REFERENCE, **top), bicubic, ours)
    assert "| **30.00** | **0.0030** | **0.3000** |" in text
    assert "| the reference itself | ∞ | 0.0020 | 0.1000 ✓ | 0.0100 |" in text
    assert text.index(f"| {REFERENCE} ") > text.index("| ours ")
    assert "reflectance ≤ 0.0011 (by the reference, too), spectral ≤ 0.22, improv" in text


def test_goals_hold_at_their_limit_and_not_beyond():
    for goal in GOALS:
        beyond = goal.limit + (-0.0001 if goal.is_floor else 0.0001)
        assert goal.is_met(goal.limit)
        assert not goal.is_met(beyond)
    assert [goal.is_floor for goal in GOALS] == [False, False, True, False]


def test_rows_of_weights_that_are_shipped_no_more_are_named_and_left_out(tmp_path, weights):
    old = _row("old", weights="0" * 64)
    text = _section(tmp_path, _row(), _row("ours", weights=weights), old)
    assert "| old |" not in text
    assert "Left out, for their weights are shipped no more: old (naip)." in text


def test_without_rows_there_is_no_section(tmp_path):
    assert invented_section(tmp_path) == []


def test_figures_that_no_row_has_have_no_column(tmp_path):
    text = _section(tmp_path, _row(**dict.fromkeys(OPENSR, math.nan)))
    assert "| system | PSNR (dB) | patches flagged (%) | agreement (% of Nyquist) |" in text
    assert "Missed" not in text


def test_beside_perceptual_weights_stand_bicubic_and_the_faithful_ones(weights):
    perceptual = _row("some_sr, perception 1", weights=weights, psnr=28.0)
    rows = [_row(), _row("some_sr", weights=weights), _row("some_sr, fast", weights=weights)]
    lines = perceptual_block("some_sr", [*rows, perceptual]).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "bicubic", "some_sr", "some_sr, perception 1",
    ]  # fmt: skip
    assert lines[-1].split("|")[2:7] == [" 28.00 ", " 0.1800 ", " 0.7000 ", " 0.1200 ", " 1.5 "]
    with pytest.raises(SystemExit, match=r"was not measured .*invented.py --bundle"):
        perceptual_block("some_sr", rows)


def test_the_script_measures_what_is_asked_for(repo_root, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "FACES", ("fast",))
    (tmp_path / "Set14").mkdir()
    Image.fromarray(np.stack([camera()[:96, 100:196]] * 3, -1)).save(tmp_path / "Set14" / "a.png")
    results = tmp_path / "results"
    results.mkdir()
    (results / "set5.csv").write_bytes((repo_root / "benchmarks/results/set5.csv").read_bytes())
    told = ["--root", str(tmp_path), "--bundle", "natural_sr", "--results", str(results)]
    assert script.main([*told, "--output", str(tmp_path / "results.md")]) == 0
    rows = read_invented(results / FILE)
    assert [row.system for row in rows] == ["bicubic", "natural_sr, fast"]
    for row in rows:
        assert 20 < row["sfrc_agreement"] <= 100
        assert not set(OPENSR) & set(row.figures)
        assert set(SFRC) <= set(row.figures)
    assert rows[1]["psnr"] > rows[0]["psnr"]
    assert "## Invented detail" in (tmp_path / "results.md").read_text()
    assert rows[1].weights_sha256 in shipped_weights()


def test_the_reference_is_all_improvement_and_in_its_place(tmp_path):
    photo = np.stack([camera()[100:228, 100:228]] * 3, -1)
    Image.fromarray(photo).save(tmp_path / "a.png")
    benchmark = Benchmark("small", "Small", (".",), "*.png", NATURAL)
    (row,) = script.judge_reference(benchmark, tmp_path, 4, (*OPENSR, *SFRC), None)
    assert row.system == REFERENCE
    assert row["psnr"] == math.inf
    assert row["sfrc_agreement"] == 100
    assert row["opensr_improvement"] > 0.9
    assert row["opensr_spatial"] < 0.02
    assert row["opensr_reflectance"] > 0.0011
