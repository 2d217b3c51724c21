"""The speed of bfloat16 is measured a few times on a machine, wherever it can be kept."""

from __future__ import annotations

import json

import pytest

from monai_sr.core import devices
from monai_sr.core.devices import Times
from monai_sr.core.private_folder import FOLDER_VARIABLE


@pytest.fixture
def timed(monkeypatch):
    """Give these times in turn, the last one ever after; count the calls."""
    devices._kept.cache_clear()
    given, calls = [Times(0.5, 1)], []

    def measured():
        calls.append(1)
        return given[min(len(calls), len(given)) - 1]

    monkeypatch.setattr(devices, "measured", measured)
    yield given, calls
    devices._kept.cache_clear()


def in_another_process():
    devices._kept.cache_clear()
    return devices.is_half_faster()


@pytest.mark.parametrize(("half", "is_faster"), [(0.55, True), (0.95, False), (1.8, False)])
def test_the_faster_one_is_taken_and_remembered(timed, tmp_path, monkeypatch, half, is_faster):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    timed[0][0] = Times(half, 1)
    for _ in range(2):
        assert devices.is_half_faster() is is_faster
    assert len(timed[1]) == 1
    for _ in range(4):
        assert in_another_process() is is_faster
    assert len(timed[1]) == 3
    (known,) = json.loads((tmp_path / "cache" / "half_speed.json").read_text()).values()
    assert known == {"half": half, "full": 1, "processes": 3}


def test_a_first_timing_on_a_busy_machine_is_mended(timed, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    timed[0][:] = [Times(2.0, 1.0), Times(0.5, 3.0), Times(0.6, 1.1)]
    assert [in_another_process() for _ in range(4)] == [False, True, True, True]


@pytest.mark.parametrize(
    "kept", ["", "[1]", "no json", '{"KEY": true}', '{"KEY": {"half": 0, "full": 1}}']
)
def test_a_damaged_note_is_written_anew(timed, tmp_path, monkeypatch, kept):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert devices.is_half_faster()
    file = tmp_path / "half_speed.json"
    whole = file.read_text()
    (key,) = json.loads(whole)
    file.write_text(kept.replace("KEY", key))
    assert in_another_process()
    assert file.read_text() == whole


def test_it_is_measured_where_nothing_can_be_kept(timed, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    assert devices.is_half_faster()

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    devices._kept.cache_clear()
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(devices.Path, "home", no_home)
    assert devices.is_half_faster()


def test_the_measure_takes_hundredths_of_a_second():
    times = devices.measured()
    assert 0.01 < times.half / times.full < 100
    assert 0 < times.full < 1


@pytest.mark.parametrize(("half", "rounds"), [(0.5, devices._ROUNDS), (1.1, devices._MOST_ROUNDS)])
def test_what_is_near_is_timed_more_often(monkeypatch, half, rounds):
    now, lasts = [0.0], iter([0, half, 0, 1.0] * devices._MOST_ROUNDS)

    def clock():
        now[0] += next(lasts)
        return now[0]

    monkeypatch.setattr(devices, "_clock", clock)
    times = devices.measured()
    assert (times.half, times.full) == pytest.approx((half, 1))
    assert len(list(lasts)) == 4 * (devices._MOST_ROUNDS - rounds)
