"""Sending: what a destination has not, waits on the disk, whatever is down; others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
import pytest

from monai_sr.core import OutputError
from monai_sr.node.config import DestinationConfig
from monai_sr.node.dimse import DimseDestination
from monai_sr.node.disk import make_folder, read_record, write_record
from monai_sr.node.metrics import Metrics
from monai_sr.node.quarantine import drop
from monai_sr.node.sender import Outbox, list_unsent
from monai_sr.node.spool import Spool
from monai_sr.node.worker import FILES, JOB
from tests.node_factory import Pacs, free_port, image, node_config, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


class Archive:
    """A destination that may be down, or refuse some results."""

    def __init__(self, name: str, refuses: str = "") -> None:
        self.name, self.is_down, self._refuses = name, False, refuses
        self.asked, self.has = 0, list[str]()

    def send(self, files: Sequence[Path]) -> None:
        self.asked += 1
        job = files[0].parts[-3]
        if self.is_down or job == self._refuses:
            raise OutputError(f"destination {self.name}: must answer 1.2.840.5.6.7, got none")
        self.has.append(job)

    def check(self) -> None:
        """Be there."""


@pytest.fixture
def spool(tmp_path) -> Iterator[Spool]:
    made = Spool(node_config(tmp_path))
    yield made
    made.close()


def result(spool: Spool, job: str) -> str:
    """Put a result into the spool as the worker does."""
    folder = spool["results"] / job
    make_folder(folder / FILES)
    pydicom.dcmwrite(folder / FILES / "a.dcm", image(1), enforce_file_format=True)
    write_record(folder / JOB, {"files": [f"{FILES}/a.dcm"], "when": 1.0})
    return job


def jobs(spool: Spool, state: str) -> list[str]:
    return sorted(folder.name for folder in spool[state].iterdir())


def test_a_result_goes_to_every_destination_and_is_kept_as_sent(spool) -> None:
    first, second, metrics = Archive("first"), Archive("second"), Metrics()
    outbox = Outbox(spool, [first, second], metrics)
    outbox.add(result(spool, "a"))
    assert outbox.lanes[0].step()
    assert jobs(spool, "results") == ["a"]  # the other has it not
    assert outbox.lanes[1].step()
    assert (jobs(spool, "results"), jobs(spool, "sent")) == ([], ["a"])
    assert first.has == second.has == ["a"]
    assert not any(lane.step() for lane in outbox.lanes)
    assert metrics.snapshot()["sent", "first"] == 1


def test_one_that_is_down_holds_nobody_up(spool) -> None:
    down, up = Archive("down"), Archive("up")
    down.is_down = True
    outbox = Outbox(spool, [down, up], Metrics(), clock=Clock())
    for job in ("a", "b"):
        outbox.add(result(spool, job))
    for _ in range(3):
        for lane in outbox.lanes:
            lane.step()
    assert up.has == ["a", "b"]
    assert [lane.depth() for lane in outbox.lanes] == [2, 0]
    assert jobs(spool, "results") == ["a", "b"]


def test_ten_minutes_without_an_archive_lose_nothing(spool) -> None:
    clock, archive, metrics = Clock(), Archive("pacs"), Metrics()
    archive.is_down = True
    outbox = Outbox(spool, [archive], metrics, clock=clock)
    for job in ("a", "b", "c"):
        outbox.add(result(spool, job))
    for _ in range(600):
        outbox.lanes[0].step()
        clock.now += 1
    assert archive.asked < 20  # 1, 2, 4 ... 60 seconds apart
    assert outbox.lanes[0].failures() == archive.asked
    archive.is_down = False
    for _ in range(130):
        outbox.lanes[0].step()
        clock.now += 1
    assert sorted(archive.has) == jobs(spool, "sent") == ["a", "b", "c"]
    assert outbox.lanes[0].failures() == 0


def test_a_refused_result_does_not_stop_others(spool) -> None:
    clock, archive = Clock(), Archive("pacs", refuses="a")
    outbox = Outbox(spool, [archive], Metrics(), clock=clock)
    for job in ("a", "b", "c"):
        outbox.add(result(spool, job))
    for _ in range(10):
        outbox.lanes[0].step()
        clock.now += 1
    assert archive.has == ["b", "c"]
    (unsent,) = list_unsent(spool.folder)
    assert (unsent.name, unsent.destinations) == ("a", ("pacs",))
    assert "must answer (uid " in unsent.why
    assert drop(spool.folder, "a") == ["a"]
    clock.now += 100
    while outbox.lanes[0].step():
        pass
    assert outbox.lanes[0].depth() == 0


def test_the_time_of_the_next_attempt_survives_a_restart(spool) -> None:
    clock, archive = Clock(), Archive("pacs")
    archive.is_down = True
    outbox = Outbox(spool, [archive], Metrics(), clock=clock)
    outbox.add(result(spool, "a"))
    for _ in range(60):
        outbox.lanes[0].step()
        clock.now += 1
    asked = archive.asked
    again = Outbox(spool, [archive], Metrics(), clock=clock)
    assert not again.lanes[0].step()
    record = read_record(spool["results"] / "a" / "to-pacs.json")
    assert record is not None
    assert record["attempts"] == asked
    clock.now -= 1e6  # set back: it is tried after a minute all the same
    again = Outbox(spool, [archive], Metrics(), clock=clock)
    clock.now += 61
    archive.is_down = False
    assert again.lanes[0].step()
    assert archive.has == ["a"]


def test_a_result_that_all_have_moves_after_a_crash(spool) -> None:
    result(spool, "a")
    write_record(spool["results"] / "a" / "to-pacs.json", {"sent": 1.0})
    archive = Archive("pacs")
    outbox = Outbox(spool, [archive], Metrics())
    assert not outbox.lanes[0].step()
    assert jobs(spool, "sent") == ["a"]


def test_an_archive_that_comes_back_gets_all(spool) -> None:
    port, clock = free_port(), Clock()
    where = DestinationConfig("pacs", ae_title="PACS", host="127.0.0.1", port=port)
    outbox = Outbox(spool, [DimseDestination(where, "MONAI_SR")], Metrics(), clock=clock)
    outbox.add(result(spool, "a"))
    outbox.lanes[0].step()
    (unsent,) = list_unsent(spool.folder)
    assert "got none where an association was asked for" in unsent.why
    pacs = Pacs(port, status=0xA700)  # up, and full
    clock.now += 2
    outbox.lanes[0].step()
    assert "got status 0xA700 to result 1 of 1" in list_unsent(spool.folder)[0].why
    pacs.status = 0
    clock.now += 5
    outbox.lanes[0].step()
    wait_for(lambda: pacs.received)
    assert jobs(spool, "sent") == ["a"]
    pacs.close()
