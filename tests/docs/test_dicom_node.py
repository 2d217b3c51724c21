"""docs/how-to/dicom-node.md is true: its files are read, its commands known, its Python runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from monai_sr.cli import main as cli
from monai_sr.node.config import read_config
from monai_sr.node.metrics import Metrics
from monai_sr.node.service import Node
from monai_sr.node.watch import Watch
from tests.docs.pages import sections
from tests.node_factory import Enlarger, Pacs, free_port, image, wait_for

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "dicom-node.md"
DEPLOY = ROOT / "deploy" / "node"
SECTIONS = sections(PAGE)
COMMANDS = [c for blocks in SECTIONS.values() for b in blocks for c in b.commands]
OURS = [c for c in COMMANDS if c.startswith("monai-sr")]


def block(section, kind):
    return next(b.text for b in SECTIONS[section] if b.kind == kind)


@pytest.fixture
def pacs():
    made = Pacs()
    yield made
    made.close()


@pytest.fixture
def config_file(tmp_path, pacs):
    """The page's configuration, on free ports, with a real archive behind it."""
    values = yaml.safe_load(block("With Orthanc", "yaml"))
    values["port"], values["http"]["port"] = free_port(), free_port()
    values["destinations"][0] |= {"port": pacs.port, "ae_title": "PACS"}
    file = tmp_path / "node.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.mark.parametrize("command", OURS)
def test_every_option_is_known(command):
    assert cli._parser().parse_known_args(shlex.split(command)[1:])[1] == []


def test_the_page_checks_its_own_configuration(config_file, capsys):
    assert cli.main(["serve-dicom", str(config_file), "--check"]) == 0
    assert "destination pacs: answers" in capsys.readouterr().out


def test_the_python_of_the_page_stores_an_image(config_file, pacs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    image().save_as("image.dcm", enforce_file_format=True)
    config = replace(read_config(config_file), quiet_seconds=0.0)
    node = Node(config, Enlarger())
    node.start()
    try:
        exec(block("STOW-RS", "python").replace("8104", str(config.http.port)), {})
        wait_for(lambda: len(pacs.received) == 1)
    finally:
        node.stop()
    assert "1 stored" in capsys.readouterr().out


def test_the_table_of_figures_names_those_that_are_told():
    class Idle:
        metrics = Metrics()

        def gauges(self):
            return {}

    told = set(re.findall(r"# TYPE monai_sr_node_(\w+)", Watch(Idle()).metrics().body.decode()))
    table = PAGE.read_text().split("| figure | |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)(?:\{\w+\})?`", table)
    assert set(named) <= told
    assert len(named) > 10
    alerts = re.findall(r"monai_sr_node_(\w+)", (DEPLOY / "prometheus.yml").read_text())
    assert set(alerts) <= told


def test_the_example_configuration_is_read_as_it_stands_and_with_all_its_comments(tmp_path):
    text = (DEPLOY / "node.yaml").read_text()
    config = read_config(DEPLOY / "node.yaml")
    assert config.host == "127.0.0.1"
    assert config.http.port == 8104
    # Lines that are commented out are configuration, too.
    whole = re.sub(r"^( *)# (- |  \w+: |\w+: )", r"\1\2", text, flags=re.MULTILINE)
    (tmp_path / "node.yaml").write_text(whole)
    full = read_config(tmp_path / "node.yaml")
    assert [d.name for d in full.destinations] == ["pacs", "archive"]
    assert full.tls is not None
    assert full.model == "xray_sr:fast"
    assert full.http.token_file is not None


def test_the_unit_is_one_that_systemd_understands(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: checks the unit")
    unit = (DEPLOY / "monai-sr-node.service").read_text()
    assert "/opt/monai-sr/bin/monai-sr serve-dicom /etc/monai-sr/node.yaml" in unit
    file = tmp_path / "monai-sr-node.service"
    file.write_text(unit.replace("/opt/monai-sr/bin/monai-sr", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [e for e in done.stderr.splitlines() if file.name in e]) == (0, [])


def test_the_container_is_nobody_and_asks_the_port_of_the_example():
    text = (DEPLOY / "Dockerfile").read_text()
    stage = text[text.rindex("FROM ") :]
    assert "\nUSER monai-sr\n" in stage
    assert stage.index("USER") < stage.index("ENTRYPOINT")
    assert "127.0.0.1:8104/health" in stage
    spool = read_config(DEPLOY / "node.yaml").spool
    assert spool.is_relative_to(re.search(r"^VOLUME (\S+)$", stage, re.MULTILINE)[1])
