"""The spool: what was accepted is there, once, under names that tell nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from monai_sr.core import OptionError, OutputError
from monai_sr.node import spool as spool_module
from monai_sr.node.config import Limits
from monai_sr.node.objects import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    RefusedError,
    Stored,
)
from monai_sr.node.quarantine import drop, list_quarantine, retry
from monai_sr.node.spool import Spool
from tests.node_factory import SECRETS, file_bytes, image, node_config


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def put(spool: Spool, data: bytes, **said: str) -> Stored:
    with spool.open_sender() as sender, sender.part() as part:
        part.write(data[:100])
        part.write(data[100:])
        return sender.store(part, **said)


def objects(spool: Spool, state: str = "incoming") -> list[Path]:
    return sorted(spool[state].glob("*/*/*.dcm"))


@pytest.fixture
def spool(tmp_path):
    made = Spool(node_config(tmp_path), Clock())
    yield made
    made.close()


def test_an_object_is_kept_bit_for_bit_under_hashes(spool) -> None:
    data = file_bytes(image())
    stored = put(spool, data)
    (file,) = objects(spool)
    assert file.read_bytes() == data
    assert stored.is_new
    assert file.parts[-3:-1] == (stored.study, stored.series)
    assert not any(secret in str(path) for path in spool.folder.rglob("*") for secret in SECRETS)
    assert list(spool["tmp"].iterdir()) == []


def test_nobody_else_can_look_into_it(spool) -> None:
    put(spool, file_bytes(image()))
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in spool.folder.rglob("*")}
    assert modes == {0}
    os.chmod(spool.folder, 0o755)
    with pytest.raises(OutputError, match="must be a folder of this user alone"):
        Spool(node_config(spool.folder.parent))


def test_success_is_told_after_file_and_names_are_flushed(spool, monkeypatch) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, os.rename
    kinds = {True: "folder", False: "file"}

    def flush(handle: int) -> None:
        fsync(handle)
        events.append(kinds[stat.S_ISDIR(os.fstat(handle).st_mode)])

    def renamed(*names: object) -> None:
        rename(*names)
        events.append("rename")

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "rename", renamed)
    put(spool, file_bytes(image()))
    # The file, the names of the two new folders, the object, the name of the object.
    assert events == ["file", "folder", "folder", "rename", "folder"]


def test_the_same_object_again_is_accepted_and_not_doubled(spool) -> None:
    assert [put(spool, file_bytes(image())).is_new for _ in range(2)] == [True, False]
    assert len(objects(spool)) == 1


def test_it_is_known_again_after_a_restart(tmp_path) -> None:
    first = Spool(node_config(tmp_path))
    put(first, file_bytes(image()))
    first.close()
    second = Spool(node_config(tmp_path))
    assert not put(second, file_bytes(image())).is_new
    assert len(objects(second)) == 1
    second.close()


def test_other_bytes_under_one_uid_are_both_kept(spool) -> None:
    put(spool, file_bytes(image()))
    other = file_bytes(image(PatientComments="another"))
    stored = put(spool, other)
    assert stored.is_conflict
    assert len(objects(spool)) == 1
    (kept,) = objects(spool, "quarantine")
    assert kept.read_bytes() == other
    (entry,) = list_quarantine(spool.folder)
    assert "another object of the same UID" in entry.reason
    assert not put(spool, other).is_new  # sent once more: no third one
    assert len(objects(spool, "quarantine")) == 1


def test_a_dropped_object_is_a_new_one_when_it_comes_again(spool) -> None:
    put(spool, file_bytes(image()))
    other = file_bytes(image(PatientComments="another"))
    put(spool, other)
    (name,) = drop(spool.folder, "all")
    assert list_quarantine(spool.folder) == []
    assert put(spool, other).is_new
    with pytest.raises(OptionError, match=f"did you mean '{name}'"):
        drop(spool.folder, f"{name}x")


def test_a_retried_object_becomes_a_complete_study(spool) -> None:
    put(spool, file_bytes(image()))
    put(spool, file_bytes(image(PatientComments="another")))
    retry(spool.folder, "all")
    assert len(objects(spool, "working")) == 1
    assert list_quarantine(spool.folder) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"no dicom" * 50, CANNOT_UNDERSTAND),
        (b"", CANNOT_UNDERSTAND),
        (file_bytes(image(StudyInstanceUID="1.2.03")), CANNOT_UNDERSTAND),
        (file_bytes(image(SeriesInstanceUID="")), CANNOT_UNDERSTAND),
        (file_bytes(image(StudyInstanceUID="../../1.2")), CANNOT_UNDERSTAND),
        (file_bytes(image(StudyInstanceUID="1." * 32 + "1")), CANNOT_UNDERSTAND),
        (file_bytes(image())[:300], CANNOT_UNDERSTAND),
    ],
)
def test_what_cannot_be_named_is_refused(spool, data, status) -> None:
    with pytest.raises(RefusedError) as caught:
        put(spool, data)
    assert caught.value.status == status
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert objects(spool) == list(spool["tmp"].iterdir()) == []


def test_an_object_is_what_the_request_says(spool) -> None:
    made = image()
    with pytest.raises(RefusedError, match="SOPInstanceUID") as caught:
        put(spool, file_bytes(made), sop_instance="1.2.3")
    assert caught.value.status == DOES_NOT_MATCH
    assert put(spool, file_bytes(made), sop_instance=made.SOPInstanceUID).is_new


def test_an_object_above_the_limit_is_refused(tmp_path) -> None:
    data = file_bytes(image())
    spool = Spool(node_config(tmp_path, limits=Limits(object_bytes=len(data) - 1)))
    with pytest.raises(RefusedError, match="bytes at most") as caught:
        put(spool, data)
    assert caught.value.status == OUT_OF_RESOURCES
    assert objects(spool) == list(spool["tmp"].iterdir()) == []
    spool.close()


def test_a_full_spool_takes_the_rest_of_what_has_begun(tmp_path) -> None:
    clock = Clock()
    spool = Spool(node_config(tmp_path, limits=Limits(spool_bytes=1500, reserve_bytes=0)), clock)
    assert spool.has_room()
    with spool.open_sender() as sender:
        for seed in range(3):
            with sender.part() as part:
                part.write(file_bytes(image(seed)))
                assert sender.store(part).is_new
    clock.now += 10
    assert not spool.has_room()
    spool.close()


def test_a_full_disk_leaves_no_room(tmp_path) -> None:
    spool = Spool(node_config(tmp_path, limits=Limits(reserve_bytes=10**18)))
    assert not spool.has_room()
    spool.close()


def test_a_disk_that_takes_no_more_is_no_success(spool, monkeypatch) -> None:
    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(RefusedError) as caught:
        put(spool, file_bytes(image()))
    assert caught.value.status == OUT_OF_RESOURCES
    monkeypatch.undo()
    assert put(spool, file_bytes(image())).is_new


def test_a_study_is_complete_when_it_is_quiet_and_nobody_sends(tmp_path) -> None:
    clock = Clock()
    spool = Spool(node_config(tmp_path, quiet_seconds=5.0, patience_seconds=60.0), clock)
    sender = spool.open_sender()
    with sender.part() as part:
        part.write(file_bytes(image()))
        study = sender.store(part).study
    clock.now += 6
    assert spool.complete_studies() == []  # the association is open
    sender.close()
    assert spool.complete_studies() == [study]
    put(spool, file_bytes(image(SOPInstanceUID="1.2.3")))  # one more image of it
    assert spool.complete_studies() == []
    clock.now += 6
    assert spool.complete_studies() == [study]
    spool.close()


def test_an_association_that_stays_open_delays_a_study_and_no_more(tmp_path) -> None:
    clock = Clock()
    spool = Spool(node_config(tmp_path, quiet_seconds=5.0, patience_seconds=60.0), clock)
    sender = spool.open_sender()
    with sender.part() as part:
        part.write(file_bytes(image()))
        study = sender.store(part).study
    clock.now += 59
    assert spool.complete_studies() == []
    clock.now += 2
    assert spool.complete_studies() == [study]
    spool.close()


def test_what_was_received_before_a_restart_waits_again(tmp_path) -> None:
    spool = Spool(node_config(tmp_path))
    put(spool, file_bytes(image()))
    spool.close()
    clock = Clock()
    spool = Spool(node_config(tmp_path, quiet_seconds=5.0), clock)
    assert spool.complete_studies() == []
    clock.now += 6
    assert len(spool.complete_studies()) == 1
    spool.close()


def test_one_node_at_a_time_has_a_spool(spool) -> None:
    with pytest.raises(OutputError, match="one node at a time"):
        Spool(node_config(spool.folder.parent))


def test_what_a_killed_process_left_half_written_goes(tmp_path) -> None:
    spool = Spool(node_config(tmp_path))
    part = spool.new_part()
    part.write(b"half")
    spool.close()
    spool = Spool(node_config(tmp_path))
    assert list(spool["tmp"].iterdir()) == []
    part.discard()
    spool.close()


def test_states_are_where_the_documentation_says() -> None:
    assert all(f"``{state}``" in str(spool_module.__doc__) for state in spool_module.STATES)
