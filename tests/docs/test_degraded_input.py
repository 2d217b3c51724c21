"""docs/how-to/degraded-input.md is true: its options are known, its code measures."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.docs.pages import sections

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = sections(ROOT / "docs" / "how-to" / "degraded-input.md")


def test_every_option_is_known(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import degraded

    told = []
    monkeypatch.setattr(degraded, "run", told.append)
    for command in SECTIONS[""][0].commands:
        words = shlex.split(command, comments=True)
        assert words[:2] == ["python", "benchmarks/degraded.py"]
        assert degraded.main(words[2:]) == 0
    assert [options.faces for options in told] == [None, ["robust"]]
    assert told[0].sets == ["photo", "xray", "mr", "ct", "satellite"]
    sys.modules.pop("degraded")


def test_the_code_measures_sharpness_and_noise():
    found: dict[str, object] = {}
    (block,) = SECTIONS["Of your own images"]
    exec(block.text, found)
    assert found["sharpness"] > 0.5  # bicubic has 0.40
    assert found["gain"].item() == pytest.approx(1.5, abs=0.5)
    assert 10 < found["specks"].item() < 60
