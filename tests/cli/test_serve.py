"""The command serve-dicom: a node as a process, and what its operator sees of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_sr.cli.main import main
from monai_sr.node.config import read_config
from monai_sr.node.spool import Spool
from tests.node_factory import SECRETS, Pacs, file_bytes, free_port, image, send, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    made = Pacs()
    yield made
    made.close()


@pytest.fixture
def configured(tmp_path, pacs) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        given = {
            "ae_title": "MONAI_SR",
            "port": free_port(),
            "spool": "spool",
            "model": "xray_sr:fast",
            "options": {"scale": 2, "device": "cpu"},
            "quiet_seconds": 0,
            "peers": [{"ae_title": "MODALITY", "address": "127.0.0.1"}],
            "destinations": [
                {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
            ],
        }
        file = tmp_path / "node.yaml"
        file.write_text(yaml.safe_dump({**given, **changes}), encoding="utf-8")
        return file

    return write


def test_a_wrong_key_is_refused_in_one_line(configured, capsys) -> None:
    assert main(["serve-dicom", str(configured(quiet_second=3))]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "node.yaml: key 'quiet_second' is unknown; did you mean 'quiet_seconds'?" in error


def test_check_asks_the_destinations(configured, pacs, capsys) -> None:
    assert main(["serve-dicom", str(configured()), "--check"]) == 0
    assert capsys.readouterr().out.endswith("destination pacs: answers\n")
    pacs.close()
    pacs.close = lambda: None  # type: ignore[method-assign]
    assert main(["serve-dicom", str(configured()), "--check"]) == 2
    told = capsys.readouterr()
    assert "destination pacs: must store the results, got none" in told.out
    assert "destinations: all must answer, got none from 1" in told.err


def test_check_tries_the_options(configured, capsys) -> None:
    assert main(["serve-dicom", str(configured(options={"scael": 2})), "--check"]) == 2
    assert "scael" in capsys.readouterr().err


def test_what_is_in_quarantine_is_listed_retried_and_dropped(configured, capsys) -> None:
    file = configured()
    spool = Spool(read_config(file))
    with spool.open_sender() as sender:
        for made in (image(1), image(1, PatientComments="a"), image(1, PatientComments="b")):
            with sender.part() as part:
                part.write(file_bytes(made))
                sender.store(part)
    assert main(["serve-dicom", str(file), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("1 object\tanother object of the same UID was received" in line for line in lines)
    assert not any(secret in line for line in lines for secret in SECRETS)
    first, second = (line.split("\t")[0] for line in lines)

    assert main(["serve-dicom", str(file), "--drop", first]) == 0
    assert capsys.readouterr().out == "1 deleted\n"
    assert main(["serve-dicom", str(file), "--retry", first]) == 2
    assert f"quarantine entry '{first}' is unknown" in capsys.readouterr().err
    assert main(["serve-dicom", str(file), "--retry", "all"]) == 0
    assert capsys.readouterr().out == "1 to be worked on again\n"
    assert [f.name.split("-")[0] for f in spool["working"].iterdir()] == [second.split("-")[0]]
    spool.close()


@pytest.mark.slow
def test_a_node_serves_until_it_is_told_to_stop(configured, tmp_path, pacs, repo_root) -> None:
    file = configured()
    port = read_config(file).port
    log = tmp_path / "log"
    with log.open("w") as stream:
        node = subprocess.Popen(
            [sys.executable, "-m", "monai_sr.cli.main", "serve-dicom", str(file)],
            stdout=stream, stderr=stream, cwd=repo_root, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        wait_for(lambda: "listens on" in log.read_text() or node.poll() is not None, 120)
        sent = image(1, shape=(32, 32), PatientBirthDate="Doe^Jane")  # pydicom warns of it
        assert send(port, [sent], title="STRANGER") == []
        assert send(port, [sent]) == [0], log.read_text()
        wait_for(lambda: pacs.received, 120)
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0
    finally:
        node.kill()
        node.wait()
    told = log.read_text()
    assert re.search(r"series \S+: 32 x 32 to 64 x 64 by xray_sr in", told)
    assert "sent to pacs" in told
    assert "stopped" in told.splitlines()[-1]
    assert {secret for secret in (*SECRETS, "STRANGER") if secret in told} == set()
