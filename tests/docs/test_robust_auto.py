"""docs/how-to/robust-auto.md is true: its commands and its code do what it says."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_sr.formats import Facts
from tests.docs.pages import run, sections

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "robust-auto.md"
MIXED = ROOT / "benchmarks" / "results" / "robust_mix.csv"
KINDS = ("clean", "mild", "degraded")
WAYS = ("choice", "mixed_results", "mixed_weights")


@pytest.mark.slow
def test_the_page_works_on_a_dirty_photo(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    with Image.open(ROOT / "samples" / "natural_sr" / "photo.png") as image:
        clean = np.asarray(image.convert("RGB"))[:64, :64]
    noise = np.random.default_rng(0).normal(0, 30, clean.shape)
    Image.fromarray((clean + noise).clip(0, 255).astype("u1")).save("scans/dirty.png")
    commands, shown, code = (
        next(b for b in sections(PAGE)[""] if b.kind == kind) for kind in ("bash", "text", "python")
    )
    run(commands, str)
    # The line that the page shows is one of those that it says, but for the numbers.
    form = re.sub(r"[\d.]+(?=%| px)", "N", shown.text.strip()).replace("unknown", "N px")
    said = re.sub(r"[\d.]+(?=%| px)", "N", capsys.readouterr().out).replace("unknown", "N px")
    assert form in said
    made: dict[str, Any] = {}
    exec(compile(code.text, PAGE.name, "exec"), made)
    assert capsys.readouterr().out.startswith("robust 0.")
    said = json.loads(Facts(made["image"].meta).provenance)
    assert said["weights"] == "robust"
    assert said["found"].startswith("degraded input: noise ")
    bundled = [b for b in sections(PAGE)[""] if b.kind == "bash"][1]
    # The hook acts when it is imported, as it is in a fresh process.
    monkeypatch.delitem(sys.modules, "monai_sr.hook", raising=False)
    run(bundled, lambda command: command.replace("bundles/", f"{ROOT / 'bundles'}/"))
    assert "robust weights" in capsys.readouterr().out


def test_the_gains_of_mixtures_are_those_that_were_measured():
    with MIXED.open(newline="", encoding="utf-8") as stream:
        measured = {
            (row["bundle"], row["scale"], row["images"]): row for row in csv.DictReader(stream)
        }
    shown = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M))
    assert {bundle for bundle, _, _ in measured} == set(shown)
    for bundle, cells in shown.items():
        places = [(bundle, scale, kind) for scale in "24" for kind in KINDS]
        for place, cell in zip(places, cells.split(" | "), strict=True):
            row = {name: float(measured[place][name]) for name in WAYS}
            gains = [row[name] - row["choice"] for name in WAYS[1:]]
            assert [float(gain) for gain in cell.split(" / ")] == pytest.approx(gains, abs=0.0051)
