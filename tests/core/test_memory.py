"""What does not fit into memory is refused by its declared size, before it exists."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from monai_sr.core import memory
from monai_sr.core.errors import BadImageError


def test_sizes_beyond_any_machine_are_refused():
    with pytest.raises(BadImageError, match=r"a\.nii: .*32767 x 32767 x 32767 .*cut it into parts"):
        memory.check_memory("a.nii", (32767, 32767, 32767), 8)
    memory.check_memory("a.nii", (64, 64, 64), 8)


def test_least_of_machine_container_and_process_counts(monkeypatch):
    monkeypatch.setattr(memory, "_of_machine", lambda: 3000.0)
    monkeypatch.setattr(memory, "_of_container", lambda: 1000.0)
    monkeypatch.setattr(memory, "_of_process", lambda: float("inf"))
    memory.check_memory("a.nii", (10, 10), 10)
    with pytest.raises(BadImageError, match="must fit into memory"):
        memory.check_memory("a.nii", (10, 10), 11)


def test_container_gives_up_its_cache_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory._of_container() == float("inf")
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    assert memory._of_container() == 1000
    (tmp_path / "memory.stat").write_text("anon 12\ninactive_file 700\n")
    assert memory._of_container() == 1700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_container() == float("inf")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_limit_of_the_process_counts():
    program = "from monai_sr.core.memory import available_bytes; print(available_bytes())"
    limit = 2**31
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert 2**20 < float(done.stdout) < limit


def resident_mib():
    """Return what this process has of the machine's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="thresholds of glibc")
def test_a_steady_heap_keeps_what_is_freed_until_its_end():
    with memory.steady_heap():
        blocks = [b"x" * 2**20 for _ in range(200)]
        full = resident_mib()
        del blocks
        assert resident_mib() > full - 50
    assert resident_mib() < full - 150


def test_a_steady_heap_is_nothing_elsewhere(monkeypatch):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(ctypes, "CDLL", unknown)
    with memory.steady_heap():
        pass
