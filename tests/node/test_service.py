"""A node as a whole: what comes in by C-STORE goes out enlarged, once, and nothing leaks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from monai_sr.core import BadImageError
from monai_sr.node.config import NodeConfig
from monai_sr.node.quarantine import list_quarantine
from monai_sr.node.service import Node, check
from tests.node_factory import (
    SECRETS,
    Enlarger,
    Pacs,
    image,
    node_config,
    send,
    wait_for,
)


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    made = Pacs()
    yield made
    made.close()


def config_of(folder: Path, pacs: Pacs, **changes: object) -> NodeConfig:
    config = node_config(folder, **changes)
    destination = replace(config.destinations[0], port=pacs.port)
    return replace(config, destinations=(destination,))


def uids(made: list[pydicom.FileDataset]) -> set[str]:
    return {str(each.SOPInstanceUID) for each in made}


def test_each_study_comes_out_enlarged_once_and_nothing_leaks(
    tmp_path, pacs, caplog, capfd
) -> None:
    caplog.set_level(logging.DEBUG)
    objects = [image(seed) for seed in range(3)]
    report = image(9, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22")
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    fails = {2: BadImageError(f"{objects[1].PatientName}: bad {objects[1].SOPInstanceUID}")}
    node = Node(config_of(tmp_path, pacs), Enlarger(fails))
    node.start()
    try:
        for made in [*objects, report]:
            assert send(node.scp.port, [made]) == [0]
        assert send(node.scp.port, [objects[0]]) == [0]  # once more
        wait_for(lambda: len(pacs.received) == 2 and len(list(node.spool["sent"].iterdir())) == 2)
        wait_for(lambda: node.metrics.snapshot().get(("passed_by", "report")))
        snapshot = node.metrics.snapshot()
        assert node.faults() == node.warnings() == []
    finally:
        node.stop()
    assert len(set(pacs.received)) == 2
    assert not uids(objects) & set(pacs.received)
    assert snapshot["received", ""] == 4
    assert snapshot["again", ""] == 1
    assert snapshot["enlarged", ""] == snapshot["sent", "pacs"] == 2
    assert snapshot["quarantined", ""] == 1
    (entry,) = list_quarantine(tmp_path / "spool")
    assert re.fullmatch(r"\(removed\): bad \(uid [0-9a-f]{8}\)", entry.reason)

    told = caplog.text + "".join(capfd.readouterr()) + repr(snapshot)
    assert "sent to pacs" in told
    for path in tmp_path.rglob("*"):
        told += str(path.relative_to(tmp_path))
        told += path.read_text(encoding="utf-8") if path.suffix == ".json" else ""
    leaked = {*SECRETS, "MODALITY", *(str(o.StudyInstanceUID) for o in objects)}
    assert {secret for secret in leaked if secret in told} == set()


def test_a_stopped_node_goes_on_where_it_was(tmp_path, pacs) -> None:
    config = config_of(tmp_path, pacs)
    node = Node(config, Enlarger())
    node.scp.start()  # nobody works
    assert send(node.scp.port, [image(1)]) == [0]
    node.stop()
    again = Node(config, Enlarger())
    again.start()
    try:
        wait_for(lambda: len(pacs.received) == 1)
    finally:
        again.stop()


def test_own_results_are_passed_by(tmp_path, pacs) -> None:
    enlarger = Enlarger()
    node = Node(config_of(tmp_path, pacs), enlarger)
    node.start()
    try:
        send(node.scp.port, [image(1)])
        wait_for(lambda: list(node.spool["sent"].iterdir()))
        (file,) = node.spool["sent"].glob("*/files/*.dcm")
        assert send(node.scp.port, [pydicom.dcmread(file)]) == [0]
        wait_for(lambda: node.metrics.snapshot().get(("passed_by", "own result")) == 1)
    finally:
        node.stop()
    assert len(enlarger.calls) == len(pacs.received) == 1


def test_destinations_are_asked(tmp_path, pacs) -> None:
    config = config_of(tmp_path, pacs)
    assert list(check(config)) == [("pacs", "")]
    ((name, problem),) = check(node_config(tmp_path))
    assert name == "pacs"
    assert "got none where an association was asked for" in problem
