"""Temporary folders are private, and gone after every end of the process that made them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from monai_sr.core import private_folder
from monai_sr.core.atomic import appear_together, atomic_file, atomic_folder
from monai_sr.core.private_folder import hold, make_private_folder, sweep

_WAITS = """
import sys, time
from monai_sr.core.private_folder import make_private_folder
(make_private_folder() / "secret.txt").write_text("x")
print("ready", flush=True)
time.sleep(float(sys.argv[1]))
"""


def _run(folder, seconds):
    environment = {**os.environ, "TMPDIR": str(folder)}
    program = [sys.executable, "-c", _WAITS, str(seconds)]
    process = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)
    with process.stdout as told:
        assert told.readline() == "ready\n"
    return process


def _left(folder):
    return list(folder.rglob("secret.txt"))


def test_they_are_private():
    folder = make_private_folder()
    for place in (folder, folder.parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_they_are_gone_at_the_end(tmp_path):
    process = _run(tmp_path, 0)
    assert process.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_they_are_gone_after_term(tmp_path):
    process = _run(tmp_path, 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_private_folders_of_others_stay(tmp_path):
    others = tmp_path / "monai_sr_incoming"  # a user's own, or a service's
    others.mkdir(mode=0o700)
    (others / "study.dcm").write_text("x")
    assert _run(tmp_path, 0).wait() == 0
    assert [file.name for file in others.iterdir()] == ["study.dcm"]


def test_the_next_start_sweeps_what_a_kill_left_and_nothing_in_use(tmp_path):
    killed, living = _run(tmp_path, 60), _run(tmp_path, 60)
    killed.kill()
    killed.wait()
    assert len(_left(tmp_path)) == 2
    assert _run(tmp_path, 0).wait() == 0
    assert len(_left(tmp_path)) == 1
    living.terminate()
    living.wait()
    assert _left(tmp_path) == []


@pytest.mark.parametrize("kind", [atomic_file, atomic_folder, appear_together])
def test_half_results_are_private_and_swept_when_nobody_writes_them(tmp_path, kind):
    with kind(tmp_path / "out") as hidden:
        if kind is atomic_file:
            hidden.touch()
        (place,) = {p for p in (hidden, *hidden.parents) if p.name.startswith(".")}
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        sweep(place.parent, ".*.part")
        assert place.exists()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) != 0o700
    left = tmp_path / ".0123456789ab.part"
    left.mkdir(mode=0o700)
    sweep(tmp_path, ".*.part")
    assert not left.exists()


@pytest.mark.parametrize("kind", [atomic_file, atomic_folder, appear_together])
def test_what_is_just_begun_is_not_swept_before_it_is_locked(tmp_path, kind, monkeypatch):
    def late(folder):
        sweep(tmp_path, ".*.part")  # as another process may at any moment
        return hold(folder)

    monkeypatch.setattr(private_folder, "hold", late)
    with kind(tmp_path / "out") as hidden:
        (hidden.parent if kind is atomic_file else hidden).stat()
        if kind is atomic_file:
            hidden.touch()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_held_once(tmp_path):
    handle = hold(tmp_path)
    assert hold(tmp_path) is None
    os.close(handle)
