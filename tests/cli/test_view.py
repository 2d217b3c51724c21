"""``monai-sr view`` serves until it is stopped, opens a browser safely, and refuses in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from monai_sr.cli.main import main
from monai_sr.viewer import ViewServer
from tests.dicom_factory import SECRETS, stored, write
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), "xray_sr")


def state_of(address):
    with urllib.request.urlopen(f"{address}state", timeout=20) as answer:
        return json.load(answer)


@pytest.fixture
def seen(monkeypatch):
    """Serve until the result is there, then stop as Ctrl-C does; return what was seen."""
    found = []

    def serve(server):
        thread = threading.Thread(target=lambda: serving(server, poll_interval=0.05), daemon=True)
        thread.start()
        while (state := state_of(server.address))["phase"] == "computing":
            time.sleep(0.05)
        found.append(state)
        server.shutdown()
        raise KeyboardInterrupt

    serving = ViewServer.serve_forever
    monkeypatch.setattr(ViewServer, "serve_forever", serve)
    return found


def test_it_shows_what_the_model_makes_and_says_nothing_of_the_patient(
    bundle, tmp_path, seen, capsys, monkeypatch
):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    path = write(tmp_path / "a.dcm", stored((20, 30)), WindowCenter=2000, WindowWidth=4000)
    command = ["view", str(path), "--bundle", str(bundle), "--scale", "2", "--device", "cpu"]
    assert main([*command, "--runtime", "torch"]) == 0
    (state,) = seen
    assert state["phase"] == "done"
    assert [layer["size"] for layer in state["layers"]] == [[30, 20], [60, 40], [60, 40], [30, 20]]
    said = capsys.readouterr()
    assert "Ctrl-C ends it" in said.out
    assert not [secret for secret in SECRETS if secret in said.out + said.err]
    # The token is on no command line: a file that only this user may read leads there.
    (url,) = opened
    assert url.startswith("file:")
    assert not Path(url.removeprefix("file://")).exists()  # removed at the end


def test_no_browser_is_opened_where_none_is_wanted(bundle, tmp_path, seen, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail("opened"))
    path = write_raster(tmp_path / "a.tif", pixels((1, 20, 30)))
    command = ["view", str(path), "--bundle", str(bundle), "--device", "cpu", "--no-browser"]
    assert main([*command, "--runtime", "torch"]) == 0
    assert seen[0]["phase"] == "done"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--result", "b.tif", "--scale", "2"], "result: must be left out beside scale"),
        (["--result", "b.tif"], "must be on record in monai_sr_manifest.csv"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--window", "0", "0", "5", "5", "--bbox", "0", "0", "1", "1"], "window: must be left"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "a.tif", pixels((1, 20, 30)))
    assert main(["view", "a.tif", "--no-browser", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_missing_input_is_named(capsys):
    assert main(["view", "gone.dcm", "--no-browser"]) == 2
    assert "gone.dcm: no such file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(bundle, tmp_path, end):
    path = write_raster(tmp_path / "a.tif", pixels((1, 20, 30)))
    command = [sys.executable, "-m", "monai_sr.cli.main", "view", str(path), "--no-browser"]
    options = ["--bundle", str(bundle), "--device", "cpu", "--runtime", "torch"]
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        first = next(line for line in process.stdout if line.startswith("Open "))
        address = first.split()[1]
        while state_of(address)["phase"] == "computing":
            time.sleep(0.1)
        process.send_signal(end)
        rest = process.stdout.read()
    assert process.returncode == (0 if end == signal.SIGINT else 128 + end)
    assert address not in rest
    assert not list((tmp_path / "tmp").iterdir())
