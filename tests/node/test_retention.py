"""Retention: what was sent goes when it is old or in the way; what nobody has stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_sr.node.config import Limits
from monai_sr.node.disk import make_folder, write_record
from monai_sr.node.quarantine import list_quarantine, write_reason
from monai_sr.node.retention import sweep
from monai_sr.node.spool import Spool
from tests.node_factory import node_config

NOW = 2e9


@pytest.fixture
def spool(tmp_path) -> Iterator[Spool]:
    made = Spool(node_config(tmp_path))
    yield made
    made.close()


def kept(spool: Spool, state: str, name: str, hours: float, size: int = 10) -> Path:
    folder = spool[state] / name
    make_folder(folder)
    (folder / "a.dcm").write_bytes(b"\0" * size)
    os.utime(folder, (NOW - hours * 3600,) * 2)
    return folder


def names(spool: Spool, state: str) -> list[str]:
    return sorted(path.name for path in spool[state].iterdir())


def test_what_was_sent_goes_after_its_time(spool, tmp_path) -> None:
    for state in ("sent", "results"):
        kept(spool, state, "s1-t1-old", 25)
        kept(spool, state, "s2-t2-new", 23)
    for name, hours in (("old", 25), ("new", 23)):
        file = spool["done"] / f"{name}.json"
        write_record(file, {"objects": []})
        os.utime(file, (NOW - hours * 3600,) * 2)
    sweep(spool, node_config(tmp_path), lambda: NOW)
    assert names(spool, "sent") == ["s2-t2-new"]
    assert names(spool, "results") == ["s1-t1-old", "s2-t2-new"]  # nobody has them yet
    assert names(spool, "done") == ["new.json"]


def test_nothing_goes_of_a_study_that_is_being_worked_on(spool, tmp_path) -> None:
    kept(spool, "sent", "s1-t1-old", 1000)
    make_folder(spool["working"] / "s1-t1")
    sweep(spool, node_config(tmp_path), lambda: NOW)
    assert names(spool, "sent") == ["s1-t1-old"]


def test_a_full_spool_lets_the_oldest_go_first(spool, tmp_path) -> None:
    for name, hours in (("a", 3), ("b", 2), ("c", 1)):
        kept(spool, "sent", f"s-t-{name}", hours, size=1000)
    kept(spool, "results", "s-t-d", 5, size=1000)
    config = node_config(tmp_path, limits=Limits(spool_bytes=2500))
    spool._measured = (-1e9, 0)
    sweep(spool, config, lambda: NOW)
    assert names(spool, "sent") == ["s-t-c"]
    assert names(spool, "results") == ["s-t-d"]


def test_quarantine_is_kept_for_longer(spool, tmp_path) -> None:
    for name, days in (("old", 31), ("new", 29)):
        write_reason(kept(spool, "quarantine", name, 0), "it failed")
        file = spool["quarantine"] / name / "reason.json"
        write_record(file, {"reason": "it failed", "when": NOW - days * 86400})
    sweep(spool, node_config(tmp_path), lambda: NOW)
    assert [entry.name for entry in list_quarantine(spool.folder)] == ["new"]
