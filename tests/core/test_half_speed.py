"""The speed of bfloat16 is measured once on a machine, wherever it can be kept."""

from __future__ import annotations

import json

import pytest

from monai_sr.core import half_speed
from monai_sr.core.cache_folder import FOLDER_VARIABLE


@pytest.fixture
def timed(monkeypatch):
    """Count what is timed; bfloat16 takes so many times as long."""
    half_speed._kept.cache_clear()
    ratios, calls = [0.5], []

    def measured_ratio():
        calls.append(1)
        return ratios[0]

    monkeypatch.setattr(half_speed, "measured_ratio", measured_ratio)
    yield ratios, calls
    half_speed._kept.cache_clear()


@pytest.mark.parametrize(("ratio", "is_faster"), [(0.55, True), (1.8, False)])
def test_the_faster_one_is_taken_and_remembered(timed, tmp_path, monkeypatch, ratio, is_faster):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    timed[0][0] = ratio
    for _ in range(2):
        assert half_speed.is_half_faster() is is_faster
    half_speed._kept.cache_clear()  # as another process begins
    assert half_speed.is_half_faster() is is_faster
    assert len(timed[1]) == 1
    (known,) = json.loads((tmp_path / "cache" / "half_speed.json").read_text()).values()
    assert known is is_faster


@pytest.mark.parametrize("content", ["", "[1]", "no json", '{"a": 5}'])
def test_a_damaged_note_is_written_anew(timed, tmp_path, monkeypatch, content):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "half_speed.json").write_text(content)
    assert half_speed.is_half_faster()
    assert True in json.loads((tmp_path / "half_speed.json").read_text()).values()


def test_it_is_measured_where_nothing_can_be_kept(timed, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    assert half_speed.is_half_faster()

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    half_speed._kept.cache_clear()
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(half_speed.Path, "home", no_home)
    assert half_speed.is_half_faster()


def test_the_measure_is_a_ratio_of_times():
    assert 0.01 < half_speed.measured_ratio() < 1000
