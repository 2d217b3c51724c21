"""docs/how-to/evaluate.md is true where it tells how to measure invented detail."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tests.docs.pages import run, sections, write_photos

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "evaluate.md"


def test_the_command_measures_invented_detail(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photos(Path("HR"))
    for path in sorted(Path("HR").iterdir())[1:]:
        path.unlink()
    (block,) = sections(PAGE)["What was invented"]
    run(block, lambda command: command)
    (file,) = Path("OUT").glob("*.json")
    systems = json.loads(file.read_text(encoding="utf-8"))["systems"]
    assert [each["name"] for each in systems] == [
        "bicubic", "satellite_sr", "satellite_sr, perception 1",
    ]  # fmt: skip
    for each in systems:
        means = {name: each["means"][name]["mean"] for name in each["means"]}
        shares = [means[f"opensr_{name}"] for name in ("improvement", "omission", "hallucination")]
        assert math.isclose(sum(shares), 1, rel_tol=1e-5)
        assert 0 < means["sfrc_agreement"] <= 100
        assert 0 <= means["sfrc"] <= 100
