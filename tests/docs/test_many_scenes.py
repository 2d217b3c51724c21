"""docs/how-to/many-scenes.md is true: its commands are understood, and work in a shell."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monai_sr.cli import main as cli
from monai_sr.upscaling.manifest import FIELDS
from tests.docs.pages import sections
from tests.image_factory import NORTH_UP, pixels, write_raster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "many-scenes.md"
SECTIONS = sections(PAGE)
COMMANDS = {name: [c for b in blocks for c in b.commands] for name, blocks in SECTIONS.items()}
OURS = [c for commands in COMMANDS.values() for c in commands if c.startswith("monai-sr")]


@pytest.mark.parametrize("command", OURS)
def test_every_option_is_known(command):
    assert cli._parser().parse_known_args(shlex.split(command)[1:])[1] == []


def test_the_table_names_the_columns_of_the_manifest():
    table = PAGE.read_text().split("| column | |")[1].split("\n\n")[0]
    named = [
        cell.strip(" `") for row in table.splitlines()[2:] for cell in row.split("|")[1].split(",")
    ]
    assert tuple(named) == FIELDS


@pytest.mark.slow
def test_the_whole_page_works_in_a_shell(tmp_path):
    """As a user types it: a scheduler, workers and clients, each a process."""
    pytest.importorskip("distributed")
    (tmp_path / "scenes").mkdir()
    for name in ("a.tif", "b.tif"):
        write_raster(
            tmp_path / "scenes" / name, pixels((3, 9, 12)), crs="EPSG:32633", transform=NORTH_UP
        )
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    scheduler, *workers = (c for c in COMMANDS["On a cluster"] if c.startswith("dask"))
    quick = [c for c in workers for c in [c.replace("--nworkers 4", "--nworkers 1")]]
    servers = [
        subprocess.Popen(
            shlex.split(c), cwd=tmp_path, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for c in (scheduler, *quick)
    ]  # fmt: skip
    try:
        outputs = []
        for command in OURS:
            done = subprocess.run(
                [sys.executable, "-m", "monai_sr.cli.main", *shlex.split(command)[1:]],
                cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
                timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            outputs.append(done.stdout)
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)
    assert "2 of 2 results were there already" not in outputs[0]
    assert all("2 of 2 results were there already" in text for text in outputs[1:])
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "a_x4.tif", "b_x4.tif", "monai_sr_manifest.csv",
    }  # fmt: skip
